"""`lab claims`: what the paper says in sentences, and what the record says of each. Trains nothing."""

from __future__ import annotations

import argparse
from pathlib import Path

from lab import catalog
from lab.commands.tables import kept, record, sweeps_of


def claims(arguments: argparse.Namespace) -> None:
    """Print every claim with its verdict, at one scale."""
    shelf = catalog.package("tables")
    names, scale = sorted(shelf.exhibits()), arguments.scale
    if arguments.source:
        colophon = kept(Path(arguments.source))
        names, scale, tracker = colophon.names, colophon.scale, colophon.snapshot
    else:
        tracker = record()
    filled = shelf.assemble(names, tracker, sweeps_of(names, scale))
    print(shelf.claims.render(filled, arguments.format), end="")
