"""Parameters and operations of a Perceiver as functions of its specification (docs/paper.md section 5).

The paper counts multiplications and additions separately, in the forward pass of one example. Its printed
numbers are met to the last digit by 2 operations per multiply-add of the matrix products and 3 per element of
a softmax, leaving out biases, LayerNorm and GELU. It counts what is written down: keys and values anew in
every cross-attend.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from perceiver.sharing import modules

if TYPE_CHECKING:
    from perceiver.config import PerceiverConfig

OPERATIONS_PER_MULTIPLY_ADD = 2
OPERATIONS_PER_SOFTMAX_ELEMENT = 3


def linear(inputs: int, outputs: int) -> int:
    """Parameters of a linear layer with bias."""
    return inputs * outputs + outputs


def layer_norm(channels: int) -> int:
    """Parameters of a LayerNorm with scale and offset."""
    return 2 * channels


def perceptron(width: int, widening: int) -> int:
    """Parameters of a perceptron with one hidden layer."""
    return linear(width, widening * width) + linear(widening * width, width)


def cross_attend_parameters(config: PerceiverConfig) -> int:
    """Parameters of one cross-attend: 2,776,395 on ImageNet."""
    return attend_parameters(
        queries=config.latent_channels,
        inputs=config.inputs.element_channels,
        qk=config.cross_attend_channels,
        values=config.value_channels,
        widening=config.widening,
    )


def attend_parameters(*, queries: int, inputs: int, qk: int, values: int, widening: int) -> int:
    """Parameters of a cross-attend between queries and inputs of those channels."""
    projections = linear(queries, qk) + linear(inputs, qk) + linear(inputs, values) + linear(values, queries)
    return layer_norm(inputs) + projections + 2 * layer_norm(queries) + perceptron(queries, widening)


def self_attend_parameters(config: PerceiverConfig) -> int:
    """Parameters of one self-attend: 6,301,696 on ImageNet."""
    d, qk = config.latent_channels, config.qk_channels or config.latent_channels
    projections = 2 * linear(d, qk) + 2 * linear(d, d)
    return layer_norm(d) + projections + layer_norm(d) + perceptron(d, config.widening)


def head_parameters(config: PerceiverConfig) -> int:
    """Parameters of what makes the logits: a linear layer, or Perceiver IO's decoder."""
    decoder = config.decoder
    if decoder is None:
        return linear(config.latent_channels, config.num_classes)
    queries, qk, values = decoder.widths(config.latent_channels)
    readout = linear(queries, config.num_classes) if decoder.readout == "linear" else config.num_classes
    attend = attend_parameters(
        queries=queries, inputs=config.latent_channels, qk=qk, values=values, widening=decoder.widening
    )
    return decoder.number * queries + attend + readout


def parameters(config: PerceiverConfig) -> int:
    """Trained values of the model; each once, however many places it serves."""
    cross_attends = modules(config.places, "cross_attend") * cross_attend_parameters(config)
    self_attends = (
        modules(config.places, "block") * config.self_attends_per_block * self_attend_parameters(config)
    )
    latents = config.num_latents * config.latent_channels
    return config.inputs.parameters() + latents + cross_attends + self_attends + head_parameters(config)


def cross_attend_flops(config: PerceiverConfig) -> int:
    """Operations of one cross-attend: 43.265 billion on ImageNet."""
    return attend_flops(
        queries=(config.num_latents, config.latent_channels),
        inputs=(config.seen_elements, config.inputs.element_channels),
        qk=config.cross_attend_channels,
        values=config.value_channels,
        heads=config.cross_heads,
        widening=config.widening,
    )


def attend_flops(
    *, queries: tuple[int, int], inputs: tuple[int, int], qk: int, values: int, heads: int, widening: int
) -> int:
    """Operations of a cross-attend of queries (n, d) to inputs (m, c)."""
    (n, d), (m, c) = queries, inputs
    projections = n * d * qk + m * c * qk + m * c * values + n * values * d
    products = n * m * qk + n * m * values
    mlp = 2 * n * d * widening * d
    multiply_adds = projections + products + mlp
    return OPERATIONS_PER_MULTIPLY_ADD * multiply_adds + OPERATIONS_PER_SOFTMAX_ELEMENT * heads * n * m


def self_attend_flops(config: PerceiverConfig) -> int:
    """Operations of one self-attend: 7.5225 billion on ImageNet."""
    n, d, qk = config.num_latents, config.latent_channels, config.qk_channels or config.latent_channels
    projections = 2 * n * d * qk + 2 * n * d * d
    products = n * n * qk + n * n * d
    mlp = 2 * n * d * config.widening * d
    softmax = config.self_heads * n * n
    return (
        OPERATIONS_PER_MULTIPLY_ADD * (projections + products + mlp)
        + OPERATIONS_PER_SOFTMAX_ELEMENT * softmax
    )


def flops(config: PerceiverConfig) -> int:
    """Forward operations for one example; weight sharing saves none."""
    cross_attends = config.cross_attends * cross_attend_flops(config)
    self_attends = config.blocks * config.self_attends_per_block * self_attend_flops(config)
    return config.inputs.flops() + cross_attends + self_attends + head_flops(config)


def head_flops(config: PerceiverConfig) -> int:
    """Operations that make the logits of the last latents."""
    decoder = config.decoder
    if decoder is None:
        return OPERATIONS_PER_MULTIPLY_ADD * config.latent_channels * config.num_classes
    queries, qk, values = decoder.widths(config.latent_channels)
    attend = attend_flops(
        queries=(decoder.number, queries),
        inputs=(config.num_latents, config.latent_channels),
        qk=qk,
        values=values,
        heads=decoder.heads,
        widening=decoder.widening,
    )
    return attend + OPERATIONS_PER_MULTIPLY_ADD * decoder.number * queries * config.num_classes
