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
    c, d, width = config.inputs.element_channels, config.latent_channels, config.cross_attend_channels
    projections = linear(d, width) + 2 * linear(c, width) + linear(width, d)
    return layer_norm(d) + layer_norm(c) + projections + layer_norm(d) + perceptron(d, config.widening)


def self_attend_parameters(config: PerceiverConfig) -> int:
    """Parameters of one self-attend: 6,301,696 on ImageNet."""
    d = config.latent_channels
    return layer_norm(d) + 4 * linear(d, d) + layer_norm(d) + perceptron(d, config.widening)


def parameters(config: PerceiverConfig) -> int:
    """Trained values of the model; each once, however many places it serves."""
    cross_attends = modules(config.places, "cross_attend") * cross_attend_parameters(config)
    self_attends = (
        modules(config.places, "block") * config.self_attends_per_block * self_attend_parameters(config)
    )
    latents = config.num_latents * config.latent_channels
    head = linear(config.latent_channels, config.num_classes)
    return config.inputs.parameters() + latents + cross_attends + self_attends + head


def cross_attend_flops(config: PerceiverConfig) -> int:
    """Operations of one cross-attend: 43.265 billion on ImageNet."""
    m, c = config.inputs.elements, config.inputs.element_channels
    n, d, width = config.num_latents, config.latent_channels, config.cross_attend_channels
    projections = n * d * width + 2 * m * c * width + n * width * d
    products = 2 * n * m * width
    mlp = 2 * n * d * config.widening * d
    softmax = config.cross_heads * n * m
    return (
        OPERATIONS_PER_MULTIPLY_ADD * (projections + products + mlp)
        + OPERATIONS_PER_SOFTMAX_ELEMENT * softmax
    )


def self_attend_flops(config: PerceiverConfig) -> int:
    """Operations of one self-attend: 7.5225 billion on ImageNet."""
    n, d = config.num_latents, config.latent_channels
    projections = 4 * n * d * d
    products = 2 * n * n * d
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
    head = OPERATIONS_PER_MULTIPLY_ADD * config.latent_channels * config.num_classes
    return cross_attends + self_attends + head
