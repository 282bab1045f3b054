"""A chain of hashes over what a run went through: whoever repeats the run can compare, link by link.

Every point of the loss curve is a link, with the exact mean loss since the last one; so is every set of
weights that was evaluated, with its sha256 (that of `model.safetensors` in a checkpoint of the same step),
and every value that was measured with them. Each names the place in the data that follows it, and hashes all
of this with the link before. When checkpoints were written, and how often the run was interrupted, leaves no
trace in it. Bits are the same on the same number of workers and the same kind of device, with the same
libraries: the file that is kept with a run says which those were.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any, Self

from lab.errors import RecordError

FILE, TAG = "chain.json", "chain"
"""what is kept with a run: the links, and the hash of the last one"""
MADE = "made."
"""how the tags begin that say with which device, machine and libraries"""
CURVE = "train/loss"
"""the metric whose points are the links of losses"""

LOSS, WEIGHTS = "loss", "weights"
"""what a link is of; any other kind is the name of a metric, `test/top1`"""


@dataclass(frozen=True)
class Link:
    """kind, value: `weights` with their sha256, `loss` or a metric with its float in hexadecimal · (epoch,
    start): which batch follows · hash: of all this and of the link before"""

    step: int
    epoch: int
    start: int
    kind: str
    value: str
    hash: str

    @classmethod
    def after(cls, before: str, step: int, cursor: tuple[int, int], kind: str, value: str) -> Self:
        return cls(step, *cursor, kind, value, _hashed(before, step, *cursor, kind, value))

    def follows(self, before: str) -> bool:
        """Whether it is the next link after one with that hash."""
        return self.hash == _hashed(before, self.step, self.epoch, self.start, self.kind, self.value)


@dataclass
class Chain:
    """digest: of the specification · fingerprint: of the data."""

    digest: str
    fingerprint: str
    links: list[Link] = field(default_factory=list)

    @property
    def genesis(self) -> str:
        return _hashed("genesis", self.digest, self.fingerprint)

    @property
    def head(self) -> str:
        """The hash that stands for everything so far."""
        return self.links[-1].hash if self.links else self.genesis

    def add(self, step: int, cursor: tuple[int, int], kind: str, value: float | str) -> None:
        """What is there already, because a finished run is measured again, is not added again."""
        text = value if isinstance(value, str) else float(value).hex()
        same_step = takewhile(lambda link: link.step == step, reversed(self.links))
        if not any(link.kind == kind for link in same_step):
            self.links.append(Link.after(self.head, step, cursor, kind, text))

    def measured(self) -> dict[tuple[str, int], float]:
        """(metric, step) -> the value that was hashed, under the metrics' names on record."""
        return {
            (CURVE if link.kind == LOSS else link.kind, link.step): float.fromhex(link.value)
            for link in self.links
            if link.kind != WEIGHTS
        }

    def notes(self) -> list[list[Any]]:
        """The links as JSON, for a checkpoint."""
        return [list(vars(link).values()) for link in self.links]

    def restore(self, notes: Sequence[Sequence[Any]]) -> None:
        self.links = [Link(*values) for values in notes]

    def text(self, made_with: Mapping[str, object]) -> str:
        """A file for people and for `read`."""
        head = {"digest": self.digest, "fingerprint": self.fingerprint, "made with": dict(made_with)}
        return json.dumps({**head, "chain": self.head, "links": self.notes()}, indent=1)

    @classmethod
    def read(cls, text: str) -> Self:
        """Raises RecordError, naming the step, where a link does not follow from those before it."""
        try:
            held = json.loads(text)
            chain = cls(held["digest"], held["fingerprint"])
            chain.restore(held["links"])
        except (ValueError, KeyError, TypeError) as fault:
            raise RecordError(
                f"this is no chain of a run ({fault!r}): give the text of its {FILE}."
            ) from None
        before = chain.genesis
        for link in chain.links:
            if not link.follows(before):
                raise RecordError(
                    f"the chain of {chain.digest} is broken at step {link.step}: its {link.kind} is not what "
                    "was hashed when the run was made."
                )
            before = link.hash
        return chain


def parting(one: Chain, other: Chain) -> str | None:
    """Where two runs of the same experiment part, in words: the first step at which they do and in what. None
    while they agree; the longer one may go on after the other has ended."""
    if (one.digest, one.fingerprint) != (other.digest, other.fingerprint):
        return (
            f"they are not of the same experiment: {one.digest} on {one.fingerprint}, {other.digest} on "
            f"{other.fingerprint}"
        )
    for mine, theirs in zip(one.links, other.links, strict=False):
        if mine == theirs:
            continue
        if (mine.step, mine.kind) != (theirs.step, theirs.kind):
            return (
                f"they part at step {min(mine.step, theirs.step)}: they were not measured at the same steps"
            )
        if (mine.epoch, mine.start) != (theirs.epoch, theirs.start):
            return f"they part at step {mine.step}: another place in the data"
        if mine.value != theirs.value:
            return f"they part at step {mine.step}: {mine.kind} {_told(mine)} and {_told(theirs)}"
        return f"they part before step {mine.step}: the same {mine.kind} after another past"
    return None


def _told(link: Link) -> str:
    return link.value[:12] if link.kind == WEIGHTS else repr(float.fromhex(link.value))


def _hashed(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
