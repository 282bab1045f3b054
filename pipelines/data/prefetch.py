"""An iterator that runs ahead of its consumer in a thread, and fails where the consumer can see it."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Iterator
from typing import TypeVar, cast

T = TypeVar("T")

_END = object()


def prefetched(make: Callable[[], Iterator[T]], ahead: int) -> Generator[T, None, None]:
    """The items of `make()`, up to `ahead` of them made before they are asked for.

    What is raised in the thread is raised here. Closing this generator, or dropping it, ends the thread.
    """
    ready: queue.Queue[object] = queue.Queue(ahead)
    failures: list[BaseException] = []
    abandoned = threading.Event()

    def offer(item: object) -> None:
        while not abandoned.is_set():
            try:
                ready.put(item, timeout=0.1)
            except queue.Full:
                continue
            return

    def work() -> None:
        items = make()
        try:
            for item in items:
                offer(item)
                if abandoned.is_set():
                    break
        except BaseException as failure:
            failures.append(failure)
        finally:
            getattr(items, "close", lambda: None)()
            offer(_END)

    thread = threading.Thread(target=work, name="prefetch", daemon=True)
    thread.start()
    try:
        while (item := ready.get()) is not _END:
            yield cast(T, item)
        if failures:
            raise failures[0]
    finally:
        abandoned.set()
        thread.join()
