"""The file that is written without a second copy is the file of the reference implementation."""

import hashlib

import pytest
import torch
from safetensors.torch import load, save

from lab.train.tensors import pieces, sha256

TENSORS = {
    "weights": torch.randn(3, 5),
    "a.moment": torch.randn(7, dtype=torch.float64),
    "half": torch.randn(2, 2).to(torch.bfloat16),
    "half too": torch.randn(3).half(),
    "steps": torch.tensor(12.0),
    "count": torch.tensor(3, dtype=torch.int64),
    "small": torch.arange(5, dtype=torch.int16),
    "mask": torch.tensor([True, False, True]),
    "bytes": torch.arange(3, dtype=torch.uint8),
    "größe": torch.zeros(1),
    "empty": torch.empty(0, 4),
    "turned": torch.randn(4, 3).t(),
}


def test_the_bytes_are_those_of_the_safetensors_library():
    contiguous = {name: tensor.contiguous() for name, tensor in TENSORS.items()}
    assert b"".join(pieces(TENSORS)) == save(contiguous)


@pytest.mark.parametrize("names", [list(TENSORS), ["steps"], []], ids=["all", "scalar", "none"])
def test_what_was_written_is_read_to_the_bit(names):
    some = {name: TENSORS[name] for name in names}
    found = load(b"".join(pieces(some)))
    assert found.keys() == some.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in some.items())


def test_memory_is_shared_and_not_copied():
    tensor = torch.zeros(4)
    content = pieces({"w": tensor})
    tensor.fill_(1.0)
    assert bytes(content[-1]) == torch.ones(4).numpy().tobytes()


def test_the_sum_is_that_of_the_file():
    assert sha256(pieces(TENSORS)) == hashlib.sha256(b"".join(pieces(TENSORS))).hexdigest()
