"""Weights of Hugging Face's Perceiver checkpoints, to and fro.

Their models are Perceiver IO with one cross-attend (`perceiver.variants.io_*`). Every tensor has one place on
either side; a checkpoint that lacks one, has one too many or of another shape is refused with all of them
listed.

    weights = safetensors.torch.load_file("model.safetensors")
    model = from_hugging_face(variants.io_imagenet_fourier(), weights)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from perceiver.config import PerceiverConfig
from perceiver.errors import ConfigError
from perceiver.io_inputs import Bytes, ConvolvedImage, LiftedImage
from perceiver.modalities import Image
from perceiver.model import Perceiver
from perceiver.positions import Fourier

Status = Literal["matched", "missing", "unexpected", "another shape"]


class WeightsError(ValueError):
    """A checkpoint that is not one of the model; raised before any weight is changed."""


class TensorMatch(NamedTuple):
    """One tensor: its name here and there, its shape here and there, and whether these agree."""

    ours: str | None
    theirs: str
    our_shape: tuple[int, ...] | None
    their_shape: tuple[int, ...] | None
    status: Status

    def __str__(self) -> str:
        return f"{self.status:13}  {self.theirs} {self.their_shape} -> {self.ours} {self.our_shape}"


def from_hugging_face(config: PerceiverConfig, state_dict: Mapping[str, Tensor]) -> Perceiver:
    """A model with a checkpoint's weights, in the checkpoint's precision.

    Their GELU is exact: a config with `gelu="tanh"` is accepted, and its logits differ by up to 1e-3. Raises
    ConfigError if they have no such model, WeightsError if the tensors are not exactly those of the model.
    """
    rows = report(config, state_dict)
    faults = [row for row in rows if row.status != "matched"]
    if faults:
        listed = "; ".join(f"{row.theirs} {row.status}" for row in faults)
        raise WeightsError(
            f"the checkpoint is not one of this model, {len(faults)} of {len(rows)} tensors: {listed}"
        )
    dtype = state_dict["perceiver.embeddings.latents"].dtype
    model = config.build().to(dtype)
    weights = {row.ours: _reshaped(state_dict[row.theirs], row.our_shape) for row in rows if row.ours}
    model.load_state_dict(weights, strict=True)
    return model


def to_hugging_face(model: Perceiver) -> dict[str, Tensor]:
    """A model's weights under their names, as copies. Raises ConfigError if they have no such model."""
    names = dict(correspondence(model.config))
    weights = {names[ours]: tensor.detach().clone() for ours, tensor in model.state_dict().items()}
    if isinstance(model.config.inputs, LiftedImage):
        lift = names["inputs.lift.weight"]
        weights[lift] = weights[lift][:, :, None, None]
    return weights


def report(config: PerceiverConfig, state_dict: Mapping[str, Tensor]) -> list[TensorMatch]:
    """Every tensor of either side. A matched one may differ by axes of length 1: theirs has 1 x 1
    convolutions."""
    with torch.device("meta"):
        shapes = {name: tuple(tensor.shape) for name, tensor in Perceiver(config).state_dict().items()}
    rows = []
    for ours, theirs in correspondence(config):
        given = tuple(state_dict[theirs].shape) if theirs in state_dict else None
        rows.append(TensorMatch(ours, theirs, shapes[ours], given, _status(shapes[ours], given)))
    known = {row.theirs for row in rows}
    for theirs in state_dict:
        if theirs not in known:
            rows.append(TensorMatch(None, theirs, None, tuple(state_dict[theirs].shape), "unexpected"))
    return rows


