"""The fast paths compute the plain formula: each is as close to float64 as the plain formula itself."""

from dataclasses import replace

import pytest
import torch

from perceiver import InputError
from perceiver.kernels import GridInputs, grid_attention, grid_positions, normalise, normalised, prepare

FAST = ("absorbed", "factorised")
CASES = {
    "image": {"axes": (9, 13)},
    "one_latent_one_channel_batch_1": {"axes": (7, 5), "batch": 1, "latents": 1, "data_channels": 1},
    "one_row": {"axes": (1, 31), "latents": 3},
    "sound": {"axes": (37,), "data_channels": 4},
    "video": {"axes": (3, 4, 5), "data_channels": 12, "bands": 2},
    "several_heads": {"axes": (6, 7), "heads": 3, "width": 24},
    "narrow_queries": {"axes": (6, 7), "width": 5},
    "sharp": {"axes": (8, 8), "sharpness": 60.0},
    "larger": {"axes": (45, 51), "bands": 16, "latents": 33},
}


def error(given, exact):
    return ((given.double() - exact).norm() / exact.norm()).item()


@pytest.mark.parametrize("path", FAST)
@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_results_and_gradients_are_within_three_times_the_plain_formulas_error(cross_attend_case, path, case):
    drawn = cross_attend_case(**case)
    exact = drawn.to(torch.float64).result_and_gradients("plain")
    plain, fast = drawn.result_and_gradients("plain"), drawn.result_and_gradients(path)
    for of_fast, of_plain, reference in zip(fast, plain, exact, strict=True):
        # On a few dozen numbers the plain error may be small by luck; a rounding of float32 is 6e-8.
        assert error(of_fast, reference) <= 3 * max(error(of_plain, reference), 1.2e-7)


@pytest.mark.parametrize("path", FAST)
def test_the_same_holds_under_bfloat16_autocast(cross_attend_case, path):
    drawn = cross_attend_case((12, 15), latents=16)
    exact = drawn.to(torch.float64).result_and_gradients("plain")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        plain, fast = drawn.result_and_gradients("plain"), drawn.result_and_gradients(path)
    for of_fast, of_plain, reference in zip(fast, plain, exact, strict=True):
        assert error(of_fast, reference) <= 3 * error(of_plain, reference)


