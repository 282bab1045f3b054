"""Which module stands at which place of the network: the four readings of the paper's weight sharing.

A Perceiver is a row of places, each a cross-attend or a block of self-attends. Places may share one module.
The text of the paper contradicts itself; the parameter counts decide (docs/paper.md section 1.5):

    sharing            cross-attends       blocks              ImageNet
    "none"             all own             all own             326.2M   Table 7
    "published"        1 own, 2..T one     one for all          44.9M   Tables 6 and 7, section 3.1
    "first_block_own"  1 own, 2..T one     1 own, 2.. one       82.7M   first version of the paper
    "all"              one for all         one for all          42.1M   unstable in training (section 4.1)

The self-attends within a block are always distinct.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Sharing = Literal["none", "published", "first_block_own", "all"]
Placement = Literal["interleaved", "at_start"]


class Place(NamedTuple):
    """One place of the network and the number of the module that serves it."""

    kind: Literal["cross_attend", "block"]
    module: int


def cross_attend_module(number: int, sharing: Sharing) -> int:
    """Module of the cross-attend with that number, from 0."""
    match sharing:
        case "none":
            return number
        case "published" | "first_block_own":
            return min(number, 1)
        case "all":
            return 0


def block_module(number: int, sharing: Sharing) -> int:
    """Module of the block of self-attends with that number, from 0."""
    match sharing:
        case "none":
            return number
        case "published" | "all":
            return 0
        case "first_block_own":
            return min(number, 1)


def places(*, blocks: int, cross_attends: int, placement: Placement, sharing: Sharing) -> tuple[Place, ...]:
    """The network from input to output.

    "at_start" puts all cross-attends before the first block. "interleaved" puts one before every (blocks /
    cross_attends)-th block, beginning with the first; even spacing is assumed, the paper does not give the
    slots.
    """
    crosses = [Place("cross_attend", cross_attend_module(t, sharing)) for t in range(cross_attends)]
    latent = [Place("block", block_module(b, sharing)) for b in range(blocks)]
    if placement == "at_start":
        return (*crosses, *latent)
    spacing = blocks // cross_attends
    groups = [(cross, *latent[t * spacing : (t + 1) * spacing]) for t, cross in enumerate(crosses)]
    return tuple(place for group in groups for place in group)


def modules(row: tuple[Place, ...], kind: Literal["cross_attend", "block"]) -> int:
    """Number of distinct modules of a kind in a row of places."""
    return len({place.module for place in row if place.kind == kind})
