"""CNN-14 and late fusion: the published counts, and what attention between streams may do."""

from __future__ import annotations

import pytest
import torch

from perceiver import Audio, ConfigError, Fourier, InputError, PerceiverConfig, Spectrogram, Video
from perceiver.baselines import CNN14, LateFusion, Stream

SMALL = CNN14(Spectrogram(20, 8), widths=(4, 8, 8), num_classes=6)
VIDEO = PerceiverConfig(
    Video(2, 8, 8, positions=Fourier(2, 8)),
    num_latents=4,
    latent_channels=8,
    blocks=1,
    self_attends_per_block=1,
    cross_attends=1,
    self_heads=2,
    num_classes=6,
)
FUSION = LateFusion((Stream("audio", SMALL), Stream("video", VIDEO)))


def batch(size: int) -> dict[str, torch.Tensor]:
    return {"audio": torch.randn(size, 20, 8), "video": torch.rand(size, 2, 8, 8, 3)}


def test_cnn14_has_the_published_number_of_parameters() -> None:
    assert CNN14(Spectrogram(1001, 64)).parameters() == 80_753_615  # Kong et al., PANNs


def test_cnn14_costs_the_published_operations_less_its_spectrogram() -> None:
    """42.220 billion with additions counted apart; theirs makes the spectrogram by convolutions."""
    transform = 2 * 1001 * (2 * 513 * 1024 + 513 * 64)
    assert CNN14(Spectrogram(1001, 64)).flops() == pytest.approx(42.220e9 - transform, rel=5e-3)


def test_counted_parameters_are_those_of_the_built_model() -> None:
    for model in (SMALL, FUSION):
        assert model.parameters() == sum(p.numel() for p in model.build().parameters())


def test_gradients_reach_every_parameter_of_cnn14() -> None:
    model = SMALL.build()
    model(torch.randn(4, 20, 8)).square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_cnn14_refuses_spectrograms_it_would_pool_to_nothing() -> None:
    with pytest.raises(ConfigError, match="needs 32 of each, given 1001 frames of 16 bins"):
        CNN14(Spectrogram(1001, 16))


def test_fused_logits_lie_between_those_of_the_streams() -> None:
    model = FUSION.build().eval()
    raw = batch(3)
    alone = torch.stack([stream(raw[name]) for name, stream in model.streams.items()])
    fused = model(raw)
    assert fused.shape == (3, 6)
    assert ((fused >= alone.amin(0) - 1e-6) & (fused <= alone.amax(0) + 1e-6)).all()


def test_attention_can_silence_a_stream_for_one_class() -> None:
    model = FUSION.build().eval()
    with torch.no_grad():
        model.attention["audio"].bias[2] = -1e4
    raw = batch(2)
    torch.testing.assert_close(model(raw)[:, 2], model.streams["video"](raw["video"])[:, 2])


def test_impossible_fusions_are_refused() -> None:
    with pytest.raises(ConfigError, match="two or more"):
        LateFusion((Stream("audio", SMALL),))
    with pytest.raises(ConfigError, match="equal numbers of classes"):
        LateFusion((Stream("audio", SMALL), Stream("other", CNN14(Spectrogram(64, 32), num_classes=5))))
    with pytest.raises(InputError, match="'audio', 'video'"):
        FUSION.build()({"audio": torch.randn(2, 20, 8)})


def test_streams_may_be_perceivers_on_raw_audio() -> None:
    heard = PerceiverConfig(
        Audio(256, positions=Fourier(2, 4)),
        num_latents=4,
        latent_channels=8,
        blocks=1,
        self_attends_per_block=1,
        cross_attends=1,
        self_heads=2,
        num_classes=6,
    )
    fusion = LateFusion((Stream("audio", heard), Stream("video", VIDEO)))
    assert fusion.build()({"audio": torch.randn(2, 256), "video": torch.rand(2, 2, 8, 8, 3)}).shape == (2, 6)
    assert fusion.flops() > heard.flops() + VIDEO.flops()
