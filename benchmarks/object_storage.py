"""Reading shards from an object store that takes its time: how much of it several reads in flight hide.

    python benchmarks/object_storage.py                  30 ms before each answer
    python benchmarks/object_storage.py --delay 0.1

A real S3 server (moto) in a process of its own, on this machine; every request waits before it is answered.
Examples are not decoded: what is measured is how fast their bytes come. The server is Python and gives a few
hundred MB a second at most, which is the limit when the delay is hidden.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from time import perf_counter, sleep
from typing import Any
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "platform"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from pyarrow import fs

from benchmarks.measure import machine
from pipelines.data.build import build
from pipelines.data.plan import IMAGES, Entry, Plan
from pipelines.data.storage import Directory
from pipelines.data.stream import Stream

EXAMPLE, PER_GROUP, GROUPS_PER_FILE = 100_000, 10, 8
READS = (1, 2, 4, 8, 16)


@dataclass(frozen=True)
class Bytes:
    """Stored images as their numbers of bytes."""

    name: str = "images"
    columns: tuple[str, ...] = ("label", "image")
    threads: int = 1

    def decode(self, row: Any, draws: Any) -> int:
        return len(row["image"])

    def collate(self, examples: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.tensor(examples), torch.zeros(len(examples))


def serve(delay: float, told: Connection) -> None:
    """An empty store that answers each request `delay` seconds late; tells its port."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Quiet(WSGIRequestHandler):
        def log_request(self, *_: object) -> None:
            pass

    store = DomainDispatcherApplication(create_backend_app)

    def late(request: dict[str, Any], respond: Any) -> Any:
        sleep(delay)
        return store(request, respond)

    server = make_server("127.0.0.1", 0, late, threaded=True, request_handler=Quiet)
    told.send(server.server_port)
    server.serve_forever()


def plan(examples: int) -> Plan:
    image = os.urandom(EXAMPLE)
    return Plan(
        source="noise",
        labels=("noise",),
        schema=IMAGES,
        splits={"train": [Entry(f"{index:06d}", EXAMPLE, index) for index in range(examples)]},
        row=lambda entry: {"key": entry.key, "label": 0, "image": image},
        row_group_bytes=PER_GROUP * EXAMPLE,
        file_bytes=GROUPS_PER_FILE * PER_GROUP * EXAMPLE,
    )


def read(root: str, reads: int) -> tuple[float, float]:
    """(examples a second, seconds until the first batch) of one scan with so many reads in flight."""
    with mock.patch.object(Directory, "reads", reads):
        source = Stream.open(root, Bytes(), version=1)
        begun = perf_counter()
        batches = source.scan("train", batch_size=2 * PER_GROUP)
        next(batches)
        first = perf_counter() - begun
        for _ in batches:
            pass
        return source.size("train") / (perf_counter() - begun), first


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--delay", type=float, default=0.03, help="seconds before each answer")
    parser.add_argument("--examples", type=int, default=1200)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    here, there = get_context("spawn").Pipe()
    server = get_context("spawn").Process(target=serve, args=(arguments.delay, there), daemon=True)
    server.start()
    os.environ |= {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{here.recv()}",
        "AWS_ACCESS_KEY_ID": "none",
        "AWS_SECRET_ACCESS_KEY": "none",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    endpoint = os.environ["AWS_ENDPOINT_URL"]
    fs.S3FileSystem(endpoint_override=endpoint, allow_bucket_creation=True).create_dir("bucket")
    remote = "s3://bucket/data"
    build(remote, "images", 1, lambda: plan(arguments.examples))
    with tempfile.TemporaryDirectory() as local:
        build(local, "images", 1, lambda: plan(arguments.examples))
        found: dict[tuple[str, int], list[tuple[float, float]]] = {}
        for _ in range(arguments.rounds):
            found.setdefault(("disk", 2), []).append(read(local, 2))
            for reads in READS:
                found.setdefault(("store", reads), []).append(read(remote, reads))
    server.kill()
    print(machine("cpu"))
    print(
        f"{EXAMPLE:,} bytes an example, row groups of {PER_GROUP}, {1000 * arguments.delay:.0f} ms a request"
    )
    print(f"{'':8}{'reads in flight':>16}{'examples/s':>12}{'MB/s':>8}{'first batch, s':>16}")
    for (where, reads), measured in found.items():
        pace, first = (statistics.median(each) for each in zip(*measured, strict=True))
        print(f"{where:8}{reads:>16}{pace:>12,.0f}{pace * EXAMPLE / 1e6:>8,.0f}{first:>16.2f}")


if __name__ == "__main__":
    main()
