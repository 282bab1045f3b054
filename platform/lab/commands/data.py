"""`lab data`: prepare, verify and look at data sets. The work is done by the package that declares them."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from lab import catalog
from lab.errors import UnknownName
from lab.settings import Settings


def data(arguments: argparse.Namespace) -> None:
    """Do one action on one data set, or list them all."""
    shelf = catalog.package("datasets", having="contact_sheet")
    root = Settings.load().data
    if arguments.action == "list":
        for name, module in sorted(catalog.datasets().items()):
            print(f"  {name:14}{shelf.state(root, name):16}{catalog.summary(module)}")
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
        name = Path(arguments.dataset).stem
        picture = shelf.contact_sheet(root, arguments.dataset, Path(root) / f"{name}.png")
        print(f"examples: {picture}")


def _counted(work: Callable[..., Any]) -> Any:
    """The outcome of `work`, which may take hours and shows how far it is."""
    from lab.commands.progress import CountLine

    line = CountLine()
    try:
        return work(progress=line)
    finally:
        line.close()
