"""The whole model against the paper's formulas written down again in numpy, in float64."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from perceiver import Fourier, Image, PerceiverConfig
from perceiver.attention import attend

CONFIG = PerceiverConfig(
    inputs=Image(5, 4, channels=2, positions=Fourier(2, (5, 4))),
    num_latents=6,
    latent_channels=8,
    blocks=2,
    self_attends_per_block=2,
    cross_attends=2,
    self_heads=4,
    num_classes=3,
)


def linear(state, name, x):
    return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]


def layer_norm(state, name, x):
    centred = x - x.mean(-1, keepdims=True)
    variance = (centred**2).mean(-1, keepdims=True)
    return centred / np.sqrt(variance + 1e-5) * state[f"{name}.weight"] + state[f"{name}.bias"]


def gelu(x, kind):
    if kind == "exact":
        return x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def attention(q, k, v, heads):
    outputs = []
    for q_h, k_h, v_h in zip(*(np.split(x, heads, axis=-1) for x in (q, k, v)), strict=True):
        logits = q_h @ k_h.T / math.sqrt(q_h.shape[-1])
        weights = np.exp(logits - logits.max(-1, keepdims=True))
        outputs.append(weights / weights.sum(-1, keepdims=True) @ v_h)
    return np.concatenate(outputs, axis=-1)


def layer(state, name, z, x, heads, kind):
    """Here x is normalised: by the inputs' LayerNorm in a cross-attend, by the latents' in a self-attend."""
    query_norm = f"{name}.norm_latents" if f"{name}.norm_latents.weight" in state else f"{name}.norm"
    q = linear(state, f"{name}.query", layer_norm(state, query_norm, z))
    k, v = linear(state, f"{name}.key", x), linear(state, f"{name}.value", x)
    z = z + linear(state, f"{name}.out", attention(q, k, v, heads))
    hidden = gelu(linear(state, f"{name}.mlp.0", layer_norm(state, f"{name}.norm_mlp", z)), kind)
    return z + linear(state, f"{name}.mlp.2", hidden)


def perceiver(state, elements, config, crosses, blocks):
    """The interleaved network for one example, with the numbers of the modules at each place."""
    z = state["latents"]
    for cross, block in zip(crosses, blocks, strict=True):
        name = f"cross_attends.{cross}"
        x = layer_norm(state, f"{name}.norm_inputs", elements)
        z = layer(state, name, z, x, config.cross_heads, config.gelu)
        for depth in range(config.self_attends_per_block):
            name = f"blocks.{block}.{depth}"
            z = layer(state, name, z, layer_norm(state, f"{name}.norm", z), config.self_heads, config.gelu)
    return linear(state, "head", z.mean(0))


def elements_of(image):
    rows, columns = np.meshgrid(np.linspace(-1, 1, 5), np.linspace(-1, 1, 4), indexing="ij")
    features = [image[..., 0], image[..., 1], rows, columns]
    for function in (np.sin, np.cos):
        features += [function(np.pi * f * rows) for f in (1.0, 2.5)]
        features += [function(np.pi * f * columns) for f in (1.0, 2.0)]
    return np.stack(features, axis=-1).reshape(20, 12)


def redrawn(model):
    """Weights, biases and norms of order one: the initial zeros and ones would hide mistakes."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator).double() * 0.5)
    return model


@pytest.mark.parametrize(
    ("config", "crosses", "blocks"),
    [
        pytest.param(CONFIG, [0, 1], [0, 0], id="published"),
        pytest.param(replace(CONFIG, sharing="none"), [0, 1], [0, 1], id="unshared"),
        pytest.param(replace(CONFIG, sharing="all"), [0, 0], [0, 0], id="all-shared"),
        pytest.param(
            replace(CONFIG, cross_heads=3, gelu="exact"), [0, 1], [0, 0], id="three-heads-exact-gelu"
        ),
        pytest.param(replace(CONFIG, qkv_channels="min", widening=2), [0, 1], [0, 0], id="narrow-wide"),
        pytest.param(replace(CONFIG, self_attends_per_block=0, sharing="none"), [0, 1], [0, 1], id="table-5"),
    ],
)
def test_the_model_is_the_papers_formulas(config, crosses, blocks):
    model = redrawn(config.build().double())
    images = torch.randn(2, 5, 4, 2, generator=torch.Generator().manual_seed(1)).double()
    state = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    expected = [perceiver(state, elements_of(image), config, crosses, blocks) for image in images.numpy()]
    # Positions are rounded to float32 once.
    np.testing.assert_allclose(model(images).detach().numpy(), np.stack(expected), rtol=1e-5, atol=1e-5)
    with torch.no_grad():
        np.testing.assert_allclose(model(images).numpy(), np.stack(expected), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("heads", [1, 3])
def test_attention_with_and_without_gradients_is_the_formula(heads):
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(2, i, 12, generator=generator).double() for i in (5, 7, 7))
    expected = np.stack(
        [attention(*arrays, heads) for arrays in zip(q.numpy(), k.numpy(), v.numpy(), strict=True)]
    )
    np.testing.assert_allclose(attend(q, k, v, heads=heads).numpy(), expected, atol=1e-12)
    with torch.no_grad():
        np.testing.assert_allclose(attend(q, k, v, heads=heads).numpy(), expected, atol=1e-12)
