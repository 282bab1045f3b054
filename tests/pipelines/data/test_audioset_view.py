"""What a model hears and sees of a clip. The clips tell where they are: the grey of frame k is 8 * (k % 32),
and sample i of the sound is i / 2**20.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile
import torch
from PIL import Image
from sklearn.metrics import average_precision_score

from lab import AdamW, Evaluation, ExperimentSpec, Steps, Tagging, codec
from lab.clips import averaged
from lab.errors import DataError, SpecError
from lab.spec import Batch, Dataset, Shard
from lab.train.group import Group
from lab.train.loop import Evaluated, events
from lab.train.plan import Plan as TrainingPlan
from lab.train.state import Training
from perceiver import Fourier, Fusion, Modality, PerceiverConfig, Spectrogram, Video, variants
from pipelines.data import AudioSet, contact_sheet, describe
from pipelines.data.audio.log_mel import LogMel
from pipelines.data.audio.raw import RawAudio
from pipelines.data.audioset import recording
from pipelines.data.audioset.preparation import VERSION
from pipelines.data.build import build
from pipelines.data.counter import Draws
from pipelines.data.plan import CLIPS, Entry, Plan
from pipelines.data.video.film import Film
from pipelines.data.video.frames import PIXELS, Frames

SMALL = Frames(size=16, colour=None)
RATE, PER_FRAME = 48_000, 1920
LABELS = tuple(f"/m/{index:04d}" for index in range(527))

SETTINGS = {
    "raw": (AudioSet(video=None), variants.audioset_raw()),
    "mel": (AudioSet(LogMel(), None), variants.audioset_mel()),
    "video": (AudioSet(None), variants.audioset_video()),
    "raw_video": (AudioSet(), variants.audioset_raw_video()),
    "mel_video": (AudioSet(LogMel()), variants.audioset_mel_video()),
}
"""The five of Table 3."""


def sound(frames: int) -> bytes:
    file = io.BytesIO()
    samples = (np.arange(frames * PER_FRAME) / 2**20).astype(np.float32)
    soundfile.write(file, samples, RATE, format="FLAC", subtype="PCM_24")
    return file.getvalue()


def film(frames: int, side: int = 32) -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=25, options={"g": "16", "bf": "0", "qp": "0"})
        stream.width = stream.height = side
        stream.pix_fmt = "yuv420p"
        for k in range(frames):
            grey = np.full((side, side, 3), 8 * (k % 32), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(grey, format="rgb24")))
        container.mux(stream.encode())
    return file.getvalue()


def clip(key: str, frames: int = 250, labels: Sequence[int] = (0,), **changes: Any) -> dict[str, Any]:
    row = {"key": key, "labels": list(labels), "duration": frames / 25, "frames": frames}
    return row | {"audio": sound(frames), "video": film(frames)} | changes


def shelved(root: Path, rows: Sequence[dict[str, Any]], labels: tuple[str, ...] = LABELS) -> str:
    plan = Plan(
        source="clips that tell where they are",
        labels=labels,
        schema=CLIPS,
        splits={"train": [Entry(row["key"], 1, row) for row in rows]},
        row=lambda entry: entry.origin,
        remark=recording.remark,
        row_group_bytes=2,
    )
    build(str(root), "audioset", VERSION, lambda: plan)
    return str(root)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Seven clips of 10 s; clip i has the labels i and 100."""
    rows = [clip(f"clip{index}", labels=(index, 100)) for index in range(7)]
    return shelved(tmp_path_factory.mktemp("data"), rows)


def scanned(data: AudioSet, root: str) -> Batch:
    return next(iter(data.open(root).scan("train", batch_size=7)))


def started(part: np.ndarray) -> np.ndarray:
    """The frame with which each stretch of raw audio (..., samples) begins; it must be a whole one."""
    frame = part[..., 0].astype(np.float64) * 2**20 / PER_FRAME
    np.testing.assert_allclose(frame, np.rint(frame), atol=1e-3)
    return np.rint(frame).astype(int)


