"""Named tensors as a safetensors file, without a second copy of them in memory.

The library's own `save` puts the whole file together while it holds Python's lock, which would stop the
training beside which it is written; so the file is given as pieces of the tensors' own memory. It is the same
file, byte for byte.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from lab.storage import Piece

_NAMES = {
    torch.bool: "BOOL",
    torch.uint8: "U8",
    torch.int8: "I8",
    torch.int16: "I16",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int32: "I32",
    torch.float32: "F32",
    torch.float64: "F64",
    torch.int64: "I64",
}
_ORDER = list(_NAMES)


def pieces(tensors: Mapping[str, Tensor]) -> list[Piece]:
    """The file in order: its header, then each tensor. Those on the CPU are shared, not copied."""
    ordered = sorted(tensors.items(), key=lambda item: (-_ORDER.index(item[1].dtype), item[0]))
    header, content, end = {}, list[Piece](), 0
    for name, tensor in ordered:
        data: memoryview = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data
        begin, end = end, end + data.nbytes
        shape = list(tensor.shape)
        header[name] = {"dtype": _NAMES[tensor.dtype], "shape": shape, "data_offsets": [begin, end]}
        content.append(data)
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return [len(text).to_bytes(8, "little") + text, *content]


def sha256(content: Iterable[Piece]) -> str:
    """64 hexadecimal digits."""
    digest = hashlib.sha256()
    for piece in content:
        digest.update(piece)
    return digest.hexdigest()
