"""Data sets that need no source: their raw files are generated, then prepared as if a person had them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from lab.errors import SpecError
from pipelines.data.build import Prepared, Progress, build
from pipelines.data.plan import Plan


def prepared(
    root: str,
    name: str,
    version: int,
    *,
    source: str | None,
    write: Callable[[Path], None],
    plan: Callable[[Path], Plan],
    progress: Progress,
) -> Prepared:
    """Makes `root`/`name` from what `write` writes into a scratch folder and `plan` finds there.

    Nothing is written when it is prepared already. Raises SpecError when a source is named, else as `build`.
    """
    if source is not None:
        raise SpecError(f"{name} is generated and made from no source, got {source!r}: leave it out.")
    with TemporaryDirectory(prefix=f"{name}-") as scratch:

        def planned() -> Plan:
            write(Path(scratch))
            return plan(Path(scratch))

        return build(root, name, version, planned, progress=progress)
