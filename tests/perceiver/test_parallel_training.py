"""Two processes train as one does: data parallel (DDP) and with the weights cut up (FSDP2), over gloo."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, init_device_mesh
from torch.nn.parallel import DistributedDataParallel

from perceiver import Audio, Fourier, Fusion, Image, Modality, PerceiverConfig
from perceiver.attention import CrossAttend, SelfAttend

ROOT = Path(__file__).parents[2]
WORLD = 2
SMALL = PerceiverConfig(
    inputs=Image(6, 5, positions=Fourier(3, (6, 5))),
    num_latents=8,
    latent_channels=16,
    blocks=3,
    self_attends_per_block=2,
    cross_attends=3,
    self_heads=4,
    num_classes=4,
)
FUSED = PerceiverConfig(
    **vars(SMALL)
    | {
        "sharing": "none",
        "inputs": Fusion((Modality("image", SMALL.inputs), Modality("sound", Audio(40, 4, Fourier(3, 10))))),
    }
)
CASES = {
    "factorised": (SMALL, "factorised", False),
    "absorbed": (SMALL, "absorbed", False),
    "plain": (SMALL, "plain", False),
    "checkpointing": (SMALL, "factorised", True),
    "fusion": (FUSED, "absorbed", False),
}


def build(case):
    config, path, checkpointing = CASES[case]
    torch.manual_seed(0)
    model = config.build().double()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    model.attention_path, model.checkpointing = path, checkpointing
    return model


def batch(case):
    generator = torch.Generator().manual_seed(1)

    def draw(shape):
        return torch.randn(4, *shape, generator=generator, dtype=torch.float64)

    shape = CASES[case][0].input_shape
    inputs = {name: draw(s) for name, s in shape.items()} if isinstance(shape, dict) else draw(shape)
    return inputs, torch.tensor([0, 1, 2, 3])


def part(inputs, rank):
    half = slice(2 * rank, 2 * rank + 2)
    return {name: x[half] for name, x in inputs.items()} if isinstance(inputs, dict) else inputs[half]


def step(model, inputs, targets):
    """One step of descent; the loss, the gradients and the weights after it."""
    loss = F.cross_entropy(model(inputs), targets)
    loss.backward()
    torch.optim.SGD(model.parameters(), lr=0.1).step()
    results = {"loss": loss.detach()}
    for name, parameter in model.named_parameters():
        for kind, tensor in (("weight", parameter.detach()), ("gradient", parameter.grad)):
            whole = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
            results[f"{kind} {name.removeprefix('module.')}"] = whole.contiguous()
    return results


def sharded(model):
    mesh = init_device_mesh("cpu", (WORLD,))
    for module in model.modules():
        if isinstance(module, CrossAttend | SelfAttend):
            fully_shard(module, mesh=mesh)
    return fully_shard(model, mesh=mesh)


def main(rank, folder):
    """One of the processes: a step on its half of every case's batch."""
    rank = int(rank)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=WORLD)
    for case in CASES:
        inputs, targets = batch(case)
        for way, wrap in (("ddp", DistributedDataParallel), ("fsdp", sharded)):
            results = step(wrap(build(case)), part(inputs, rank), targets[2 * rank : 2 * rank + 2])
            dist.all_reduce(results["loss"], dist.ReduceOp.SUM)
            results["loss"] /= WORLD
            if rank == 0:
                save_file(results, f"{folder}/{case}-{way}.safetensors")
    dist.barrier()
    sys.stdout.flush()
    os._exit(0)  # gloo's threads now and then abort an interpreter that ends in the usual way


@pytest.fixture(scope="module")
def of_two_processes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("parallel")
    program = "import sys; from tests.perceiver.test_parallel_training import main; main(*sys.argv[1:])"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(rank), str(folder)],
            cwd=ROOT,
            env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        )
        for rank in range(WORLD)
    ]
    assert [process.wait(timeout=240) for process in processes] == [0] * WORLD
    return folder


@pytest.mark.parametrize("way", ["ddp", "fsdp"])
@pytest.mark.parametrize("case", CASES)
def test_a_step_of_two_processes_is_the_step_of_one(of_two_processes, case, way):
    given = load_file(of_two_processes / f"{case}-{way}.safetensors")
    expected = step(build(case), *batch(case))
    assert given.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(
            given[name], tensor, rtol=1e-9, atol=1e-11, msg=lambda m, n=name: f"{n}: {m}"
        )
