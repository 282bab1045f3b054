"""The Triton kernels compute what the tensor operations compute; on CPUs in Triton's interpreter."""

import pytest
import torch

pytest.importorskip("triton", reason="Triton is not installed: it is for Linux on x86-64")

from perceiver.kernels import grid_attention, grid_triton

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
CASES = {
    "odd_sizes": {"axes": (5, 7)},
    "batch_1_one_channel": {"axes": (9, 17), "batch": 1, "data_channels": 1, "latents": 19},
    "columns_split_between_programs": {"axes": (3, 131), "batch": 1},
    "five_channels_sharp": {"axes": (4, 20), "data_channels": 5, "sharpness": 60.0},
    "three_axes": {"axes": (2, 3, 5)},
}


def error(given, exact):
    return ((given.double() - exact).norm() / exact.norm()).item()


def centred_queries(drawn):
    queries = drawn.projections.fold_query(drawn.query)
    return queries - queries.mean(-1, keepdim=True)


def run(kernels, grid, queries):
    out, normaliser = kernels.forward(grid, queries)
    generator = torch.Generator().manual_seed(2)
    grad = torch.randn(out.shape, generator=generator, dtype=torch.float64).to(out)
    return out, kernels.backward(grid, queries, out, normaliser, grad)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_forward_and_backward_are_as_exact_as_the_tensor_operations(cross_attend_case, case):
    drawn = cross_attend_case(**case)
    exact = run(grid_attention, drawn.to(torch.float64).grid_inputs().grid, centred_queries(drawn).double())
    grid = type(drawn.grid_inputs().grid)(*(x.to(DEVICE) for x in drawn.grid_inputs().grid))
    queries = centred_queries(drawn).to(DEVICE)
    plain, ours = run(grid_attention, grid, queries), run(grid_triton, grid, queries)
    for of_triton, of_tensors, reference in zip(ours, plain, exact, strict=True):
        assert error(of_triton.cpu(), reference) <= 3 * max(error(of_tensors.cpu(), reference), 1.2e-7)


def test_bfloat16_arguments_lose_only_their_own_rounding(cross_attend_case):
    drawn = cross_attend_case((5, 40), latents=20)
    grid = drawn.grid_inputs().grid
    rounded = grid._replace(keys=grid.keys.bfloat16())
    queries = centred_queries(drawn).bfloat16()
    of_rounded = run(
        grid_triton, type(grid)(*(x.float().to(DEVICE) for x in rounded)), queries.float().to(DEVICE)
    )
    ours = run(grid_triton, type(grid)(*(x.to(DEVICE) for x in rounded)), queries.to(DEVICE))
    assert ours[0].dtype == torch.bfloat16
    for result, expected in zip(ours, of_rounded, strict=True):
        assert error(result, expected.double()) < 2**-7
