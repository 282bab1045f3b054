"""What the paper says of the network itself: counted from the specification or computed, never measured.

Where the paper contradicts itself both sentences are here, and counting says which one is meant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from perceiver import Fourier, Image, PerceiverConfig, variants
from perceiver.positions import position_channels
from perceiver.sharing import Placement
from pipelines.tables.cell import short
from pipelines.tables.claims import invariance
from pipelines.tables.claims.claim import Exact, Shown
from pipelines.tables.claims.invariance import POSITIONED

Count = Callable[[], Iterable[int]]


def counted(printed: str, counts: Count) -> Callable[[], Shown]:
    """Whether counts, rounded as the paper rounds, are what it prints: `44.9M`, or several with commas."""

    def shown() -> Shown:
        exact = list(counts())
        return Shown(", ".join(map(short, exact)) == printed, "counts " + " · ".join(f"{n:,}" for n in exact))

    return shown


def equal(expected: Iterable[int], counts: Count) -> Callable[[], Shown]:
    """Whether counts are these whole numbers."""

    def shown() -> Shown:
        exact = list(counts())
        return Shown(exact == list(expected), "counts " + " · ".join(f"{n:,}" for n in exact))

    return shown


def times(expected: float, part: float) -> Callable[[], Shown]:
    """Whether sharing divides the parameters by `expected`, give or take `part` of it."""

    def shown() -> Shown:
        ratio = variants.imagenet_unshared().parameters() / variants.imagenet().parameters()
        return Shown(abs(ratio / expected - 1) <= part, f"the parameters are divided by {ratio:.2f}")

    return shown


def _table6(placement: Placement) -> Iterable[int]:
    return (variants.imagenet(cross_attends=n, placement=placement).flops() for n in (1, 2, 4, 8))


def _linear_in_inputs() -> Shown:
    """Operations at three numbers of inputs: on a straight line, and the latents' part at none."""
    main = variants.imagenet()
    sides = (56, 112, 224)
    flops = [replace(main, inputs=Image(side, side, positions=Fourier(64, 224))).flops() for side in sides]
    per_input = [
        (b - a) / (n * n - m * m)
        for a, b, m, n in zip(flops, flops[1:], sides, sides[1:], strict=False)
    ]  # fmt: skip
    return Shown(
        per_input[0] == per_input[1],
        f"{per_input[0]:,.0f} operations for every further input from {sides[0]} × {sides[0]} pixels to "
        f"{sides[-1]} × {sides[-1]}",
    )


def _sizes_of_positions() -> Shown:
    """Channels of Fourier positions on one, two and three axes, for several numbers of bands."""
    cases = [(axes, bands) for axes in (1, 2, 3) for bands in (1, 16, 64)]
    holds = all(
        position_channels(Fourier(bands, 224), axes) == axes * (2 * bands + 1) for axes, bands in cases
    )
    return Shown(holds, f"d(2K + 1) channels in all of {len(cases)} cases with d = 1, 2, 3 axes")


def _highest_frequency(model: PerceiverConfig) -> int:
    positions = model.inputs.positions  # type: ignore[union-attr]
    assert isinstance(positions, Fourier)
    (resolution,) = set(positions.resolutions(2))
    return int(resolution / 2)


