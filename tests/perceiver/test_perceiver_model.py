"""What a Perceiver does and refuses, whatever its weights."""

import subprocess
import sys
from dataclasses import replace

import pytest
import torch

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
    Points,
    variants,
)

SMALL = PerceiverConfig(
    inputs=Image(6, 5, channels=1, positions=Fourier(4, 6)),
    num_latents=7,
    latent_channels=16,
    blocks=2,
    self_attends_per_block=2,
    cross_attends=2,
    self_heads=4,
    num_classes=10,
)


def trained(config, seed=0):
    """A model whose logits are not zero."""
    torch.manual_seed(seed)
    model = config.build()
    torch.nn.init.normal_(model.head.weight)
    return model


@pytest.mark.parametrize("positions", [Fourier(4, 6), Learned(9), None], ids=["fourier", "learned", "none"])
def test_permuting_pixels_with_their_positions_leaves_the_logits_unchanged(positions):
    config = replace(SMALL, inputs=replace(SMALL.inputs, positions=positions))
    permuted = replace(config, inputs=replace(config.inputs, permutation=3))
    model, images = trained(config), torch.randn(4, 6, 5, 1)
    other = permuted.build()
    other.load_state_dict(model.state_dict())
    assert not torch.equal(other.inputs(images), model.inputs(images))
    torch.testing.assert_close(other(images), model(images), rtol=0, atol=1e-5)


def test_permuting_pixels_without_their_positions_changes_the_logits():
    model, images = trained(SMALL), torch.randn(4, 6, 5, 1)
    shuffled = images.reshape(4, 30, 1)[:, torch.randperm(30)].reshape(4, 6, 5, 1)
    assert (model(shuffled) - model(images)).abs().max() > 1e-2


def test_a_permutation_is_one_fixed_order_for_all_images_and_builds():
    inputs = Image(6, 5, channels=1, permutation=11)
    images = torch.arange(60.0).reshape(2, 6, 5, 1)
    first, second = inputs.build()(images), inputs.build()(images)
    assert torch.equal(first, second)
    assert torch.equal(first[1] - 30, first[0])
    assert sorted(first[0].flatten().tolist()) == list(range(30))
    assert not torch.equal(first, replace(inputs, permutation=12).build()(images))


def test_the_order_of_points_does_not_change_the_logits():
    # BaiardiLorenzo/Perceiver encodes the index of a point in place of its coordinates.
    model = trained(replace(SMALL, inputs=Points(40, positions=Fourier(8, 64))))
    cloud = torch.rand(3, 40, 3) * 2 - 1
    torch.testing.assert_close(model(cloud[:, torch.randperm(40)]), model(cloud), rtol=0, atol=1e-5)


def test_examples_of_a_batch_do_not_see_each_other():
    model, images = trained(SMALL), torch.randn(5, 6, 5, 1)
    one_by_one = torch.cat([model(image[None]) for image in images])
    torch.testing.assert_close(model(images), one_by_one, rtol=0, atol=1e-5)


def test_every_parameter_receives_a_gradient():
    inputs = Fusion(
        (
            Modality("audio", Audio(32, patch=4, positions=Learned(3))),
            Modality("image", Image(4, 4, positions=Fourier(2, 4)), dropout=0.2),
        )
    )
    model = trained(replace(SMALL, inputs=inputs, sharing="first_block_own")).train()
    model({"audio": torch.randn(3, 32), "image": torch.randn(3, 4, 4, 3)}).square().sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    # A key's bias shifts all logits of a query alike, and so has the gradient zero, up to rounding.
    still = {name for name, parameter in model.named_parameters() if not parameter.grad.abs().max() > 1e-9}
    assert all(name.endswith("key.bias") for name in still)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_a_model_of_another_precision_takes_float32_images(dtype):
    model, images = trained(SMALL), torch.randn(2, 6, 5, 1)
    expected = model(images)
    logits = model.to(dtype)(images)
    assert logits.dtype == dtype
    error = (logits.float() - expected).norm() / expected.norm()
    assert error < (1e-5 if dtype == torch.float64 else 2**-5)


def test_the_specification_states_what_the_model_takes_and_gives():
    assert SMALL.input_shape == (6, 5, 1)
    assert SMALL.num_outputs == 10
    assert trained(SMALL)(torch.rand(2, *SMALL.input_shape)).shape == (2, 10)
    assert variants.audioset_raw_video().input_shape == {"audio": (61_440,), "video": (32, 224, 224, 3)}


