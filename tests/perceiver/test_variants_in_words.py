"""What the paper compares in words alone: positions added, a linear layer for modalities, time unrolled."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from perceiver import (
    Audio,
    ConfigError,
    Fourier,
    Fusion,
    Image,
    Learned,
    Modality,
    PerceiverConfig,
    Points,
    Spectrogram,
    Video,
)
from perceiver.attention_maps import attention_maps

ADDED = Image(6, 5, 2, positions=Fourier(3, 6), combine="add")
FILM = Video(4, 4, 4, patch=(1, 2, 2), positions=Fourier(2, 4))
FUSION = Fusion(
    (Modality("audio", Audio(32, 8, Fourier(1, 4))), Modality("video", FILM)), min_vector=3, equalise="linear"
)


def small(inputs: object, **changes: object) -> PerceiverConfig:
    config = PerceiverConfig(
        inputs,  # type: ignore[arg-type]
        num_latents=4,
        latent_channels=8,
        blocks=2,
        self_attends_per_block=1,
        cross_attends=2,
        self_heads=2,
        num_classes=3,
    )
    return replace(config, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("inputs", [ADDED, replace(ADDED, positions=Learned(7)), FUSION])
def test_the_parameters_counted_are_those_that_are_built(inputs: object) -> None:
    config = small(inputs)
    assert sum(p.numel() for p in config.build().parameters()) == config.parameters()


def test_an_added_element_is_the_lifted_pixel_plus_the_features_of_its_place() -> None:
    torch.manual_seed(0)
    elements, raw = ADDED.build(), torch.randn(3, 6, 5, 2)
    appended = replace(ADDED, combine="concat").build()(raw)
    pixels, features = appended[..., :2], appended[..., 2:]
    assert elements.lift is not None
    expected = pixels @ elements.lift.weight.T + elements.lift.bias + features
    torch.testing.assert_close(elements(raw), expected)
    assert ADDED.element_channels == features.shape[-1] == 2 * (2 * 3 + 1)


def test_what_lifts_a_pixel_is_trained_with_the_model() -> None:
    torch.manual_seed(0)
    model = small(ADDED).build()
    torch.nn.init.normal_(model.head.weight)
    model(torch.randn(2, 6, 5, 2)).square().sum().backward()
    assert model.inputs.lift.weight.grad.abs().max() > 0


def test_there_is_nothing_to_add_without_positions() -> None:
    with pytest.raises(ConfigError, match="needs positions to add"):
        Image(8, 8, combine="add")


def test_linear_layers_make_modalities_as_wide_as_vectors_would() -> None:
    raw = {"audio": torch.randn(2, 32), "video": torch.randn(2, 4, 4, 4, 3)}
    linear, vectors = FUSION.build(), replace(FUSION, equalise="vector").build()
    assert linear(raw).shape == vectors(raw).shape
    assert not dict(linear.vectors)
    by_hand = linear.streams["audio"](raw["audio"]) @ linear.layers["audio"].weight.T
    torch.testing.assert_close(linear(raw)[:, :4], by_hand + linear.layers["audio"].bias)


@pytest.mark.parametrize("inputs", [FILM, Audio(32, 8, Fourier(1, 4)), Spectrogram(4, 3, Fourier(1, 12))])
def test_in_an_unrolled_model_the_second_cross_attend_alone_sees_the_second_half(inputs: object) -> None:
    torch.manual_seed(0)
    model = small(inputs, unrolled=True).build()
    torch.nn.init.normal_(model.head.weight)
    raw = torch.randn(1, *inputs.shape)  # type: ignore[attr-defined]
    first, second = attention_maps(model, raw)
    half = first.shape[1] // 2
    assert (first[:, half:] == 0).all()
    assert (second[:, :half] == 0).all()
    torch.testing.assert_close(first[:, :half].sum(), torch.tensor(1.0))
    late = raw.clone()
    late[:, raw.shape[1] // 2 :] += 1.0
    seen: list[torch.Tensor] = []
    model.blocks[0].register_forward_hook(lambda _, __, latents: seen.append(latents))
    before, after = model(raw), model(late)
    torch.testing.assert_close(seen[0], seen[2], rtol=0, atol=0)
    assert not torch.equal(before, after)


def test_an_unrolled_model_costs_its_cross_attends_once_over_the_elements() -> None:
    every, parts = small(FILM), small(FILM, unrolled=True)
    n, d, c, m = 4, 8, FILM.element_channels, FILM.elements
    per_element = 2 * (2 * c * c + 2 * n * c) + 3 * n
    assert every.flops() - parts.flops() == per_element * m
    assert every.parameters() == parts.parameters()
    assert d == every.latent_channels


@pytest.mark.parametrize("inputs", [Points(4), replace(FILM, patch=(4, 2, 2))])
def test_only_time_that_can_be_cut_evenly_is_unrolled(inputs: object) -> None:
    with pytest.raises(ConfigError, match=r"unrolled|steps in time"):
        small(inputs, unrolled=True)
