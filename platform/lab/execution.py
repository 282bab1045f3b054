"""How the steps of a run are carried out. Never part of its identity: results differ by rounding at most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lab.errors import SpecError


@dataclass(frozen=True)
class Execution:
    """micro_batch: examples per worker at a time, gradients accumulating to the batch; None for its whole
    slice, "auto" for the most that its memory holds · compile: the model through `torch.compile` · sharded:
    weights and moments spread over the workers (FSDP2) instead of a copy in each

    A network with BatchNorm normalises over what it sees at a time, so there a micro-batch changes the
    result, as a number of workers does.
    """

    micro_batch: int | Literal["auto"] | None = None
    compile: bool = False
    sharded: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.micro_batch, int) and self.micro_batch < 1:
            raise SpecError(f"--micro-batch must be 1 or more, or auto, got {self.micro_batch}.")
        if isinstance(self.micro_batch, str) and self.micro_batch != "auto":
            raise SpecError(f"--micro-batch is a number of examples or auto, got {self.micro_batch!r}.")
        if self.sharded and self.micro_batch == "auto":
            raise SpecError(
                "--sharded workers meet in every layer, so none can look for a size alone: "
                "give --micro-batch a number."
            )
        if self.sharded and self.compile:
            raise SpecError("--sharded and --compile are not tested together: choose one.")
