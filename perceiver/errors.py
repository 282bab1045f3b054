"""What this package raises on purpose, and the checks that raise it.

    ValueError
    ├── ConfigError    a specification that no model can have
    └── InputError     a batch that the model was not built for

Every message is one line: the rule, the value given, and what to do.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import get_args

import torch
from torch import Tensor


class ConfigError(ValueError):
    """A specification that no model can have; raised while it is constructed."""


class InputError(ValueError):
    """A batch whose type, shape or content the model was not built for; raised before any work is done."""


def require_counts(owner: str, *, at_least: int = 1, **counts: object) -> None:
    """Refuse, with ConfigError, every count that is not an integer of at least `at_least`."""
    for name, count in counts.items():
        if not isinstance(count, int) or isinstance(count, bool) or count < at_least:
            raise ConfigError(f"{owner}.{name} must be an integer of at least {at_least}, given {count!r}")


def require_choice(owner: str, name: str, choice: object, literal: object) -> None:
    """Refuse, with ConfigError, a choice that is not among those of the Literal type; suggest the nearest."""
    choices = get_args(literal)
    if choice not in choices:
        near = get_close_matches(str(choice), choices, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ConfigError(
            f"{owner}.{name} must be one of {', '.join(map(repr, choices))}, given {choice!r}{hint}"
        )


def require_divisible(owner: str, name: str, width: int, divisor_name: str, divisor: int) -> None:
    """Refuse, with ConfigError, a width that the divisor does not divide; name the nearest that fit."""
    if width % divisor:
        below, above = width // divisor * divisor, (width // divisor + 1) * divisor
        nearest = f"{below} or {above}" if below else f"{above}"
        raise ConfigError(
            f"{owner}.{name} must be divisible by {divisor_name}, given {width} and {divisor}; try {nearest}"
        )


def require_batch(owner: str, raw: object, shape: tuple[int, ...], *, eight_bit: bool = False) -> None:
    """Refuse, with InputError, what is not a non-empty, finite float batch (b, *shape); or 8-bit, if so due.

    NaN and infinity are looked for on the CPU only, where one pass over the batch is cheap: on a GPU the
    answer would stall the queue, and inside `torch.compile` it would break the graph.
    """
    expected = f"a {'uint8' if eight_bit else 'float'} tensor of shape ({', '.join(['b', *map(str, shape)])})"
    if not isinstance(raw, Tensor):
        raise InputError(f"{owner} expects {expected}, given {type(raw).__name__}")
    given = f"{str(raw.dtype).removeprefix('torch.')} of shape {tuple(raw.shape)}"
    if tuple(raw.shape[1:]) != shape or raw.ndim != len(shape) + 1:
        channels_first = len(shape) == 3 and tuple(raw.shape[1:]) == (shape[2], *shape[:2])
        hint = "; channels go last, try raw.permute(0, 2, 3, 1)" if channels_first else ""
        raise InputError(f"{owner} expects {expected}, given {given}{hint}")
    if eight_bit and raw.dtype != torch.uint8:
        raise InputError(f"{owner} expects {expected}, given {given}; floats are due where pixels=None")
    if not eight_bit and not raw.is_floating_point():
        raise InputError(f"{owner} expects {expected}, given {given}; convert and normalise it first")
    if raw.shape[0] == 0:
        raise InputError(f"{owner} expects at least one example: {expected}, given {given}")
    # A sum is finite only where every term is, and unlike isfinite(raw) it allocates nothing.
    looked_for = not eight_bit and raw.device.type == "cpu" and not torch.compiler.is_compiling()
    if looked_for and not torch.isfinite(raw.detach().sum(dtype=torch.float64)):
        raise InputError(f"{owner} expects finite values, given {given} with NaN or infinity")
