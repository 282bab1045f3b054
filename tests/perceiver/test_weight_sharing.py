"""Which module serves which place, and each misreading of the paper found in public implementations."""

from dataclasses import replace

import pytest
import torch

from perceiver import Fourier, Image, PerceiverConfig, variants
from perceiver.sharing import Place, places

SMALL = PerceiverConfig(
    inputs=Image(4, 4, channels=1, positions=Fourier(2, 4)),
    num_latents=3,
    latent_channels=8,
    blocks=4,
    self_attends_per_block=2,
    cross_attends=2,
    self_heads=2,
    num_classes=5,
)


def cross(*modules):
    return [Place("cross_attend", module) for module in modules]


def block(*modules):
    return [Place("block", module) for module in modules]


@pytest.mark.parametrize(
    ("sharing", "crosses", "blocks"),
    [
        ("none", [0, 1, 2, 3], [0, 1, 2, 3]),
        ("published", [0, 1, 1, 1], [0, 0, 0, 0]),
        ("first_block_own", [0, 1, 1, 1], [0, 1, 1, 1]),
        ("all", [0, 0, 0, 0], [0, 0, 0, 0]),
    ],
)
def test_the_four_sharings(sharing, crosses, blocks):
    row = places(blocks=4, cross_attends=4, placement="interleaved", sharing=sharing)
    assert [place.module for place in row if place.kind == "cross_attend"] == crosses
    assert [place.module for place in row if place.kind == "block"] == blocks


def test_interleaved_cross_attends_are_evenly_spaced_from_the_start():
    row = places(blocks=4, cross_attends=2, placement="interleaved", sharing="none")
    assert list(row) == cross(0) + block(0, 1) + cross(1) + block(2, 3)


def test_cross_attends_at_the_start_all_come_before_the_first_block():
    row = places(blocks=4, cross_attends=2, placement="at_start", sharing="none")
    assert list(row) == cross(0, 1) + block(0, 1, 2, 3)


def test_one_cross_attend_is_the_same_network_at_the_start_and_interleaved():
    at_start, interleaved = (
        variants.imagenet(cross_attends=1, placement=placement) for placement in ("at_start", "interleaved")
    )
    assert at_start.places == interleaved.places


def test_placement_changes_the_function_and_not_the_parameters():
    torch.manual_seed(0)
    interleaved, at_start = SMALL.build(), replace(SMALL, placement="at_start").build()
    torch.nn.init.normal_(interleaved.head.weight)
    at_start.load_state_dict(interleaved.state_dict())
    x = torch.randn(2, 4, 4, 1)
    assert (interleaved(x) - at_start(x)).abs().max() > 1e-3


def test_the_published_model_is_not_the_one_with_its_first_block_unshared():
    # The reading of section 4.1 and of perceiver-pytorch's weight_tie_layers; the paper prints 44.9M.
    assert round(replace(variants.imagenet(), sharing="first_block_own").parameters() / 1e6, 1) == 82.7
    assert len(variants.imagenet().places) == 16
    with torch.device("meta"):
        assert len(variants.imagenet().build().blocks) == 1


def test_the_published_model_is_not_the_one_with_its_first_cross_attend_shared():
    assert round(replace(variants.imagenet(), sharing="all").parameters() / 1e6, 1) == 42.1
    with torch.device("meta"):
        assert len(variants.imagenet().build().cross_attends) == 2


def test_the_self_attends_of_a_tied_block_stay_distinct():
    # openclimatefix/perceiver-pytorch ties them into one by accident.
    model = SMALL.build()
    first, second = model.blocks[0]
    assert first is not second
    assert not torch.equal(first.query.weight, second.query.weight)


def test_a_shared_module_receives_the_gradients_of_all_its_places():
    torch.manual_seed(0)
    shared = replace(SMALL, sharing="all", self_attends_per_block=1).build().double()
    own = replace(SMALL, sharing="none", self_attends_per_block=1).build().double()
    torch.nn.init.normal_(shared.head.weight)
    own.latents.data.copy_(shared.latents.data)
    own.head.load_state_dict(shared.head.state_dict())
    for ours in own.cross_attends:
        ours.load_state_dict(shared.cross_attends[0].state_dict())
    for ours in own.blocks:
        ours.load_state_dict(shared.blocks[0].state_dict())
    x = torch.randn(2, 4, 4, 1, dtype=torch.float64)
    for model in (shared, own):
        model(x).square().sum().backward()
    for kind in ("cross_attends", "blocks"):
        for name, parameter in getattr(shared, kind)[0].named_parameters():
            summed = sum(dict(module.named_parameters())[name].grad for module in getattr(own, kind))
            torch.testing.assert_close(parameter.grad, summed, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("sharing", ["none", "published", "first_block_own", "all"])
def test_the_state_dict_holds_every_tensor_once_and_loads_strictly(sharing):
    config = replace(SMALL, sharing=sharing)
    state = config.build().state_dict()
    assert len({tensor.data_ptr() for tensor in state.values()}) == len(state)
    assert sum(tensor.numel() for tensor in state.values()) == config.parameters()
    other = config.build()
    other.load_state_dict(state, strict=True)
    assert all(torch.equal(tensor, other.state_dict()[name]) for name, tensor in state.items())


def test_the_state_dict_keeps_its_names():
    # Checkpoints on disk and the import of released weights depend on them.
    layer = {"norm_mlp.weight", "norm_mlp.bias", "mlp.0.weight", "mlp.0.bias", "mlp.2.weight", "mlp.2.bias"}
    layer |= {f"{name}.{kind}" for name in ("query", "key", "value", "out") for kind in ("weight", "bias")}
    norms = {f"{name}.{kind}" for name in ("norm_latents", "norm_inputs") for kind in ("weight", "bias")}
    names = {"latents", "head.weight", "head.bias"}
    names |= {f"cross_attends.{i}.{name}" for i in (0, 1) for name in layer | norms}
    names |= {f"blocks.0.{j}.{name}" for j in (0, 1) for name in layer | {"norm.weight", "norm.bias"}}
    assert set(SMALL.build().state_dict()) == names