def pictured(part: np.ndarray) -> np.ndarray:
    """Frame numbers, modulo 32, of video (..., h, w, 3): told from its grey."""
    grey = (part.mean(axis=(-3, -2)) * PIXELS.std + PIXELS.mean).mean(axis=-1) * 255
    np.testing.assert_allclose(grey / 8, np.rint(grey / 8), atol=0.4)
    return np.rint(grey / 8).astype(int)


@pytest.mark.parametrize("setting", SETTINGS)
def test_the_settings_of_the_paper_have_the_shapes_of_its_models(setting: str) -> None:
    data, model = SETTINGS[setting]
    assert isinstance(data, Dataset)
    assert data.input_shape == model.input_shape
    assert data.num_classes == model.num_outputs == 527


def tiny(model: PerceiverConfig) -> PerceiverConfig:
    return replace(model, num_latents=2, latent_channels=8, self_attends_per_block=1)


@pytest.mark.parametrize("setting", SETTINGS)
def test_batches_run_through_the_models_of_the_paper(setting: str, root: str) -> None:
    data, model = SETTINGS[setting]
    network = tiny(model).build()
    batch = next(iter(data.open(root).batches("train", batch_size=2, seed=0, epoch=0)))
    assert network(batch.inputs).shape == batch.targets.shape == (2, 527)


def test_elements_are_numpys_patches_of_samples_and_frames(root: str) -> None:
    model = variants.audioset_raw_video(video_dropout=0.0)
    batch = next(iter(AudioSet().open(root).batches("train", batch_size=1, seed=0, epoch=0)))
    elements = model.inputs.build()(batch.inputs)[0].detach().numpy()
    assert elements.shape == (480 + 12_544, 487)
    np.testing.assert_array_equal(elements[:480, :128], batch.inputs["audio"][0].reshape(480, 128))
    video = batch.inputs["video"][0].numpy()
    for place, (t, h, w) in {0: (0, 0, 0), 1: (0, 0, 1), 12_543: (15, 27, 27), 3000: (3, 23, 4)}.items():
        patch = video[2 * t : 2 * t + 2, 8 * h : 8 * h + 8, 8 * w : 8 * w + 8]
        np.testing.assert_array_equal(elements[480 + place, :384], patch.ravel())


def test_eight_bit_frames_make_the_same_elements(root: str) -> None:
    video = variants.audioset_video().inputs
    of_floats, of_pixels = (
        next(iter(data.open(root).batches("train", batch_size=1, seed=0, epoch=0))).inputs
        for data in (AudioSet(None), AudioSet(None, Frames(eight_bit=True)))
    )
    assert (of_floats.dtype, of_pixels.dtype) == (torch.float32, torch.uint8)
    scaled = replace(video, pixels=PIXELS).build()(of_pixels)
    np.testing.assert_allclose(scaled, video.build()(of_floats), atol=1e-5)


def test_training_hears_what_it_sees_from_any_frame_on(root: str) -> None:
    source = AudioSet(video=SMALL).open(root)
    starts = set()
    for epoch in range(30):
        batch = next(iter(source.batches("train", batch_size=7, seed=0, epoch=epoch)))
        heard, seen = started(batch.inputs["audio"].numpy()), pictured(batch.inputs["video"].numpy())
        np.testing.assert_array_equal(seen, (heard[:, None] + np.arange(32)) % 32)
        np.testing.assert_allclose(batch.inputs["audio"].diff(dim=1) * 2**20, 1, atol=0.01)
        starts.update(heard.tolist())
    assert min(starts) < 10
    assert max(starts) > 208
    assert max(starts) <= 218
    assert len(starts) > 100


def test_evaluation_sees_16_overlapping_spans_of_10_seconds(root: str) -> None:
    inputs = scanned(AudioSet(video=SMALL), root).inputs
    assert inputs["audio"].shape == (7, 16, 61_440)
    assert inputs["video"].shape == (7, 16, 32, 16, 16, 3)
    # 218 / 15 of a frame from one to the next, rounded.
    starts = [0, 15, 29, 44, 58, 73, 87, 102, 116, 131, 145, 160, 174, 189, 203, 218]
    for heard, seen in zip(started(inputs["audio"].numpy()), pictured(inputs["video"].numpy()), strict=True):
        assert heard.tolist() == starts
        np.testing.assert_array_equal(seen, (np.array(starts)[:, None] + np.arange(32)) % 32)


