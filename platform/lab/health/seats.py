"""An actor on every node of the cluster this process is connected to: the door to Ray of the examination."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any

from lab import cluster  # noqa: F401 (before Ray: it says what Ray reads when it is imported)

import ray  # isort: skip
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy


@dataclass(frozen=True)
class Seat:
    """A node of the cluster, with an actor on it. works: whether runs are placed there."""

    address: str
    actor: Any
    works: bool


def seats(kind: type) -> list[Seat]:
    """An actor of `kind` on every node that is alive, beside whatever runs there."""
    remote = ray.remote(kind)
    found = []
    for node in ray.nodes():
        if not node["Alive"]:
            continue
        there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        works = any(node["Resources"].get(kind, 0) > 0 for kind in ("CPU", "GPU"))
        actor = remote.options(num_cpus=0, scheduling_strategy=there).remote()
        found.append(Seat(str(node["NodeManagerAddress"]), actor, works))
    return found


def answered(calls: Sequence[Any], seconds: float) -> list[Any]:
    """What each call answers within so many seconds from now, else an exception in its place."""
    deadline, found = monotonic() + seconds, []
    for call in calls:
        try:
            found.append(ray.get(call, timeout=max(0.0, deadline - monotonic())))
        except Exception as fault:
            found.append(fault)
    return found
