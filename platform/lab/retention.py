"""Which checkpoints of a run are kept."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

from lab.durations import Duration, Epochs, Steps
from lab.errors import SpecError, did_you_mean

BYTES = {"kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_WAY_OUT = 'write it as in LAB_KEEP="2,every=10epochs,bytes=20GB"'


@dataclass(frozen=True)
class Retention:
    """newest: how many of the last ones · every: besides them those of every so many steps, at which one is
    then written · bytes: of all of them together; the oldest go first, the newest sound one never."""

    newest: int = 2
    every: Duration | None = None
    bytes: int | None = None

    def __post_init__(self) -> None:
        if self.newest < 1:
            raise SpecError(f"at least the newest checkpoint is kept, got {self.newest}: {_WAY_OUT}.")
        if self.bytes is not None and self.bytes < 1:
            raise SpecError(f"bytes of checkpoints must be 1 or more, got {self.bytes}: {_WAY_OUT}.")

    @classmethod
    def parse(cls, text: str) -> Self:
        """From `2`, `2,every=10000` (steps), `every=10epochs,bytes=20GB`. Raises SpecError."""
        given: dict[str, str] = {}
        for part in text.split(","):
            name, separator, value = (word.strip() for word in part.partition("="))
            name, value = (name, value) if separator else ("newest", name)
            if name in given or name not in (known := ("newest", "every", "bytes")):
                hint = "" if name in given else did_you_mean(name, known)
                raise SpecError(f"LAB_KEEP={text!r}: {name!r} is not expected here.{hint} {_WAY_OUT}.")
            given[name] = value
        return cls(
            newest=_whole(given.get("newest", "2"), text),
            every=_duration(given["every"], text) if "every" in given else None,
            bytes=_bytes(given["bytes"], text) if "bytes" in given else None,
        )

    def superfluous(self, steps: list[int], milestone: int | None) -> list[int]:
        """Of steps, newest first, those that need not be kept; `milestone`: `every` in steps."""
        return [step for step in steps[self.newest :] if not milestone or step % milestone]


def _whole(value: str, text: str) -> int:
    if not re.fullmatch(r"\d+", value):
        raise SpecError(f"LAB_KEEP={text!r}: {value!r} is not a whole number; {_WAY_OUT}.")
    return int(value)


def _duration(value: str, text: str) -> Duration:
    if epochs := re.fullmatch(r"(\d+(?:\.\d+)?)\s*epochs?", value):
        return Epochs(float(epochs[1]))
    return Steps(_whole(value.removesuffix("steps").strip(), text))


def _bytes(value: str, text: str) -> int:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(kB|MB|GB|TB)", value)
    if found is None:
        raise SpecError(f"LAB_KEEP={text!r}: {value!r} is not a number of kB, MB, GB or TB; {_WAY_OUT}.")
    return int(float(found[1]) * BYTES[found[2]])
