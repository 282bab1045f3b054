"""A model of 8-bit pixels is the model of the floats that these stand for."""

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
    InputError,
    Learned,
    Modality,
    PerceiverConfig,
    Pixels,
    Video,
)
from perceiver.baselines import ResNet, Transformer, ViT

PIXELS = Pixels(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
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
    "fourier": SMALL.inputs,
    "permuted": replace(SMALL.inputs, permutation=1),
    "learned": Image(6, 5, positions=Learned(9)),
    "no_positions": Image(6, 5),
    "video": Video(4, 8, 8, patch=(2, 2, 4), positions=Fourier(2, (2, 4, 2))),
}


def pair(config):
    """A model of floats and one of pixels with the same weights, in float64."""
    torch.manual_seed(0)
    of_floats = config.build().double()
    for parameter in of_floats.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    of_pixels = replace(config, inputs=replace(config.inputs, pixels=PIXELS)).build().double()
    of_pixels.load_state_dict(of_floats.state_dict())
    return of_floats, of_pixels


def drawn(shape):
    raw = torch.randint(0, 256, (2, *shape), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    mean, std = torch.tensor(PIXELS.mean, dtype=torch.float64), torch.tensor(PIXELS.std, dtype=torch.float64)
    return raw, (raw.double() / 255 - mean) / std


@pytest.mark.parametrize("path", ["plain", "absorbed", "factorised"])
@pytest.mark.parametrize("inputs", INPUTS.values(), ids=INPUTS.keys())
def test_logits_and_gradients_are_those_of_the_floats(inputs, path):
    of_floats, of_pixels = pair(replace(SMALL, inputs=inputs))
    raw, floats = drawn(inputs.shape)
    results = []
    for model, batch in ((of_floats, floats), (of_pixels, raw)):
        model.attention_path = path
        logits = model(batch)
        results.append([logits, *torch.autograd.grad(logits.square().sum(), list(model.parameters()))])
    for given, expected in zip(*results, strict=True):
        # The factors are float32, as all constants of a model are.
        torch.testing.assert_close(given, expected, rtol=1e-5, atol=1e-6)


def test_no_array_of_elements_is_made_of_pixels():
    config = replace(SMALL, inputs=Image(64, 64, positions=Fourier(16, 64), pixels=PIXELS))
    elements, largest = config.inputs.build(), 0

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            nonlocal largest
            result = func(*args, **(kwargs or {}))
            if isinstance(result, torch.Tensor):
                largest = max(largest, result.untyped_storage().size() // result.element_size())
            return result

    with Watch():
        elements.grid_inputs(torch.zeros(1, 64, 64, 3, dtype=torch.uint8))
    assert 0 < largest < 64 * 64 * config.inputs.element_channels // 4


VIDEO = INPUTS["video"]
SOUND = Audio(32, patch=4, positions=Fourier(2, 8))
FUSION = Fusion((Modality("audio", SOUND), Modality("video", VIDEO, dropout=0.5)))
IN_PIXELS = replace(
    FUSION, modalities=(FUSION.modalities[0], Modality("video", replace(VIDEO, pixels=PIXELS), dropout=0.5))
)


@pytest.mark.parametrize("training", [True, False])
def test_a_fusion_drops_the_same_examples_of_pixels_to_the_same_values(training):
    torch.manual_seed(0)
    of_floats = replace(SMALL, inputs=FUSION).build().double().train(training)
    of_pixels = replace(SMALL, inputs=IN_PIXELS).build().double().train(training)
    of_pixels.load_state_dict(of_floats.state_dict())
    raw, floats = (torch.cat([each] * 10) for each in drawn(VIDEO.shape))
    sound = torch.randn(20, 32, dtype=torch.float64)
    results = []
    for model, video in ((of_floats, floats), (of_pixels, raw)):
        torch.manual_seed(1)
        elements = model.inputs({"audio": sound, "video": video})
        torch.manual_seed(1)
        logits = model({"audio": sound, "video": video})
        results.append([elements, *torch.autograd.grad(logits.square().sum(), list(model.parameters()))])
    for given, expected in zip(*reversed(results), strict=True):
        torch.testing.assert_close(given, expected, rtol=1e-5, atol=1e-6)
    for elements, *_ in results:
        dropped = (elements[:, SOUND.elements :, : VIDEO.data_channels] == 0).flatten(1).all(1)
        assert 0 < dropped.sum() < 20 if training else not dropped.any()


BASELINES = {
    "resnet": ResNet(Image(32, 32), depths=(1, 1, 1, 1), widths=(8, 8, 8, 8), num_classes=3),
    "vit": ViT(Image(32, 32), patch=8, width=16, depth=1, heads=2, num_classes=3),
    "transformer": Transformer(Image(32, 32), grid=(4, 4), width=16, depth=1, heads=2, num_classes=3),
}


@pytest.mark.parametrize("baseline", BASELINES.values(), ids=BASELINES.keys())
def test_a_baseline_takes_the_same_pixels(baseline):
    raw, floats = drawn((32, 32, 3))
    of_floats = baseline.build().double().eval()
    of_pixels = replace(baseline, inputs=replace(baseline.inputs, pixels=PIXELS)).build().double().eval()
    of_pixels.load_state_dict(of_floats.state_dict())
    torch.testing.assert_close(of_pixels(raw), of_floats(floats), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.int64, torch.int8])
def test_where_pixels_are_due_all_else_is_refused(dtype):
    model = replace(SMALL, inputs=Image(6, 5, pixels=PIXELS)).build()
    with pytest.raises(InputError, match=r"a uint8 tensor of shape \(b, 6, 5, 3\), given .*pixels=None$"):
        model(torch.zeros(2, 6, 5, 3, dtype=dtype))


def test_where_floats_are_due_pixels_are_refused():
    with pytest.raises(InputError, match=r"a float tensor .* given uint8 .*; convert and normalise it first"):
        SMALL.build()(torch.zeros(2, 6, 5, 3, dtype=torch.uint8))


@pytest.mark.parametrize(
    ("specify", "message"),
    [
        (lambda: Pixels((0.5,), (0.2, 0.2)), "one number per channel each"),
        (lambda: Pixels((), ()), "one number per channel each"),
        (lambda: Pixels((0.5,), (0.0,)), r"Pixels.std must be positive, given \(0.0,\)"),
        (lambda: Pixels((float("nan"),), (1.0,)), "Pixels.mean must be finite"),
        (
            lambda: Image(6, 5, 1, pixels=PIXELS),
            "Image.pixels must have a mean and std per channel, 1, given 3",
        ),
        (lambda: Video(4, 8, 8, 1, pixels=PIXELS), "Video.pixels must have .* 1, given 3"),
    ],
)
def test_impossible_pixels_are_refused(specify, message):
    with pytest.raises(ConfigError, match=message) as refusal:
        specify()
    assert "\n" not in str(refusal.value)
