"""The events of EventClips: eight classes in four pairs, the second of each the first played backwards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pipelines.data.counter import Draws

PRESENT = 0.22
"""Chance of a class in a clip."""
HEARD, SEEN = 0.8, 0.5
"""Chances of the sound and of the sprite of a class told by either, at least one of which is there."""


@dataclass(frozen=True)
class Event:
    """A class: its name; what tells it; its sound, by its name in `sounds.SOUNDS`; the hue of its sprite.

    told: by its sound alone, by its sprite alone, by either or by both, each of which may be there without
    the other and then is no event · backwards: sound and movement are reversed in time
    """

    name: str
    told: Literal["heard", "seen", "either", "both"]
    sound: str | None = None
    hue: float | None = None
    backwards: bool = False

    def drawn(self, draws: Draws) -> tuple[bool, bool]:
        """Whether its sound and its sprite are in a clip."""
        if self.told == "both":
            return draws.uniform() < PRESENT**0.5, draws.uniform() < PRESENT**0.5
        if draws.uniform() >= PRESENT:
            return False, False
        if self.told != "either":
            return self.told == "heard", self.told == "seen"
        heard, seen = False, False
        while not (heard or seen):
            heard, seen = draws.uniform() < HEARD, draws.uniform() < SEEN
        return heard, seen

    def happens(self, heard: bool, seen: bool) -> bool:
        """Whether these parts of it make it happen."""
        return heard and seen if self.told == "both" else heard or seen


EVENTS = (
    Event("rising siren", "heard", sound="siren"),
    Event("falling siren", "heard", sound="siren", backwards=True),
    Event("sunrise", "seen", hue=0.0),
    Event("sunset", "seen", hue=0.0, backwards=True),
    Event("lift going up", "either", sound="bell", hue=0.17),
    Event("lift going down", "either", sound="bell", hue=0.17, backwards=True),
    Event("take-off", "both", sound="jet", hue=0.5),
    Event("landing", "both", sound="jet", hue=0.5, backwards=True),
)
"""In the order of their labels."""