@pytest.mark.parametrize("path", FAST)
def test_in_float64_the_paths_agree_to_rounding(cross_attend_case, path):
    drawn = cross_attend_case((9, 13), heads=2, width=10).to(torch.float64)
    for fast, exact in zip(
        drawn.result_and_gradients(path), drawn.result_and_gradients("plain"), strict=True
    ):
        torch.testing.assert_close(fast, exact, rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("logits", [7, 40, 200, 1000])
@pytest.mark.parametrize("path", FAST)
def test_the_size_of_blocks_does_not_matter(cross_attend_case, monkeypatch, path, logits):
    drawn = cross_attend_case((9, 13), batch=3, latents=5).to(torch.float64)
    whole = drawn.result_and_gradients(path)
    monkeypatch.setattr(grid_attention, "TILE", logits)
    monkeypatch.setattr(normalised, "BLOCK", logits)
    for in_blocks, at_once in zip(drawn.result_and_gradients(path), whole, strict=True):
        torch.testing.assert_close(in_blocks, at_once, rtol=1e-10, atol=1e-11)


def test_elements_in_grid_order_stand_for_any_permutation_of_them(cross_attend_case):
    drawn = cross_attend_case((9, 13)).to(torch.float64)
    order = torch.randperm(9 * 13, generator=torch.Generator().manual_seed(3))
    permuted = replace(drawn, elements=drawn.elements[:, order])
    torch.testing.assert_close(drawn.attend("factorised"), permuted.attend("plain"), rtol=1e-10, atol=1e-11)


def test_a_maximum_between_the_samples_does_not_overflow(cross_attend_case):
    drawn = cross_attend_case((60, 60), sharpness=1.0)
    data = torch.zeros_like(drawn.data)
    data[:, 60 * 31 + 31] = torch.tensor([50.0, -50.0, 0.0])  # neither row nor column is looked at
    elements = torch.cat([data, drawn.elements[..., 3:]], dim=-1)
    weight = drawn.projections.key_weight
    query = torch.zeros_like(drawn.query) + 1200 * (weight[:, 0] - weight[:, 1])
    drawn = replace(drawn, data=data, elements=elements, query=query)
    inputs = drawn.grid_inputs()
    queries = drawn.projections.fold_query(query)
    sampled = grid_attention._maximum(inputs.grid.every(4, 4), queries)
    assert (grid_attention._maximum(inputs.grid, queries) - sampled).min() > 200
    exact = drawn.to(torch.float64).attend("plain")
    torch.testing.assert_close(drawn.attend("factorised").double(), exact, rtol=1e-5, atol=1e-5)


def test_eight_bit_pixels_are_the_floats_they_stand_for(cross_attend_case):
    drawn = cross_attend_case((9, 13))
    pixels = torch.randint(0, 256, drawn.data.shape, dtype=torch.uint8)
    mean, deviation = torch.tensor([0.49, 0.46, 0.41]), torch.tensor([0.23, 0.22, 0.225])
    grid = prepare(pixels, drawn.positions, scale=1 / (255 * deviation), shift=-mean / deviation)
    floats = replace(drawn, data=(pixels.float() / 255 - mean) / deviation)
    queries = drawn.projections.fold_query(drawn.query)
    given, expected = GridInputs(grid).attend(queries), floats.grid_inputs().attend(queries)
    torch.testing.assert_close(given, expected, rtol=1e-5, atol=1e-5)


def test_large_equal_pixels_keep_the_precision_of_the_norm(cross_attend_case):
    drawn = cross_attend_case((9, 13))
    drawn = replace(drawn, data=drawn.data + 1000)
    drawn = replace(drawn, elements=torch.cat([drawn.data, drawn.elements[..., 3:]], dim=-1))
    exact = drawn.to(torch.float64).attend("plain")
    assert error(drawn.attend("factorised"), exact) <= 3 * max(error(drawn.attend("plain"), exact), 1.2e-7)


def test_the_absorbed_path_gives_elements_the_gradient_they_ask_for(cross_attend_case):
    drawn = cross_attend_case((5, 7)).to(torch.float64)
    gradients = []
    for path in ("plain", "absorbed"):
        elements = drawn.elements.clone().requires_grad_()
        replace(drawn, elements=elements).attend(path).square().sum().backward()
        gradients.append(elements.grad)
    torch.testing.assert_close(*gradients, rtol=1e-10, atol=1e-11)


def test_elements_that_need_no_gradient_cost_none(cross_attend_case):
    drawn = cross_attend_case((5, 7))
    inputs = normalise(drawn.elements)
    queries = drawn.projections.fold_query(drawn.query).detach().requires_grad_()
    out = inputs.attend(queries)
    _, elements = normalised._normalised_attend_backward(
        torch.ones_like(out), queries, inputs.elements, elements_too=False
    )
    assert elements.numel() == 0


def test_the_keys_bias_has_a_gradient_and_it_is_zero(cross_attend_case):
    for path in FAST:
        drawn = cross_attend_case((5, 7))
        bias = drawn.projections.key_bias.requires_grad_()
        drawn.attend(path).sum().backward()
        assert bias.grad is not None
        assert not bias.grad.any()


@pytest.mark.parametrize("path", FAST)
def test_the_compiler_sees_one_operator_without_graph_breaks(cross_attend_case, path):
    drawn = cross_attend_case((5, 7))
    inputs = normalise(drawn.elements) if path == "absorbed" else drawn.grid_inputs()
    queries = drawn.projections.fold_query(drawn.query).detach()
    compiled = torch.compile(inputs.attend, fullgraph=True, backend="aot_eager")
    gradients = []
    for attend in (inputs.attend, compiled):
        q = queries.clone().requires_grad_()
        attend(q).square().sum().backward()
        gradients.append(q.grad)
    torch.testing.assert_close(*gradients)


def test_tables_that_do_not_fit_the_channels_are_refused():
    with pytest.raises(InputError, match=r"tables must have \[2, 1\] features"):
        grid_positions([torch.zeros(4, 2), torch.zeros(5, 2)], [0, 1, 0])


def test_data_of_another_grid_is_refused(cross_attend_case):
    drawn = cross_attend_case((5, 7))
    with pytest.raises(InputError, match="5 x 7 elements, given 34"):
        prepare(drawn.data[:, 1:], drawn.positions)