EXACT: tuple[Exact, ...] = (
    Exact(
        "The main model takes 50,176 inputs, every pixel of a 224 × 224 image.",
        "section 4.1",
        equal([50_176], lambda: [variants.imagenet().inputs.elements]),
    ),
    Exact(
        "An input of the ImageNet model has 261 channels, and its queries and keys as many.",
        "appendix C",
        equal(
            [261, 261],
            lambda: [variants.imagenet().inputs.element_channels, variants.imagenet().cross_attend_channels],
        ),
        quote="same number of channels as the minimum of the input channels, which is typically the "
        "key/value input (i.e. 261 for ImageNet)",
    ),
    Exact(
        "Fourier positions of K bands on d axes are d(2K + 1) channels.", "section 3.2", _sizes_of_positions
    ),
    Exact(
        "The highest frequency on ModelNet40 is ten times that on ImageNet.",
        "section 4.3",
        equal([1120, 112], lambda: map(_highest_frequency, (variants.modelnet40(), variants.imagenet()))),
        quote="max frequency of 1120 (10× the value used on ImageNet)",
    ),
    Exact(
        "On AudioSet the model takes 480 patches of raw audio, 4,800 values of a spectrogram, or 12,544 "
        "patches of video.",
        "section 4.2",
        equal(
            [480, 4_800, 12_544],
            lambda: (
                model.inputs.elements
                for model in (variants.audioset_raw(), variants.audioset_mel(), variants.audioset_video())
            ),
        ),
    ),
    Exact(
        "The main model has 44.9M parameters.",
        "Table 7",
        counted("44.9M", lambda: [variants.imagenet().parameters()]),
    ),
    Exact(
        "Without weight sharing it has 326.2M parameters.",
        "Table 7",
        counted("326.2M", lambda: [variants.imagenet_unshared().parameters()]),
    ),
    Exact("Weight sharing makes the parameters 7.3 times fewer.", "Table 7", times(7.3, 0.01)),
    Exact(
        "Weight sharing makes the parameters approximately 10 times fewer.",
        "section 3.1",
        times(10, 0.1),
        quote="approximately 10× reduction",
    ),
    Exact(
        "The first latent Transformer has its own weights too, in a model of 44.9M parameters.",
        "section 4.1",
        counted("44.9M", lambda: [replace(variants.imagenet(), sharing="first_block_own").parameters()]),
        quote="for all but the first cross-attend and latent Transformer modules",
    ),
    Exact(
        "Weight sharing leaves the operations as they are, 707.2B.",
        "Table 7",
        counted(
            "707.2B, 707.2B", lambda: [variants.imagenet().flops(), variants.imagenet_unshared().flops()]
        ),
    ),
    Exact(
        "One, two, four and eight cross-attends take 404.3B, 447.6B, 534.1B and 707.2B operations, wherever "
        "they stand.",
        "Table 6",
        counted(
            "404.3B, 447.6B, 534.1B, 707.2B, 404.3B, 447.6B, 534.1B, 707.2B",
            lambda: (*_table6("at_start"), *_table6("interleaved")),
        ),
    ),
    Exact(
        "The model with one cross-attend at the start has 41.1M parameters.",
        "Table 6",
        counted("41.1M", lambda: [variants.imagenet(cross_attends=1, placement="at_start").parameters()]),
    ),
    Exact(
        "The model with one interleaved cross-attend has 42.1M parameters.",
        "Table 6",
        counted("42.1M", lambda: [variants.imagenet(cross_attends=1).parameters()]),
    ),
    Exact(
        "Four, eight and twelve cross-attends without latent Transformers have 12.7M, 23.8M and 34.9M "
        "parameters.",
        "Table 5",
        counted(
            "12.7M, 23.8M, 34.9M",
            lambda: (variants.no_latent_transformer(n).parameters() for n in (4, 8, 12)),
        ),
    ),
    Exact(
        "Operations grow linearly with the number of inputs, however deep the model is.",
        "section 3.1",
        _linear_in_inputs,
    ),
    Exact(
        "Pixels that carry their positions may come in any order: the Perceiver's logits stay as they are.",
        "Table 2",
        lambda: invariance.unmoved(invariance.order_with_positions(invariance.perceiver(POSITIONED))),
        quote="effectively treat any input as a permuted input",
    ),
    Exact(
        "So may those of a Transformer on pixels.",
        "Table 2",
        lambda: invariance.unmoved(invariance.order_with_positions(invariance.transformer(POSITIONED))),
        quote="effectively treat any input as a permuted input",
    ),
    Exact(
        "A ResNet and a ViT depend on the order of pixels, positions attached or not.",
        "Table 2",
        lambda: invariance.moved(
            *(
                invariance.order_with_positions(make(inputs))
                for make in (invariance.resnet, invariance.vit)
                for inputs in (POSITIONED, replace(POSITIONED, positions=None))
            )
        ),
    ),
    Exact(
        "Without positions the Perceiver does not see where a pixel is.",
        "section 3.2",
        lambda: invariance.unmoved(
            invariance.order_of_pixels(invariance.perceiver(replace(POSITIONED, positions=None)))
        ),
    ),
    Exact(
        "With positions it does.",
        "section 3.2",
        lambda: invariance.moved(invariance.order_of_pixels(invariance.perceiver(POSITIONED))),
    ),
)
"""In the order of the paper's argument: what goes in, what it costs, what it is blind to."""
