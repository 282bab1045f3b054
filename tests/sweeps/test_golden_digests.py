"""The identity of the paper's experiments is pinned: a change here orphans every finished run of it.

Where a change is meant, write the new digests with `python tests/sweeps/test_golden_digests.py` and say why
in the commit. A field added later keeps all digests if it is declared neutral at its default
(`lab.codec.encode`).
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path

import pytest

from lab import Ablation, ExperimentSpec, catalog

GOLDEN = Path(__file__).parents[1] / "golden" / "digests.json"


@cache
def current() -> dict[str, str]:
    """Name at scale -> digest, for all experiments and all cases of all ablations."""
    digests = {}
    for scale in catalog.scales():
        for name in catalog.experiments():
            digests[f"{name} {scale}"] = catalog.experiment(name, scale).digest
        for name in catalog.sweeps():
            sweep = catalog.sweep(name, scale)
            for case in sweep.cases if isinstance(sweep, Ablation) else ():
                digests[f"{name}/{case.label} {scale}"] = case.spec.digest
    return digests


PINNED: dict[str, str] = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}


@pytest.mark.parametrize("name", sorted(PINNED))
def test_a_published_experiment_keeps_its_digest(name: str) -> None:
    assert current()[name] == PINNED[name]


def test_every_experiment_is_pinned() -> None:
    assert set(current()) == set(PINNED)


def test_the_main_experiment_s_digest_is_that_of_the_text_kept_beside_it() -> None:
    text = (GOLDEN.parent / "imagenet.fourier.paper.json").read_text().strip()
    pinned = PINNED["imagenet.fourier paper"]
    assert hashlib.sha256(text.encode()).hexdigest()[:12] == pinned
    assert ExperimentSpec.from_json(text) == catalog.experiment("imagenet.fourier", "paper")


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps(current(), indent=1, sort_keys=True) + "\n")
    main = catalog.experiment("imagenet.fourier", "paper")
    (GOLDEN.parent / "imagenet.fourier.paper.json").write_text(main.to_json() + "\n")
