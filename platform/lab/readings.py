"""Where a paper can be read in more than one way: each is a function of the paper's experiment, with a name.

A reading is asked for with the scale, `laptop/sharing:first_block_own`, and is part of its name: whatever is
run, filled or verified at that scale has it. An experiment that the ambiguity is not about stays as it is,
and so do its digest and its runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from lab.errors import SpecError, UnknownName
from lab.spec import ExperimentSpec

Reading = Callable[[ExperimentSpec], ExperimentSpec]


@dataclass(frozen=True)
class Ambiguity:
    """A question that the paper leaves open, where it does, and its answers by name.

    The first answer is what experiments state; the others change them. Raises SpecError.
    """

    question: str
    where: str
    readings: Mapping[str, Reading]

    def __post_init__(self) -> None:
        if len(self.readings) < 2:
            raise SpecError(f"an ambiguity has two readings or more, got {list(self.readings)}.")

    @property
    def stated(self) -> str:
        """The reading that is run unless another is asked for."""
        return next(iter(self.readings))


def chosen(asked: str, ambiguities: Mapping[str, Ambiguity]) -> dict[str, str]:
    """`sharing:first_block_own/batch:512` as {ambiguity: reading}, in order, without what is stated anyway.

    Raises UnknownName with the near miss, SpecError for a word without a value or said twice.
    """
    choices: dict[str, str] = {}
    for word in asked.split("/"):
        name, _, reading = word.partition(":")
        if name not in ambiguities:
            raise UnknownName.among("ambiguity", name, ambiguities, hint=" `lab list readings` shows them.")
        if reading not in ambiguities[name].readings:
            raise UnknownName.among(f"reading of {name}", reading, ambiguities[name].readings)
        if name in choices:
            raise SpecError(f"{name} is read in two ways, {choices[name]} and {reading}: ask for one.")
        choices[name] = reading
    return {
        name: choices[name]
        for name in ambiguities
        if choices.get(name, "") not in ("", ambiguities[name].stated)
    }


def read(choices: Mapping[str, str], ambiguities: Mapping[str, Ambiguity]) -> Reading:
    """All chosen readings, one after the other."""

    def reading(spec: ExperimentSpec) -> ExperimentSpec:
        for name, choice in choices.items():
            spec = ambiguities[name].readings[choice](spec)
        return spec

    return reading