def test_a_single_span_of_evaluation_is_in_the_middle(root: str) -> None:
    assert started(scanned(AudioSet(video=None, clips=1), root).inputs.numpy()).tolist() == [[109]] * 7


@pytest.mark.parametrize(("world", "batch_size"), [(1, 7), (1, 2), (2, 4), (3, 3), (5, 10)])
def test_every_example_is_averaged_once_over_any_workers_and_ragged_batches(
    root: str, world: int, batch_size: int
) -> None:
    """The mean over the spans of the mean sample, found by numpy; padding is shaped like the rest."""
    data = AudioSet(video=None)
    found: dict[int, float] = {}
    for rank in range(world):
        for batch in data.open(root).scan("train", batch_size=batch_size, shard=Shard(rank, world)):
            assert batch.inputs.shape == (-(-batch_size // world), 16, 61_440)
            scores = averaged(lambda spans: spans.double().mean(dim=1), batch.inputs, data.input_shape)
            for score, weight, example in zip(scores, batch.weights, batch.ids, strict=True):
                if weight:
                    assert int(example) not in found
                    found[int(example)] = float(score)
    starts = np.rint(np.linspace(0, 218, 16)) * PER_FRAME
    expected = (starts + (61_440 - 1) / 2).mean() / 2**20
    assert sorted(found) == list(range(7))
    np.testing.assert_allclose(list(found.values()), expected, rtol=1e-5)


def test_an_experiment_on_it_is_measured_by_the_averaged_clips_of_each_example(tmp_path: Path) -> None:
    """Against scikit-learn, on probabilities averaged here; clips of other lengths have other contents."""
    root = shelved(tmp_path, [clip(str(i), frames=40 + 20 * i, labels=(i % 3, 3)) for i in range(7)])
    data = AudioSet(LogMel(), SMALL, clips=3)
    audio = Modality("audio", Spectrogram(60, 80, Fourier(2, 4800)))
    video = Modality("video", Video(32, 16, 16, positions=Fourier(2, (16, 2, 2))), dropout=0.3)
    spec = ExperimentSpec(
        model=tiny(replace(variants.audioset_mel_video(), inputs=Fusion((audio, video)))),
        data=data,
        task=Tagging(),
        optimizer=AdamW(lr=0.03),
        duration=Steps(2),
        batch_size=3,
        evaluation=Evaluation(every=Steps(2), splits=("train",), batch_size=2),
    )
    source = data.open(root)
    training = Training.begin(spec, torch.device("cpu"))
    *_, last = events(training, TrainingPlan.of(spec, source), source, Group())
    assert isinstance(last, Evaluated)

    everything = source.examples("train", np.arange(7))
    spans = [{name: part[:, k] for name, part in everything.inputs.items()} for k in range(3)]
    with torch.no_grad():
        scores = np.mean([training.model(span).sigmoid().numpy() for span in spans], axis=0)[:, :4]
    assert np.diff(np.sort(scores[:, :3], axis=0), axis=0).min() > 1e-6, "a tie, which rounding would break"
    expected = average_precision_score(everything.targets[:, :4].numpy(), scores)
    assert last.metrics["train/map"] == pytest.approx(expected)
    assert last.metrics["train/map_classes"] == 4


def test_targets_have_a_one_for_each_label(root: str) -> None:
    targets = scanned(AudioSet(video=None), root).targets
    assert (targets.shape, targets.dtype) == ((7, 527), torch.float32)
    assert sorted(sorted(np.flatnonzero(row)) for row in targets.numpy()) == [[i, 100] for i in range(7)]


def test_a_description_counts_every_label(root: str) -> None:
    balance = describe(root, "audioset").balance["train"]
    assert balance == {f"/m/{index:04d}": 1 for index in range(7)} | {"/m/0100": 7}


def test_the_same_draws_give_the_same_example_and_others_another(root: str) -> None:
    data = AudioSet(LogMel(), Frames(size=16))
    batches = [
        next(iter(data.open(root).batches("train", batch_size=4, seed=3, epoch=epoch))) for epoch in (1, 1, 2)
    ]
    for name in ("audio", "video"):
        assert torch.equal(batches[0].inputs[name], batches[1].inputs[name])
        assert not torch.equal(batches[0].inputs[name], batches[2].inputs[name])


def test_sound_alone_and_with_video_are_of_the_same_spans(root: str) -> None:
    alone, both = (
        next(iter(data.open(root).batches("train", batch_size=7, seed=1, epoch=0)))
        for data in (AudioSet(video=None), AudioSet(video=SMALL))
    )
    assert torch.equal(alone.inputs, both.inputs["audio"])


def decoded(data: AudioSet, row: dict[str, Any], draws: Draws | None) -> dict[str, np.ndarray]:
    return data.decode(row, draws)[0]


def test_a_short_clip_goes_on_in_silence_and_with_its_last_frame() -> None:
    row = clip("short", frames=20)
    for part in (decoded(AudioSet(video=SMALL), row, None), decoded(AudioSet(video=SMALL), row, Draws(1))):
        heard, seen = part["audio"].reshape(-1, 61_440), part["video"].reshape(-1, 32, 16, 16, 3)
        expected = np.where(np.arange(61_440) < 20 * PER_FRAME, np.arange(61_440) / 2**20, 0)
        for each in heard:
            np.testing.assert_allclose(each, expected, atol=1e-6)
        for each in seen:
            np.testing.assert_array_equal(pictured(each), np.minimum(np.arange(32), 19))


@pytest.mark.parametrize("nothing", [None, memoryview(b"")], ids=["null", "empty"])
def test_what_a_clip_does_not_have_is_zeros(nothing: Any) -> None:
    data = AudioSet(LogMel(), SMALL)
    silent = decoded(data, clip("silent", audio=nothing), Draws(1))
    row = clip("unseen", video=nothing) | {"frames": 0}
    unseen = decoded(data, row, None)
    assert not silent["audio"].any()
    assert silent["video"].any()
    assert unseen["video"].shape == (16, 32, 16, 16, 3)
    assert not unseen["video"].any()
    assert unseen["audio"].any()
    in_8_bits = decoded(replace(data, video=replace(SMALL, eight_bit=True)), row, None)["video"]
    scaled = (in_8_bits / 255 - PIXELS.mean) / PIXELS.std
    assert np.abs(scaled).max() < 0.5 / 255 / min(PIXELS.std)


def test_a_damaged_clip_is_named() -> None:
    for broken in ("audio", "video"):
        with pytest.raises(DataError, match=f"{broken} of clip fifth of audioset: it cannot be decoded"):
            AudioSet(video=SMALL).decode(clip("fifth") | {broken: b"neither sound nor video"}, None)


def grey_film(luma: np.ndarray) -> Film:
    """(t, h, w) of luma without any colour."""
    frames, height, width = luma.shape
    return Film(luma, np.full((frames, 2, height // 2, width // 2), 128, np.uint8))


def test_frames_are_cropped_alike_and_mirrored_half_of_the_time() -> None:
    """Of columns that grow brighter to the right, and frames that are the same."""
    ramp = grey_film(np.broadcast_to(np.arange(16, 208, 4, dtype=np.uint8), (4, 40, 48)))
    mirrored = []
    for key in range(200):
        pixels = Frames(size=16, colour=None).of(ramp, Draws(key)).astype(int)
        assert (pixels == pixels[:1]).all()
        mirrored.append(pixels[0, 0, 0, 0] > pixels[0, 0, -1, 0])
    assert np.mean(mirrored) == pytest.approx(0.5, abs=0.1)


def test_evaluation_sees_the_centre_of_a_frame() -> None:
    """224 of the 256 rows, from 16 on, at their own size."""
    rng = np.random.default_rng(0)
    noise = Film(*(rng.integers(0, 256, shape, np.uint8) for shape in ((2, 256, 340), (2, 2, 128, 170))))
    whole = np.stack(list(noise.pictures()))
    np.testing.assert_array_equal(Frames().of(noise), whole[:, 16:240, 58:282])


def test_the_same_colours_are_changed_in_all_frames() -> None:
    film = grey_film(np.broadcast_to(np.array([60, 90, 120], np.uint8)[:, None, None], (3, 20, 20)))
    seen = {tuple(Frames(size=8).of(film, Draws(key))[:, 0, 0, 0].tolist()) for key in range(50)}
    assert len(seen) > 30
    # Contrast and brightness are one line through the three greys, whatever was drawn; rounded twice.
    assert max(abs(a - 2 * b + c) for a, b, c in seen) <= 4


def test_pictures_show_frames_and_sound(root: str, tmp_path: Path) -> None:
    data = AudioSet(video=SMALL)
    inputs = data.decode(clip("pictured"), Draws(4))[0]
    image = data.picture({name: torch.from_numpy(part) for name, part in inputs.items()})
    assert (image.shape, image.dtype) == ((96 + 80, 288, 3), np.uint8)
    seen = pictured(inputs["video"])[[0, 15, 31]]
    np.testing.assert_allclose(image[48, [48, 144, 240], 0] / 8, seen, atol=0.4)
    # The samples rise, so the curve does.
    heights = image[96:, :, 0].argmax(axis=0)
    assert (np.diff(heights.astype(int)) <= 0).all()
    sheet = np.asarray(Image.open(contact_sheet(root, "audioset", tmp_path / "sheet.png", count=1)))
    assert sheet.shape == (3 * (176 + 22) + 14, 288 + 2 * 4, 3)


def test_shards_of_some_of_the_classes_must_be_meant(tmp_path: Path) -> None:
    """As a list of classes that a person has clips of gives them."""
    root = shelved(tmp_path, [clip("only", frames=40, labels=(1,))], LABELS[:3])
    with pytest.raises(DataError, match=r"has 3 classes, AudioSet.num_classes is 527: set it"):
        AudioSet().open(root)
    batch = next(iter(AudioSet(video=None, num_classes=3).open(root).scan("train", batch_size=1)))
    assert batch.targets.tolist() == [[0, 1, 0]]
    assert describe(root, "audioset").balance == {"train": {"/m/0001": 1}}


def test_a_modality_that_no_clip_has_is_missed_before_training(tmp_path: Path) -> None:
    """As where AudioSet is prepared from a copy of its sound."""
    root = shelved(tmp_path, [clip(key, frames=40, video=None) for key in "ab"])
    with pytest.raises(DataError, match=r"no clip of audioset under .* has video: set video to null"):
        AudioSet().open(root)
    assert AudioSet(video=None).open(root).size("train") == 2


def test_impossible_values_are_refused() -> None:
    with pytest.raises(SpecError, match="needs audio, video or both"):
        AudioSet(None, None)
    with pytest.raises(SpecError, match=r"AudioSet\.clips must be 1 or more, got 0"):
        AudioSet(clips=0)
    with pytest.raises(SpecError, match="fewer bins or a longer window"):
        AudioSet(LogMel(bins=600))
    with pytest.raises(SpecError, match=r"Frames\.size is in pixels and must be 1 or more, got 0"):
        Frames(size=0)


def test_specifications_survive_text_and_flags() -> None:
    for data, _ in SETTINGS.values():
        assert codec.loads(AudioSet, codec.canonical(data)) == data
    tuned = codec.override(AudioSet(LogMel()), {"audio.masks": "null", "video.size": "112"}, texts=True)
    assert tuned == AudioSet(LogMel(masks=None), Frames(size=112))
    assert codec.loads(AudioSet, codec.canonical(AudioSet(RawAudio(), None))) == AudioSet(video=None)
