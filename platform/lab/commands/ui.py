"""`lab ui`: the record in the MLflow UI."""

from __future__ import annotations

import argparse

from lab.settings import Settings


def ui(arguments: argparse.Namespace) -> int:
    """Serve the record on the loopback interface until Ctrl-C."""
    from lab.tracking.server import serve

    return serve(Settings.load(), port=arguments.port)
