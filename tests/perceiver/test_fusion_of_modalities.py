"""Patches, spectrograms and their fusion (paper section 4.2)."""

import pytest
import torch

from perceiver import (
    Audio,
    ConfigError,
    Fourier,
    Fusion,
    InputError,
    Modality,
    Points,
    Spectrogram,
    Video,
    variants,
)

SOUND = Audio(32, patch=4, positions=Fourier(2, 8))
VIDEO = Video(4, 8, 8, channels=3, patch=(2, 4, 4), positions=Fourier(2, (2, 2, 2)))
FUSION = Fusion((Modality("audio", SOUND), Modality("video", VIDEO, dropout=0.5)))


def raw(b=2):
    return {"audio": torch.randn(b, 32), "video": torch.randn(b, 4, 8, 8, 3)}


def test_a_video_element_is_a_patch_of_frames_rows_and_columns():
    video = raw()["video"]
    elements = VIDEO.build()(video)
    t, h, w = 1, 0, 1
    patch = video[:, 2:4, 0:4, 4:8].reshape(2, -1)
    assert torch.equal(elements[:, (t * 2 + h) * 2 + w, : 2 * 4 * 4 * 3], patch)


def test_an_audio_element_is_a_run_of_samples():
    audio = raw()["audio"]
    assert torch.equal(SOUND.build()(audio)[:, 3, :4], audio[:, 12:16])


def test_every_value_of_a_spectrogram_is_an_element():
    spectrogram = torch.randn(2, 6, 5)
    flat = Spectrogram(6, 5, positions=Fourier(2, 30))
    grid = Spectrogram(6, 5, positions=Fourier(2, (6, 5)), flat=False)
    assert (flat.elements, flat.element_channels, grid.element_channels) == (30, 6, 11)
    for inputs in (flat, grid):
        assert torch.equal(inputs.build()(spectrogram)[..., 0], spectrogram.reshape(2, 30))


@pytest.mark.parametrize(
    ("config", "elements"), [(variants.audioset_raw_video(), 13_024), (variants.audioset_mel_video(), 17_344)]
)
def test_audioset_fusions_have_the_sizes_perceiver_io_prints(config, elements):
    assert config.inputs.elements == elements
    assert config.inputs.element_channels == 487
    assert config.inputs.vector_channels["video"] == 4


def test_each_modality_ends_with_its_own_learned_vector():
    module = FUSION.build()
    elements = module(raw())
    assert elements.shape == (2, FUSION.elements, FUSION.element_channels)
    m = SOUND.elements
    assert torch.equal(elements[:, :m, SOUND.element_channels :], module.vectors["audio"].expand(2, m, -1))
    assert torch.equal(elements[:, m:, VIDEO.element_channels :], module.vectors["video"].expand(2, 8, 4))


def test_modality_dropout_zeroes_whole_streams_of_some_examples_in_training_only():
    torch.manual_seed(0)
    module, batch = FUSION.build(), raw(b=400)
    m, data = SOUND.elements, VIDEO.data_channels
    module.train()
    dropped = (module(batch)[:, m:, :data] == 0).flatten(1)
    assert torch.equal(dropped.any(1), dropped.all(1))
    # Four standard deviations of 400 tosses of a coin are 0.1.
    assert abs(dropped.all(1).float().mean() - 0.5) < 0.1
    assert (module(batch)[:, :m, :4] != 0).all()
    module.eval()
    assert (module(batch)[:, m:, :data] != 0).all()


def test_the_points_of_a_cloud_that_is_dropped_are_at_the_origin():
    torch.manual_seed(0)
    points = Points(5, positions=Fourier(2, 8))
    module = Fusion((Modality("audio", SOUND), Modality("points", points, dropout=0.5))).build().train()
    elements = module({"audio": torch.randn(50, 32), "points": torch.rand(50, 5, 3)})
    of_points = elements[:, SOUND.elements :, : points.element_channels]
    origin = points.build()(torch.zeros(1, 5, 3))
    dropped = (of_points == origin).flatten(1).all(1)
    assert 0 < dropped.sum() < 50
    assert (of_points[~dropped] != origin).flatten(1).any(1).all()


def test_the_order_in_which_modalities_are_given_does_not_matter():
    module, batch = FUSION.build().eval(), raw()
    assert torch.equal(module(batch), module(dict(reversed(batch.items()))))


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ({"audio": torch.zeros(2, 32)}, r"modalities \['audio', 'video'\], given \['audio'\]"),
        (torch.zeros(2, 32), "given Tensor"),
        ({**raw(), "video": [1, 2]}, "a tensor for every modality, given {'video': 'list'}"),
        ({**raw(), "video": torch.zeros(3, 4, 8, 8, 3)}, "as many examples.*'audio': 2, 'video': 3"),
        ({**raw(), "video": torch.zeros(2, 4, 8, 9, 3)}, r"Video expects.*\(b, 4, 8, 8, 3\), given.*8, 9, 3"),
    ],
)
def test_batches_that_do_not_fit_the_fusion_are_refused(batch, message):
    with pytest.raises(InputError, match=message):
        FUSION.build()(batch)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Fusion((Modality("audio", SOUND),)), r"two or more of different names, given \['audio'\]"),
        (lambda: Fusion((Modality("a", SOUND), Modality("a", VIDEO))), "different names"),
        (lambda: Modality("video", VIDEO, dropout=1.0), "probability below 1, given 1.0"),
        (lambda: Modality("my video", VIDEO), "identifier"),
        (
            lambda: Audio(100, patch=8),
            "Audio.samples must be divisible by patch, given 100 and 8; try 96 or 104",
        ),
    ],
)
def test_impossible_fusions_are_refused(build, message):
    with pytest.raises(ConfigError, match=message):
        build()
