"""A model computes the same on every path, and says which one it takes and why."""

from dataclasses import replace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

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
    variants,
)
from perceiver.kernels import CrossAttendShape, choose, grid_attention
from perceiver.paths import cross_attend_shape

SMALL = PerceiverConfig(
    inputs=Image(6, 5, positions=Fourier(3, (6, 5))),
    num_latents=7,
    latent_channels=16,
    blocks=2,
    self_attends_per_block=1,
    cross_attends=2,
    self_heads=4,
    num_classes=3,
)
INPUTS = {
    "image": SMALL.inputs,
    "permuted_image": replace(SMALL.inputs, permutation=1),
    "learned_positions": Image(6, 5, positions=Learned(9)),
    "no_positions": Image(6, 5),
    "sound": Audio(40, 4, Fourier(3, 10)),
    "spectrogram": Spectrogram(6, 5, Fourier(3, (6, 5)), flat=False),
    "video": Video(4, 8, 8, patch=(2, 2, 4), positions=Fourier(2, (2, 4, 2))),
    "points": Points(11, Fourier(3, 20)),
    "fusion": Fusion((Modality("video", SMALL.inputs), Modality("audio", Audio(40, 4, Fourier(3, 10))))),
}


def batch(inputs, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    shapes = inputs.shape if isinstance(inputs.shape, dict) else {"": inputs.shape}
    drawn = {k: torch.rand(2, *s, generator=generator, dtype=dtype) for k, s in shapes.items()}
    return drawn if isinstance(inputs.shape, dict) else drawn[""]


def model_of(config, dtype=torch.float64):
    torch.manual_seed(0)
    model = config.build().to(dtype)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model


def logits_and_gradients(model, raw, path):
    model.attention_path = path
    logits = model(raw)
    gradients = torch.autograd.grad(logits.square().sum(), list(model.parameters()))
    return [logits, *gradients]


@pytest.mark.parametrize("path", ["auto", "absorbed", "factorised"])
@pytest.mark.parametrize("inputs", INPUTS.values(), ids=INPUTS.keys())
def test_logits_and_all_gradients_are_those_of_the_plain_formula(inputs, path):
    model, raw = model_of(replace(SMALL, inputs=inputs)), batch(inputs)
    given, expected = logits_and_gradients(model, raw, path), logits_and_gradients(model, raw, "plain")
    for of_path, of_plain in zip(given, expected, strict=True):
        torch.testing.assert_close(of_path, of_plain, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("heads", [3, 9])
@pytest.mark.parametrize("path", ["absorbed", "factorised"])
def test_the_same_holds_for_several_heads_and_narrow_queries(path, heads):
    inputs = Image(6, 5, 4, positions=Fourier(3, (6, 5)))
    config = replace(SMALL, inputs=inputs, latent_channels=12 if heads == 3 else 36, cross_heads=heads)
    config = replace(config, qkv_channels="min" if heads == 3 else "input")
    model, raw = model_of(config), batch(inputs)
    given, expected = logits_and_gradients(model, raw, path), logits_and_gradients(model, raw, "plain")
    for of_path, of_plain in zip(given, expected, strict=True):
        torch.testing.assert_close(of_path, of_plain, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("path", ["absorbed", "factorised"])
def test_a_bfloat16_model_runs_on_every_path(path):
    model, raw = model_of(SMALL, torch.bfloat16), batch(SMALL.inputs, torch.bfloat16)
    model.attention_path = path
    logits = model(raw)
    assert logits.dtype == torch.bfloat16
    assert logits.isfinite().all()


@pytest.mark.parametrize("path", ["absorbed", "factorised"])
def test_every_path_is_one_graph_without_breaks(path):
    model, raw = model_of(SMALL, torch.float32), batch(SMALL.inputs, torch.float32)
    model.attention_path = path
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(raw), model(raw))


def test_pixels_that_need_gradients_get_them():
    model, gradients = model_of(SMALL), []
    for path in ("plain", "factorised"):
        raw = batch(SMALL.inputs).requires_grad_()
        model.attention_path = path
        model(raw).square().sum().backward()
        gradients.append(raw.grad)
    torch.testing.assert_close(*gradients, rtol=1e-8, atol=1e-9)


def test_a_grid_is_attended_to_without_elements_or_logits(monkeypatch):
    config = replace(SMALL, inputs=Image(64, 64, positions=Fourier(16, 64)), num_latents=64)
    monkeypatch.setattr(grid_attention, "TILE", 1 << 14)
    m, c, n = config.inputs.elements, config.inputs.element_channels, config.num_latents
    largest = 0

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            nonlocal largest
            result = func(*args, **(kwargs or {}))
            if isinstance(result, torch.Tensor):
                largest = max(largest, result.untyped_storage().size() // result.element_size())
            return result

    elements, queries = config.inputs.build(), torch.randn(1, n, c)
    with Watch():
        grid = elements.grid_inputs(torch.rand(1, 64, 64, 3)).grid
        out, normaliser = grid_attention.forward(grid, queries)
        grid_attention.backward(grid, queries, out, normaliser, out)
    assert 0 < largest < min(m * c, n * m) // 4


EXPLAINED = {
    "imagenet": (variants.imagenet(), "factorised", "positions on a grid"),
    "learned_positions": (variants.imagenet_learned(), "absorbed", "the elements need gradients"),
    "points": (variants.modelnet40(), "absorbed", "no Fourier positions on a grid"),
    "small": (SMALL, "plain", "too few products"),
    "video": (
        replace(SMALL, inputs=Video(32, 224, 224, positions=Fourier(16, (16, 28, 28))), num_latents=512),
        "absorbed",
        "factorising pays from",
    ),
    "sound": (
        replace(SMALL, inputs=Audio(61440, 128, Fourier(64, 480)), num_latents=512),
        "plain",
        "one axis",
    ),
}


@pytest.mark.parametrize(("config", "path", "reason"), EXPLAINED.values(), ids=EXPLAINED.keys())
def test_the_model_explains_its_path(config, path, reason):
    small = replace(config, blocks=1, cross_attends=1, self_attends_per_block=0)
    choice = small.build().explain(batch=1)
    assert (choice.path, reason in choice.reason) == (path, True), str(choice)


def test_masked_bytes_are_computed_plainly():
    choice = replace(variants.io_language(), blocks=1, self_attends_per_block=1).build().explain(batch=8)
    assert choice.path == "plain"
    assert "not attended to" in choice.reason


def test_dropout_of_weights_leaves_the_plain_formula():
    shape = cross_attend_shape(model_of(SMALL), None)
    assert choose(replace(shape, dropout=0.1), "factorised").path == "plain"


def test_many_heads_leave_the_plain_formula():
    shape = CrossAttendShape(8, 512, 2048, 384, 384, 384, heads=8, grid_axes=None)
    assert choose(shape).path == "plain"
    assert choose(replace(shape, heads=1)).path == "absorbed"


def test_on_a_gpu_the_reason_names_what_the_kernels_do_not_take():
    image = CrossAttendShape(1, 512, 50176, 261, 3, 261, heads=1, grid_axes=(224, 224), device="cuda")
    assert "Triton kernels work in float32" in choose(replace(image, dtype=torch.float64)).reason
    assert "not 384" in choose(replace(image, data_channels=384)).reason


def test_a_path_there_is_none_of_is_refused():
    model = model_of(SMALL)
    model.attention_path = "factorized"
    with pytest.raises(ConfigError, match="did you mean 'factorised'"):
        model(batch(SMALL.inputs))
