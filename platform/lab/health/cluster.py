"""Every node of a cluster asked, and what is wrong with the answers."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lab import cluster
from lab.arrival import FOREMOST
from lab.health.finding import Finding, fault, fine, warning
from lab.health.node import Node, Probe
from lab.health.seats import Seat, answered, seats
from lab.quantity import quantity
from lab.resources import Resources
from lab.settings import Settings

ANSWER_SECONDS = 120.0
MEETING_SECONDS = 120.0
CLOCK_SECONDS = 2.0
"""leases are told apart by clocks: LEASE_SECONDS is 30, and AWS refuses requests that are minutes off"""
NEEDED_BYTES = 10e9
"""on a node's own disk: Ray spills objects to it, and fills it to 95 %"""
NEEDED_SHARED_BYTES = 2e9
"""in /dev/shm: NCCL and Ray's objects"""
NEEDED_FILES = 4096
LOCAL_ONLY = {
    8265: "Ray's dashboard, with which anybody who holds the token runs anything",
    5000: "the tracking server, which asks for no password",
    5432: "PostgreSQL",
    8888: "Jupyter",
}
"""what has no business on an address that others reach; Ray's own servers there want the token, also its
client's on 10001, which cannot be turned off"""


@dataclass(frozen=True)
class Answer:
    """skew: seconds that its clock is off at least · met: "" where the collective went well, None where it
    took no part"""

    address: str
    node: Node | None
    why: str
    skew: float
    met: str | None


def ask(settings: Settings) -> list[Answer]:
    """Ask every node of the Ray that `settings` names, or this machine. Raises LabError without one."""
    with cluster.connected(settings, Resources(cpus=0), groups=False):
        taken = seats(Probe)
        looked = answered([seat.actor.look.remote(settings) for seat in taken], ANSWER_SECONDS)
        asked = list(zip(taken, looked, strict=True))
        skews = [_skew(seat) if isinstance(node, Node) else 0.0 for seat, node in asked]
        met = _meet([seat for seat, node in asked if isinstance(node, Node) and seat.works])
        return [
            Answer(
                seat.address,
                node if isinstance(node, Node) else None,
                "" if isinstance(node, Node) else _words(node),
                skew,
                met.get(seat.address),
            )
            for seat, node, skew in zip(taken, looked, skews, strict=True)
        ]


def _skew(seat: Seat) -> float:
    """The least that its clock must be off, for it to have said what it said between question and answer."""
    least = float("inf")
    for _ in range(3):
        before = time.time()
        (there,) = answered([seat.actor.clock.remote()], ANSWER_SECONDS)
        after = time.time()
        if isinstance(there, float):
            least = min(least, max(before - there, there - after, 0.0))
    return least if least < float("inf") else 0.0


def _meet(taken: Sequence[Seat]) -> dict[str, str]:
    """Address -> "" or what went wrong, of one collective over these nodes."""
    if len(taken) < 2:
        return {}
    (port,) = answered([taken[0].actor.free_port.remote()], ANSWER_SECONDS)
    place = f"tcp://{taken[0].address}:{port}"
    said = answered(
        [seat.actor.meet.remote(place, rank, len(taken)) for rank, seat in enumerate(taken)], MEETING_SECONDS
    )
    return {
        seat.address: words if isinstance(words, str) else _words(words)
        for seat, words in zip(taken, said, strict=True)
    }


def _words(thing: object) -> str:
    return " ".join(str(thing).split())[:200] or type(thing).__name__


def findings(answers: Sequence[Answer], *, joined: bool) -> Iterator[Finding]:
    """What is wrong, node by node, and between them. joined: whether it is a cluster, not this machine's
    own."""
    for answer in answers:
        if answer.node is None:
            yield fault(
                answer.address, f"does not answer ({answer.why})", "Restart Ray on it: `ray up` again"
            )
            continue
        yield from _of_one(answer, answer.node, joined=joined)
    nodes = [answer.node for answer in answers if answer.node is not None]
    yield from _between(nodes)
    yield from _together(answers)


