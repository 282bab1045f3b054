"""What `lab sweep` and `lab plan` do for a search besides running it: how it chooses, what it came to."""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
from collections.abc import Container
from pathlib import Path

from lab import catalog
from lab.errors import SpecError
from lab.search import pruning, samplers
from lab.search.needed import needed
from lab.sweep import Search, Sweep
from lab.tracking.tracker import Tracker


def chosen(found: Search, arguments: argparse.Namespace) -> Search:
    """The search with the trials, the sampler and the pruning asked for. Raises LabError."""
    changes: dict[str, object] = {}
    if arguments.trials is not None:
        changes["trials"] = arguments.trials
    if arguments.sampler is not None:
        changes["sampler"] = samplers.named(arguments.sampler)
    if arguments.pruning is not None:
        changes["pruning"] = pruning.named(arguments.pruning)
    return dataclasses.replace(found, **changes) if changes else found  # type: ignore[arg-type]


def refuse_search_flags(name: str, arguments: argparse.Namespace) -> None:
    """Raise SpecError where a flag of searches was given for an ablation."""
    for flag in ("trials", "sampler", "pruning"):
        if getattr(arguments, flag) is not None:
            raise SpecError(f"--{flag} is for searches; {name} is an ablation (it has --seeds and --only).")


def never_pruned(found: Sweep) -> Container[str]:
    """The digests that tables need, where the sweep prunes."""
    if not isinstance(found, Search) or found.pruning is None:
        return frozenset()
    scale = catalog.find_scale(found.scale)
    return needed(make(scale) for make in catalog.sweeps().values())


def tell(found: Sweep, tracker: Tracker) -> None:
    """Print what a search came to, and keep its page with its parent run."""
    if not isinstance(found, Search):
        return
    from lab.search.winners import told, tried, winners

    for line in told(found, winners(found, tracker), tried(found, tracker)):
        print(line)
    shelf = catalog.package("tables")
    parent = tracker.parent(found.name, kind="search", scale=found.scale)
    results = shelf.searched(tracker, {found.name: found})
    if parent is None or not any(result.trials for result in results):
        return
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder, "search.html")
        page.write_text(shelf.render([], "html", results), encoding="utf-8")
        tracker.attach(parent.run_id, page, "report")
