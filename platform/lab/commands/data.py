"""`lab data`: prepare, verify and look at data sets. The work is done by the package that declares them."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from lab import catalog
from lab.errors import SpecError, UnknownName
from lab.settings import Settings
from lab.tracking.address import shown


def data(arguments: argparse.Namespace) -> None:
    """Do one action on one data set, or list them all."""
    shelf = catalog.package("datasets", having="contact_sheet")
    root = Settings.load().data
    if arguments.source and arguments.action != "prepare":
        raise SpecError(f"lab data {arguments.action} takes no --source: only prepare reads raw files.")
    if arguments.action == "list":
        _list(shelf, root)
        return
    if not arguments.dataset:
        known = ", ".join(sorted(catalog.datasets()))
        raise UnknownName(f"lab data {arguments.action} needs the name of a data set: {known}.")
    catalog.dataset(arguments.dataset)
    if arguments.action == "prepare":
        print(_counted(partial(shelf.prepare, arguments.dataset, root, arguments.source)))
    elif arguments.action == "verify":
        print(_counted(partial(shelf.verify, root, arguments.dataset)))
    else:
        print(shelf.describe(root, arguments.dataset))
        folder = Path() if "://" in root else Path(root)
        picture = folder / f"{Path(arguments.dataset).stem}.png"
        print(f"\n  examples   {shelf.contact_sheet(root, arguments.dataset, picture)}")


def _list(shelf: ModuleType, root: str) -> None:
    """A line for each data set: its state, how much of it there is, and what it is."""
    print(f"under {shown(root)}")
    for name, module in sorted(catalog.datasets().items()):
        found = shelf.inventory(root, name)
        much = f"{found.examples:>12,} examples {shelf.size(found.bytes):>10}" if found.examples else ""
        print(f"  {name:<12}{found.state:<14}{much:<32}  {catalog.summary(module)}")


def _counted(work: Callable[..., Any]) -> Any:
    """The outcome of `work`, which may take hours and shows how far it is."""
    from lab.commands.progress import CountLine

    line = CountLine()
    try:
        return work(progress=line)
    finally:
        line.close()