def _of_one(answer: Answer, node: Node, *, joined: bool) -> Iterator[Finding]:
    where = f"{node.host} ({answer.address})"
    gpus = ", ".join(f"{name} {memory / 1e9:.0f} GB" for name, memory in node.gpus) or "no GPU"
    yield fine(
        where, f"Python {node.python}, torch {node.versions['torch']}, Ray {node.versions['ray']}, {gpus}"
    )
    yield from (warning(where, note, "Install the driver that this torch wants") for note in node.notes)
    yield from _rooms(where, node)
    if answer.skew > CLOCK_SECONDS:
        yield fault(
            where, f"its clock is {answer.skew:.0f} s off", "Install chrony: `sudo apt-get install chrony`"
        )
    if node.storage:
        yield fault(
            where, f"cannot write and read checkpoints: {node.storage}", "Correct LAB_STORAGE, or its rights"
        )
    if joined:
        yield from _doors(where, node)
        if node.files < NEEDED_FILES:
            yield warning(
                where, f"a process may open {node.files} files", "`ulimit -n 65536` before `ray start`"
            )


def _rooms(where: str, node: Node) -> Iterator[Finding]:
    for place, (free, total) in node.disk.items():
        needed = NEEDED_SHARED_BYTES if place == "/dev/shm" else NEEDED_BYTES  # noqa: S108
        if free < needed:
            wants = f"{needed / 1e9:.0f} GB are needed"
            fix = "A larger tmpfs" if place == "/dev/shm" else "Delete what is old, or give it a larger disk"  # noqa: S108
            yield fault(where, f"{free / 1e9:.1f} GB free in {place}, {wants}", fix)
        elif place != "/dev/shm" and free < 0.05 * total:  # noqa: S108
            yield warning(
                where,
                f"{place} is {100 * (1 - free / total):.0f} % full",
                "Ray stops using a disk at 95 %: make room",
            )


def _doors(where: str, node: Node) -> Iterator[Finding]:
    if node.authentication != "token":
        yield fault(
            where, "Ray asks nobody for a token", "RAY_AUTH_MODE=token in lab.env, then `ray up` again"
        )
    if node.token is None:
        yield fault(
            where, "has no token", "`ray get-auth-token --generate` on your machine, then `ray up` again"
        )
    elif node.token & 0o077:
        yield fault(where, f"others may read its token (mode {node.token:o})", "chmod 600 ~/.ray/auth_token")
    for address, port in node.ports:
        if port in LOCAL_ONLY:
            yield fault(
                where,
                f"{address}:{port} is open: {LOCAL_ONLY[port]}",
                "Bind it to 127.0.0.1 and use a tunnel",
            )


def _between(nodes: Sequence[Node]) -> Iterator[Finding]:
    """What must be the same everywhere."""
    seen = {
        "Python": {node.python.rpartition(".")[0] for node in nodes},
        "the lock": {node.lock for node in nodes},
        **{name: {(node.versions[name] or "none").partition("+")[0] for node in nodes} for name in FOREMOST},
    }
    for what, found in seen.items():
        if len(found) > 1:
            many = ", ".join(sorted(words or "none" for words in found))
            yield fault(
                "all nodes", f"{what} differs: {many}", "`ray up` again makes every node from the lock"
            )
    kinds = {name for node in nodes for name, _ in node.gpus}
    if len(kinds) > 1:
        yield warning(
            "all nodes",
            f"GPUs differ: {', '.join(sorted(kinds))}",
            "A worker group goes as fast as its slowest",
        )


def _together(answers: Sequence[Answer]) -> Iterator[Finding]:
    took_part = [answer for answer in answers if answer.met is not None]
    if not took_part:
        return
    wrong = [answer for answer in took_part if answer.met]
    kind = "NCCL" if any(a.node and a.node.gpus for a in took_part) else "gloo"
    if not wrong:
        yield fine("all nodes", f"{quantity(len(took_part), 'worker')} added up a number through {kind}")
        return
    for answer in wrong:
        yield fault(
            answer.address,
            f"{kind} cannot speak with the others: {answer.met}",
            "Nodes must reach each other on every port; GLOO_SOCKET_IFNAME, NCCL_SOCKET_IFNAME: the card",
        )
