"""What ModelNet40 is: its classes and how many shapes of them there are (paper, section 4.3)."""

from __future__ import annotations

from collections.abc import Sequence

from lab.errors import DataError, did_you_mean
from pipelines.data.modelnet40.shapes import Splits

CLASSES = (
    "airplane",
    "bathtub",
    "bed",
    "bench",
    "bookshelf",
    "bottle",
    "bowl",
    "car",
    "chair",
    "cone",
    "cup",
    "curtain",
    "desk",
    "door",
    "dresser",
    "flower_pot",
    "glass_box",
    "guitar",
    "keyboard",
    "lamp",
    "laptop",
    "mantel",
    "monitor",
    "night_stand",
    "person",
    "piano",
    "plant",
    "radio",
    "range_hood",
    "sink",
    "sofa",
    "stairs",
    "stool",
    "table",
    "tent",
    "toilet",
    "tv_stand",
    "vase",
    "wardrobe",
    "xbox",
)
"""In the order of their labels, which is the alphabet's in every form of the data set."""

COUNTS = {"train": 9843, "test": 2468}
"""Shapes of the official splits. The HDF5 form has three training shapes less."""


def require_known(names: Sequence[str], where: str) -> None:
    """Refuses, with DataError, a class that is none of the 40."""
    for name in sorted(set(names) - set(CLASSES)):
        raise DataError(
            f"{where}: {name!r} is no class of ModelNet40; take it out.{did_you_mean(name, CLASSES)}"
        )


def missing(splits: Splits) -> dict[str, int]:
    """What the source lacks of ModelNet40, or has beyond it: a remark -> how many. Empty for the full set."""
    absent = len(set(CLASSES) - {shape.name for shapes in splits.values() for shape in shapes})
    if absent:
        return {f"of the {len(CLASSES)} classes are not in the source": absent}
    remarks = {}
    for split, count in COUNTS.items():
        found = len(splits[split])
        if found != count:
            less = "fewer" if found < count else "more"
            remarks[f"{split} shapes {less} than the official {count:,}"] = abs(found - count)
    return remarks