IMAGES = torch.rand(2, 6, 5, 1)


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        (torch.rand(2, 6, 5, 3), r"Image expects .*\(b, 6, 5, 1\), given float32 of shape \(2, 6, 5, 3\)$"),
        (torch.rand(2, 1, 6, 5), r"given float32 of shape \(2, 1, 6, 5\); channels go last"),
        (torch.rand(2, 5, 6, 1), r"\(b, 6, 5, 1\), given float32 of shape \(2, 5, 6, 1\)"),
        (torch.rand(6, 5, 1), r"given float32 of shape \(6, 5, 1\)"),
        (IMAGES[:0], r"at least one example.*\(0, 6, 5, 1\)"),
        ((IMAGES * 255).byte(), r"given uint8 of shape \(2, 6, 5, 1\); convert and normalise"),
        (IMAGES.index_fill(1, torch.tensor(3), float("nan")), "expects finite values.*with NaN or infinity"),
        (IMAGES.index_fill(1, torch.tensor(3), float("-inf")), "expects finite values.*with NaN or infinity"),
        (IMAGES.numpy(), "given ndarray"),
    ],
)
def test_batches_that_do_not_fit_are_refused_with_what_was_expected_and_given(batch, message):
    with pytest.raises(InputError, match=message) as refusal:
        SMALL.build()(batch)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"latent_channels": 100, "self_heads": 8},
            "divisible by self_heads, given 100 and 8; try 96 or 104",
        ),
        ({"cross_heads": 8}, "width of the cross-attends must be divisible by cross_heads, given 19 and 8"),
        ({"cross_attends": 3, "blocks": 4}, r"given 3 for 4 blocks; try one of \[1, 2, 4\] or .*'at_start'"),
        (
            {"cross_attends": 4},
            r"must divide blocks when interleaved, given 4 for 2 blocks; try one of \[1, 2\]",
        ),
        ({"num_latents": 0}, "num_latents must be an integer of at least 1, given 0"),
        ({"num_latents": 2.5}, "num_latents must be an integer of at least 1, given 2.5"),
        ({"blocks": True}, "blocks must be an integer of at least 1, given True"),
        ({"self_attends_per_block": -1}, "self_attends_per_block must be an integer of at least 0, given -1"),
        ({"placement": "interleave"}, "given 'interleave'; did you mean 'interleaved'?"),
        ({"sharing": "publish"}, "given 'publish'; did you mean 'published'?"),
        ({"gelu": "erf"}, "gelu must be one of 'tanh', 'exact', given 'erf'"),
        ({"latent_init_std": 0.0}, "latent_init_std must be positive, given 0.0"),
        ({"latent_init_std": float("nan")}, "latent_init_std must be positive, given nan"),
    ],
)
def test_impossible_perceivers_are_refused_with_the_way_out(change, message):
    with pytest.raises(ConfigError, match=message) as refusal:
        replace(SMALL, **change)
    assert "\n" not in str(refusal.value)


def test_more_cross_attends_than_blocks_are_possible_at_the_start():
    config = replace(SMALL, cross_attends=5, placement="at_start")
    assert [place.kind for place in config.places] == ["cross_attend"] * 5 + ["block"] * 2


@pytest.mark.parametrize(
    "inputs", [SMALL.inputs, Points(9, positions=Fourier(4, 8))], ids=["image", "points"]
)
def test_the_model_is_one_graph_without_breaks(inputs):
    model = trained(replace(SMALL, inputs=inputs))
    graph_only = torch.compile(model, fullgraph=True, backend="eager")
    batch = torch.rand(2, *inputs.shape)
    torch.testing.assert_close(graph_only(batch), model(batch))


@pytest.mark.slow
def test_the_compiled_model_computes_the_same_logits():
    model, images = trained(SMALL), torch.randn(2, 6, 5, 1)
    torch.testing.assert_close(torch.compile(model, fullgraph=True)(images), model(images))


def test_importing_the_package_needs_neither_ray_nor_mlflow():
    blocked = ("ray", "mlflow", "optuna", "pyarrow", "transformers", "sklearn", "lab", "pipelines", "sweeps")
    program = f"import sys; sys.modules.update(dict.fromkeys({blocked})); import perceiver.variants"
    subprocess.run([sys.executable, "-c", program], check=True)
