"""`lab data`: prepare, verify and look at data sets. The work is done by the package that declares them."""

from __future__ import annotations

import argparse
from pathlib import Path

from lab import catalog
from lab.errors import UnknownName
from lab.settings import Settings


def data(arguments: argparse.Namespace) -> None:
    """Do one action on one data set, or list them all."""
    shelf = catalog.package("datasets")
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
        print(shelf.prepare(arguments.dataset, root, source=arguments.source))
    elif arguments.action == "verify":
        print(shelf.verify(root, arguments.dataset))
    else:
        print(shelf.describe(root, arguments.dataset))
        picture = shelf.contact_sheet(root, arguments.dataset, Path(root) / f"{arguments.dataset}.png")
        print(f"examples: {picture}")