def correspondence(config: PerceiverConfig) -> Iterator[tuple[str, str]]:
    """Our name and theirs of every tensor in the state dict. Raises ConfigError if they have none."""
    _require_theirs(config)
    yield "latents", "perceiver.embeddings.latents"
    yield from _inputs(config)
    yield from _attend("cross_attends.0", "perceiver.encoder.cross_attention", cross=True)
    for layer in range(config.self_attends_per_block):
        yield from _attend(f"blocks.0.{layer}", f"perceiver.encoder.self_attends.{layer}", cross=False)
    language = isinstance(config.inputs, Bytes)
    decoder = "perceiver.decoder" if language else "perceiver.decoder.decoder"
    yield "head.queries", f"{decoder}.output_position_encodings.position_embeddings"
    yield from _attend("head.cross_attend", f"{decoder}.decoding_cross_attention", cross=True)
    if language:
        yield "head.bias", "embedding_decoder.bias"
    else:
        yield from _layer("head.readout", f"{decoder}.final_layer")


def _inputs(config: PerceiverConfig) -> Iterator[tuple[str, str]]:
    theirs = "perceiver.input_preprocessor"
    match config.inputs:
        case LiftedImage():
            yield from _layer("inputs.lift", f"{theirs}.convnet_1x1")
            yield "inputs.positions", f"{theirs}.position_embeddings.position_embeddings"
            yield from _layer("inputs.project", f"{theirs}.positions_projection")
        case ConvolvedImage():
            yield "inputs.convolution.weight", f"{theirs}.convnet.conv.weight"
            for tensor in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked"):
                yield f"inputs.norm.{tensor}", f"{theirs}.convnet.batchnorm.{tensor}"
        case Bytes():
            yield "inputs.embedding.weight", f"{theirs}.embeddings.weight"
            yield "inputs.positions", f"{theirs}.position_embeddings.weight"


def _attend(ours: str, theirs: str, *, cross: bool) -> Iterator[tuple[str, str]]:
    """The tensors of a cross-attend or a self-attend, whose one norm they call layernorm1."""
    layers = {
        "norm_latents" if cross else "norm": "attention.self.layernorm1",
        "query": "attention.self.query",
        "key": "attention.self.key",
        "value": "attention.self.value",
        "out": "attention.output.dense",
        "norm_mlp": "layernorm",
        "mlp.0": "mlp.dense1",
        "mlp.2": "mlp.dense2",
    }
    if cross:
        layers["norm_inputs"] = "attention.self.layernorm2"
    for our_layer, their_layer in layers.items():
        yield from _layer(f"{ours}.{our_layer}", f"{theirs}.{their_layer}")


def _layer(ours: str, theirs: str) -> Iterator[tuple[str, str]]:
    for tensor in ("weight", "bias"):
        yield f"{ours}.{tensor}", f"{theirs}.{tensor}"


def _require_theirs(config: PerceiverConfig) -> None:
    """Refuse what Hugging Face has no model for."""
    pixels = isinstance(config.inputs, Image) and isinstance(config.inputs.positions, Fourier)
    readout = "embedding" if isinstance(config.inputs, Bytes) else "linear"
    wanted = {
        f"a decoder with readout {readout!r}": config.decoder is not None
        and config.decoder.readout == readout,
        "one cross-attend": config.cross_attends == 1,
        "one block for all": len({place.module for place in config.places if place.kind == "block"}) == 1,
        "pixels with Fourier positions, LiftedImage, ConvolvedImage or Bytes": pixels
        or isinstance(config.inputs, LiftedImage | ConvolvedImage | Bytes),
    }
    lacking = [what for what, there in wanted.items() if not there]
    if lacking:
        raise ConfigError(
            f"Hugging Face's Perceivers have {' and '.join(lacking)}; start from "
            "perceiver.variants.io_imagenet_fourier"
        )


def _status(ours: tuple[int, ...], theirs: tuple[int, ...] | None) -> Status:
    if theirs is None:
        return "missing"
    squeezed = theirs[:2] if theirs[2:] == (1, 1) else theirs
    return "matched" if ours in (theirs, squeezed) else "another shape"


def _reshaped(tensor: Tensor, shape: tuple[int, ...] | None) -> Tensor:
    return tensor if shape is None else tensor.reshape(shape)
