"""One cross-attend's tensors, for the tests of the kernels."""

import math
import os
from dataclasses import dataclass, fields, replace

import pytest
import torch

if not torch.cuda.is_available():
    # Triton reads it once, when it is imported.
    os.environ["TRITON_INTERPRET"] = "1"

from perceiver import Fourier
from perceiver.kernels import GridInputs, Projections, grid_positions, normalise, plain_attention, prepare
from perceiver.positions import axis_features, grid_features


@dataclass(frozen=True, eq=False)
class CrossAttendCase:
    """Queries (b, n, k), data (b, m, x) on a grid, the elements (b, m, c) these make, and projections."""

    query: torch.Tensor
    data: torch.Tensor
    elements: torch.Tensor
    positions: object
    projections: Projections

    def to(self, dtype):
        tensors = [f.name for f in fields(Projections) if f.name not in {"heads", "eps"}]
        return CrossAttendCase(
            self.query.to(dtype),
            self.data.to(dtype),
            self.elements.to(dtype),
            type(self.positions)(*(table.to(dtype) for table in self.positions)),
            replace(self.projections, **{t: getattr(self.projections, t).to(dtype) for t in tensors}),
        )

    def grid_inputs(self):
        return GridInputs(prepare(self.data, self.positions))

    def attend(self, path):
        p = self.projections
        if path == "plain":
            return plain_attention(self.query, self.elements, p)
        inputs = normalise(self.elements) if path == "absorbed" else self.grid_inputs()
        return p.unfold_context(inputs.attend(p.fold_query(self.query)))

    def trained(self):
        """All that gets a gradient whatever the inputs; the key's bias apart, whose gradient is zero."""
        p = self.projections
        return self.query, p.norm_scale, p.norm_offset, p.key_weight, p.value_weight, p.value_bias

    def result_and_gradients(self, path):
        tensors = [tensor.detach().requires_grad_() for tensor in self.trained()]
        query, scale, offset, key, value, bias = tensors
        projections = replace(
            self.projections,
            norm_scale=scale,
            norm_offset=offset,
            key_weight=key,
            value_weight=value,
            value_bias=bias,
        )
        result = replace(self, query=query, projections=projections).attend(path)
        generator = torch.Generator().manual_seed(1)
        weights = torch.randn(result.shape, generator=generator, dtype=torch.float64).to(result.dtype)
        return [result.detach(), *torch.autograd.grad((result * weights).sum(), tensors)]


@pytest.fixture
def cross_attend_case():
    """A function that draws a case; `sharpness` is the deviation of the queries."""

    def draw(axes, *, batch=2, latents=6, data_channels=3, bands=3, heads=1, width=None, sharpness=3.0):
        generator = torch.Generator().manual_seed(0)

        def normal(*shape):
            return torch.randn(*shape, generator=generator)

        fourier = Fourier(bands, tuple(float(max(2, size)) for size in axes))
        features = grid_features(axes, fourier)
        data = normal(batch, math.prod(axes), data_channels)
        elements = torch.cat([data, features.expand(batch, -1, -1)], dim=-1)
        c = elements.shape[-1]
        k = width or c
        return CrossAttendCase(
            query=sharpness * normal(batch, latents, k),
            data=data,
            elements=elements,
            positions=grid_positions(*axis_features(axes, fourier)),
            projections=Projections(
                norm_scale=1 + 0.1 * normal(c),
                norm_offset=0.1 * normal(c),
                key_weight=normal(k, c) * c**-0.5,
                key_bias=normal(k),
                value_weight=normal(k, c) * c**-0.5,
                value_bias=normal(k),
                heads=heads,
            ),
        )

    return draw
