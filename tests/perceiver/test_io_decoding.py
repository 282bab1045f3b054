"""Perceiver IO: learned output queries, its inputs, and the sizes its paper prints."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from perceiver import (
    Bytes,
    ConfigError,
    ConvolvedImage,
    Fourier,
    Image,
    InputError,
    Learned,
    LiftedImage,
    PerceiverConfig,
    Queries,
    variants,
)

SMALL = PerceiverConfig(
    Image(6, 5, positions=Fourier(2, 6)),
    num_latents=7,
    latent_channels=8,
    blocks=2,
    self_attends_per_block=1,
    cross_attends=1,
    self_heads=2,
    num_classes=9,
    decoder=Queries(),
)
TEXT = replace(
    SMALL,
    inputs=Bytes(length=12, channels=6, vocabulary=20),
    qk_channels=4,
    num_classes=20,
    decoder=Queries(12, 6, qk_channels=4, value_channels=6, heads=2, residual=False, readout="embedding"),
)
LIFTED = LiftedImage(6, 5, lifted=4, positions=Learned(3, 0.02), projected=5)
CONVOLVED = ConvolvedImage(13, 12, convolved=4, positions=Fourier(2, 4))


@pytest.mark.parametrize(
    ("variant", "parameters", "flops"),
    [
        (variants.io_imagenet_fourier(), 48.4, 407),
        (variants.io_imagenet_conv(), 48.6, 369),
        (variants.io_imagenet_learned(), 62.3, None),  # its printed FLOPs are those of the Fourier model
        (variants.io_language(), 201, None),
    ],
)
def test_sizes_are_those_that_perceiver_io_prints(
    variant: PerceiverConfig, parameters: float, flops: int | None
) -> None:
    """Perceiver IO, Tables 1 and 7."""
    assert variant.parameters() / 1e6 == pytest.approx(parameters, abs=0.5 if parameters == 201 else 0.05)
    if flops is not None:
        assert variant.flops() / 1e9 == pytest.approx(flops, abs=1)


@pytest.mark.parametrize(
    "config",
    [
        SMALL,
        TEXT,
        replace(SMALL, inputs=LIFTED),
        replace(SMALL, inputs=CONVOLVED),
        replace(SMALL, decoder=Queries(3, 4, qk_channels=6, value_channels=2, heads=2, widening=3)),
    ],
)
def test_counted_parameters_are_those_of_the_built_model(config: PerceiverConfig) -> None:
    assert config.parameters() == sum(p.numel() for p in config.build().parameters())


def test_one_query_gives_a_row_of_logits_and_several_a_row_each() -> None:
    images = torch.rand(4, 6, 5, 3)
    assert SMALL.build()(images).shape == (4, 9)
    assert replace(SMALL, decoder=Queries(3)).build()(images).shape == (4, 3, 9)
    assert TEXT.build()(torch.randint(1, 20, (4, 12))).shape == (4, 12, 20)


def test_a_query_is_decoded_alone_whatever_the_other_queries() -> None:
    model = replace(SMALL, decoder=Queries(3)).build()
    images = torch.rand(2, 6, 5, 3)
    before = model(images)
    with torch.no_grad():
        model.head.queries[1] += 1
    changed = (model(images) - before).abs().amax(dim=(0, 2))
    assert changed[1] > 1e-3
    assert changed[[0, 2]].max() == 0


def test_latents_in_another_order_decode_to_the_same_logits() -> None:
    model = SMALL.build()
    latents = torch.randn(2, 7, 8)
    torch.testing.assert_close(model.logits(latents.flip(1)), model.logits(latents))


def test_bytes_are_read_and_predicted_with_the_same_embedding() -> None:
    model = TEXT.build()
    text = torch.randint(1, 20, (2, 12))
    latents = torch.randn(2, 7, 8)
    decoded = model.head.cross_attend(model.head.queries.expand(2, -1, -1), latents)
    torch.testing.assert_close(model.logits(latents), F.linear(decoded, model.inputs.embedding.weight))
    model(text).sum().backward()
    assert model.inputs.embedding.weight.grad.abs().sum(dim=1)[text.unique()].min() > 0


@pytest.mark.parametrize("train", [True, False], ids=["products", "fused"])
def test_what_stands_after_the_text_is_not_attended_to(train: bool) -> None:
    """A padded text has the latents of a model that is as short as the text."""
    model = TEXT.build()
    short = replace(TEXT, inputs=replace(TEXT.inputs, length=8)).build()
    weights = model.state_dict()
    weights["inputs.positions"] = weights["inputs.positions"][:8]
    short.load_state_dict(weights)
    text = torch.randint(1, 20, (3, 8))
    with torch.set_grad_enabled(train):
        torch.testing.assert_close(model(F.pad(text, (0, 4))), short(text))


def test_without_padding_every_byte_is_attended_to() -> None:
    model = replace(TEXT, inputs=replace(TEXT.inputs, padding=None)).build()
    text = torch.randint(1, 20, (1, 12))
    changed = text.clone()
    changed[0, -1] = 0
    assert not torch.allclose(model(text), model(changed))


def test_convolved_elements_lie_where_tensorflow_puts_them() -> None:
    """SAME padding of stride 2 on 224 pixels: 2 before and 3 after for the convolution, 1 after for the
    maximum."""
    inputs = ConvolvedImage(224, 224, convolved=1)
    assert inputs.grid.axes == (56, 56)
    assert replace(inputs, padding="hugging_face").grid.axes == (55, 55)
    model = inputs.build().eval()
    with torch.no_grad():
        model.convolution.weight.zero_()
        model.convolution.weight[0, 0, 0, 0] = 1.0  # looks at the first pixel under the kernel
    image = torch.zeros(1, 224, 224, 3)
    image[0, 6, 10, 0] = 1.0  # first under output (4, 6) = ((6 + 2) / 2, (10 + 2) / 2)
    seen = model(image)[0, :, 0].view(56, 56)
    assert seen.nonzero().tolist() == [[1, 2], [1, 3], [2, 2], [2, 3]]


def test_impossible_decodings_are_refused() -> None:
    cases = {
        "needs Bytes": lambda: replace(SMALL, decoder=Queries(readout="embedding")),
        r"\(20, 8\), given \(20, 6\)": lambda: replace(TEXT, decoder=Queries(readout="embedding")),
        "must be divisible by heads": lambda: replace(SMALL, decoder=Queries(heads=3)),
        "must be divisible by self_heads": lambda: replace(SMALL, qk_channels=3),
        "positive": lambda: Queries(init_std=0.0),
    }
    for words, construct in cases.items():
        with pytest.raises(ConfigError, match=words) as refused:
            construct()
        assert "\n" not in str(refused.value)


def test_what_is_no_text_is_refused() -> None:
    model = TEXT.build()
    cases = {
        "given float32": torch.rand(2, 12),
        r"of shape \(2, 11\)": torch.ones(2, 11, dtype=torch.int64),
        "from 0 to 19, given 1 to 20": torch.tensor([[1] * 11 + [20]]),
        "padding alone": torch.zeros(1, 12, dtype=torch.int64),
    }
    for words, text in cases.items():
        with pytest.raises(InputError, match=words):
            model(text)
