"""Activation checkpointing: the same gradients, of less memory."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from perceiver import Fourier, Image, PerceiverConfig

ROOT = Path(__file__).parents[2]
SMALL = PerceiverConfig(
    inputs=Image(6, 5, positions=Fourier(3, (6, 5))),
    num_latents=7,
    latent_channels=16,
    blocks=4,
    self_attends_per_block=3,
    cross_attends=2,
    self_heads=4,
    num_classes=3,
)


def model_of(config):
    torch.manual_seed(0)
    model = config.build()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return model


def gradients(model, images):
    logits = model(images)
    return [logits, *torch.autograd.grad(logits.square().sum(), list(model.parameters()))]


@pytest.mark.parametrize("autocast", [False, True])
def test_gradients_are_identical_with_checkpointing(autocast):
    model, images = model_of(SMALL), torch.randn(2, 6, 5, 3)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        kept = gradients(model, images)
        model.checkpointing = True
        computed_again = gradients(model, images)
    assert all(torch.equal(a, b) for a, b in zip(kept, computed_again, strict=True))


def kept_for_the_backward(model, images):
    """Numbers of all tensors that the forward pass saves."""
    numbers = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: numbers.append(x.numel()) or x, lambda x: x):
        model(images)
    return sum(numbers)


def test_a_deeper_block_keeps_only_its_latents():
    images, by_depth = torch.randn(2, 6, 5, 3), []
    for depth in (2, 10):
        model = model_of(PerceiverConfig(**{**vars(SMALL), "self_attends_per_block": depth}))
        model.checkpointing = True
        by_depth.append(kept_for_the_backward(model, images))
    layers = (10 - 2) * SMALL.blocks
    assert by_depth[1] - by_depth[0] == layers * 2 * SMALL.num_latents * SMALL.latent_channels


def test_the_compiled_model_has_no_graph_breaks_with_checkpointing():
    model, images = model_of(SMALL), torch.randn(2, 6, 5, 3)
    model.checkpointing = True
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    for given, expected in zip(gradients(compiled, images), gradients(model, images), strict=True):
        torch.testing.assert_close(given, expected)


PEAK = """
import torch
from pathlib import Path
from perceiver.variants import imagenet

def kilobytes(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))

torch.manual_seed(0)
model, images = imagenet().build(), torch.randn(1, 224, 224, 3)
model.checkpointing = True
torch.nn.init.normal_(model.head.weight)
before = kilobytes("VmRSS:")
model(images).square().sum().backward()
print(kilobytes("VmHWM:") - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux tells a process its peak memory")
def test_imagenet_forward_and_backward_take_less_than_two_gigabytes_above_the_weights():
    """Batch 1, in a fresh process; gradients are part of it."""
    told = subprocess.run([sys.executable, "-c", PEAK], cwd=ROOT, capture_output=True, text=True, check=True)
    assert 0 < 1024 * int(told.stdout) < 2e9
