"""One image of ImageNet: its class, its name, and where its bytes are."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.data.payload import Payload


@dataclass(frozen=True, slots=True)
class Located:
    """`name` is the file name as the form keeps it."""

    wnid: str
    name: str
    at: Payload

    @property
    def key(self) -> str:
        """`n01440764/n01440764_10026`, in every form that keeps the official names."""
        return f"{self.wnid}/{self.name.rpartition('.')[0] or self.name}"
