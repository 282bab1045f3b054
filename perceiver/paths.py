"""How a model's cross-attends see its inputs: as elements, as normalised elements, or as a grid."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from perceiver.elements import GridElements
from perceiver.io_inputs import ByteElements
from perceiver.kernels import CrossAttendShape, GridInputs, NormalisedInputs, Path, normalise

if TYPE_CHECKING:
    from perceiver.model import Perceiver

Raw = Tensor | Mapping[str, Tensor]
Seen = Tensor | NormalisedInputs | GridInputs
"""What a cross-attend looks at."""


def cross_attend_shape(model: Perceiver, raw: Raw | None, *, batch: int = 1) -> CrossAttendShape:
    """What the path is chosen by: the model's sizes, and the raw batch, of which there may be none yet."""
    config, inputs, latents = model.config, model.inputs, model.latents
    tensors = [x for x in (raw.values() if isinstance(raw, Mapping) else [raw]) if isinstance(x, Tensor)]
    grid = inputs if isinstance(inputs, GridElements) and inputs.lift is None else None
    features = grid.columns.shape[1] if grid is not None and grid.columns is not None else None
    sizes = [len(x) for x in tensors if x.ndim]
    device = latents.device.type
    return CrossAttendShape(
        batch=sizes[0] if sizes else batch,
        latents=config.num_latents,
        elements=config.inputs.elements,
        channels=config.inputs.element_channels,
        data_channels=config.inputs.element_channels - (features or 0),
        qkv_channels=config.cross_attend_channels,
        heads=config.cross_heads,
        grid_axes=grid.axes if grid is not None and features is not None else None,
        trained_elements=torch.is_grad_enabled()
        and any(x.requires_grad for x in (*tensors, *inputs.parameters())),
        masked=isinstance(inputs, ByteElements) and inputs.config.padding is not None,
        device=device,
        dtype=latents.dtype,
        half=torch.is_autocast_enabled(device) or latents.dtype.itemsize < 4,
    )


def see(inputs: nn.Module, raw: Raw, path: Path, *, dtype: torch.dtype) -> Seen:
    """What all cross-attends of a forward pass look at, made once. Raises InputError."""
    if path == "factorised" and isinstance(inputs, GridElements) and isinstance(raw, Tensor):
        return inputs.grid_inputs(raw)
    elements: Tensor = inputs(raw).to(dtype)
    return normalise(elements) if path == "absorbed" else elements
