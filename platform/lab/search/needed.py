"""What no search may prune: the experiments that ablations, and so tables, refer to."""

from __future__ import annotations

from collections.abc import Iterable

from lab.sweep import Ablation, Sweep


def needed(sweeps: Iterable[Sweep]) -> frozenset[str]:
    """The digests of every case of the ablations among the sweeps, with every seed."""
    return frozenset(
        spec.digest for sweep in sweeps if isinstance(sweep, Ablation) for _, spec in sweep.specs()
    )
