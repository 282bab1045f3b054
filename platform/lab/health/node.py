"""What one node says of itself. Runs on it."""

from __future__ import annotations

import ipaddress
import os
import shutil
import socket
import struct
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from lab import arrival
from lab.settings import Settings
from lab.storage import bundles
from lab.tracking.address import shown

LISTENING = "0A"
"""in /proc/net/tcp"""
PROBE = b"written and read again"


@dataclass(frozen=True)
class Node:
    """versions: distribution -> version of what runs depend on · lock: that its environment was made from ·
    disk: folder -> (bytes free, bytes in all) · gpus: (name, bytes) · ports: (address, port) where anybody
    but the node itself may knock · token: mode of its file, None without one · storage: "" where it could be
    written and read, else why not"""

    host: str
    python: str
    versions: dict[str, str | None]
    lock: str
    disk: dict[str, tuple[int, int]]
    gpus: list[tuple[str, int]]
    nccl: str
    ports: list[tuple[str, int]]
    token: int | None
    authentication: str
    storage: str
    files: int
    """that a process may have open"""
    notes: list[str] = field(default_factory=list)


def look(settings: Settings) -> Node:
    """The node this is called on."""
    import resource

    stamp = Path(os.environ.get("LAB_LOCK") or "/nowhere")
    token = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token")
    gpus, nccl, notes = _gpus()
    return Node(
        host=socket.gethostname(),
        python=f"{sys.version_info.major}.{sys.version_info.minor}.{sys.version_info.micro}",
        versions={name: arrival.installed(name) for name in arrival.FOREMOST},
        lock=stamp.read_text().strip() if stamp.exists() else "",
        disk={str(place): _room(place) for place in _folders(settings)},
        gpus=gpus,
        nccl=nccl,
        ports=listening(),
        token=token.stat().st_mode & 0o777 if token.exists() else None,
        authentication=os.environ.get("RAY_AUTH_MODE", "disabled"),
        storage=_storage(settings.storage),
        files=resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        notes=notes,
    )


def _room(place: Path) -> tuple[int, int]:
    usage = shutil.disk_usage(place)
    return usage.free, usage.total


def _folders(settings: Settings) -> list[Path]:
    """Where a run writes: the node's own disk, its temporary files, shared memory, and local storage."""
    places = [Path.home(), Path("/tmp"), Path("/dev/shm")]  # noqa: S108
    places += [Path(place) for place in (settings.storage, settings.data) if "://" not in place]
    return [place for place in dict.fromkeys(places) if place.exists()]


def _gpus() -> tuple[list[tuple[str, int]], str, list[str]]:
    import torch

    present = Path("/proc/driver/nvidia/version").exists()
    if not torch.cuda.is_available():
        return [], "", ["an NVIDIA driver is there, but torch sees no GPU"] if present else []
    devices = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
    nccl = ".".join(map(str, torch.cuda.nccl.version())) if torch.distributed.is_nccl_available() else ""  # type: ignore[no-untyped-call]
    return [(device.name, device.total_memory) for device in devices], nccl, []


def _storage(address: str) -> str:
    """Write, read and delete a small bundle where checkpoints go."""
    name = f"{socket.gethostname()}-{os.getpid()}"
    try:
        place = bundles(address, "doctor", seal="probe")
        place.write(name, {"probe": [PROBE]})
        read = place.read(name, "probe")
        place.delete(name)
    except Exception as fault:  # whatever it is, a person wants to know
        return shown(" ".join(str(fault).split())) or type(fault).__name__
    return "" if read == PROBE else "other bytes came back than were written"


def listening(read: Callable[[str], str] = lambda name: Path(name).read_text()) -> list[tuple[str, int]]:
    """(address, port) of every TCP socket of this host that other hosts may reach, once each."""
    found = set()
    for name in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = read(name).splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            local, state = (line.split()[i] for i in (1, 3))
            number, _, port = local.partition(":")
            address = _address(number)
            if state == LISTENING and not address.is_loopback:
                found.add((str(address), int(port, 16)))
    return sorted(found, key=lambda pair: (pair[1], pair[0]))


def _address(number: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """The kernel writes addresses as 32-bit words in the machine's own order."""
    words = [int(number[i : i + 8], 16) for i in range(0, len(number), 8)]
    packed = b"".join(struct.pack("=I", word) for word in words)
    address = ipaddress.ip_address(packed)
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped or address


class Probe:
    """Lives on a node as an actor."""

    def look(self, settings: Settings) -> Node:
        return look(settings)

    def clock(self) -> float:
        return time.time()

    def free_port(self) -> int:
        """Where the others can be met."""
        with socket.socket() as free:
            free.bind(("", 0))
            return int(free.getsockname()[1])

    def meet(self, place: str, rank: int, world: int) -> str:
        """One collective over all, as training does it: NCCL where there are GPUs. "" where the sum is right,
        else what went wrong."""
        from datetime import timedelta

        import torch
        from torch import distributed

        cuda = torch.cuda.is_available()
        try:
            distributed.init_process_group(
                "nccl" if cuda else "gloo", place, timedelta(seconds=60), world, rank
            )
            total = torch.ones(1, device="cuda" if cuda else "cpu")
            distributed.all_reduce(total)
            distributed.destroy_process_group()
        except Exception as fault:
            return " ".join(str(fault).split())[:300] or type(fault).__name__
        return "" if total.item() == world else f"the sum over {world} nodes is {total.item():g}"
