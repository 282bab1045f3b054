"""What was found, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """fault: work will fail or a stranger may enter · warning: it may · fine: looked at, and well"""

    FINE = "ok"
    WARNING = "warning"
    FAULT = "FAULT"


@dataclass(frozen=True)
class Finding:
    """where: a node, or a place in a file · fix: what to do, "" where it is well, and nowhere else"""

    level: Level
    where: str
    what: str
    fix: str = ""

    def __post_init__(self) -> None:
        if (self.level is Level.FINE) != (not self.fix):
            raise ValueError(f"a fault comes with its fix, what is well with none, got {self!r}.")

    def __str__(self) -> str:
        return f"{self.level:8}{self.where}: {self.what}" + (f". {self.fix}" if self.fix else "")


def fine(where: str, what: str) -> Finding:
    return Finding(Level.FINE, where, what)


def warning(where: str, what: str, fix: str) -> Finding:
    return Finding(Level.WARNING, where, what, fix)


def fault(where: str, what: str, fix: str) -> Finding:
    return Finding(Level.FAULT, where, what, fix)
