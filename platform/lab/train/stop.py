"""Ctrl-C once asks a run to stop at its next step; twice stops the process."""

from __future__ import annotations

import signal
from types import FrameType, TracebackType
from typing import Any, Self

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """While entered, the first SIGINT or SIGTERM only makes this true when called; the second does what it
    always did.

    Must be entered in the main thread.
    """

    def __init__(self) -> None:
        self.asked = False
        self._before: dict[signal.Signals, Any] = {}

    def __call__(self) -> bool:
        return self.asked

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._ask) for number in SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._withdraw()

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        self._withdraw()

    def _withdraw(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}
