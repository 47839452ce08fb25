"""How long work tells the world about itself; the command line draws it, Python may listen or stay silent."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, runtime_checkable

MEGABYTE = 1_000_000
READING = "photos of the capture"
"""Name under which the reading of a capture is told."""
PATIENCE = 2.0
"""Seconds for which work that mostly is quick is done in silence."""


@runtime_checkable
class Reporter(Protocol):
    """Receives the progress of stages that follow one another."""

    def begin(self, stage: str, total: int) -> None:
        """A stage of `total` units starts."""
        ...

    def advance(self, done: int, facts: dict[str, float] | None = None) -> None:
        """`done` units are finished; `facts` are numbers worth showing."""
        ...

    def end(self, seconds: float) -> None:
        """The stage is over."""
        ...

    def note(self, message: str) -> None:
        """A sentence for the user."""
        ...


class Silent:
    """Says nothing."""

    def begin(self, stage: str, total: int) -> None: ...

    def advance(self, done: int, facts: dict[str, float] | None = None) -> None: ...

    def end(self, seconds: float) -> None: ...

    def note(self, message: str) -> None: ...


@contextmanager
def reported(reporter: Reporter, stage: str, total: int) -> Iterator[Callable[[int, int], None]]:
    """Report a stage whose work calls back with (done, total)."""
    reporter.begin(stage, total)
    start = time.perf_counter()
    yield lambda done, total: reporter.advance(done)
    reporter.end(time.perf_counter() - start)


@contextmanager
def reported_if_slow(reporter: Reporter, stage: str) -> Iterator[Callable[[int, int], None]]:
    """As `reported`, for work that mostly is quick and learns its total as it goes: nothing is said of it for
    `PATIENCE` seconds."""
    begun, start = threading.Event(), time.perf_counter()
    known = shown = 0

    def begin() -> None:
        nonlocal shown
        shown = known
        reporter.begin(stage, shown)
        begun.set()

    def hear(done: int, total: int) -> None:
        nonlocal known
        known = total
        if begun.is_set():
            if shown != total:
                begin()
            reporter.advance(done)

    # Something is said too while the work does not call.
    timer = threading.Timer(PATIENCE, begin)
    timer.daemon = True
    timer.start()
    try:
        yield hear
    finally:
        timer.cancel()
        timer.join()
    if begun.is_set():
        reporter.end(time.perf_counter() - start)


def downloading(reporter: Reporter, name: str) -> Callable[[int, int], None]:
    """What reports a download that calls back with (bytes done, bytes in all), as a stage that is counted in MB."""
    start: float | None = None

    def hear(done: int, total: int) -> None:
        nonlocal start
        if start is None:
            start = time.perf_counter()
            reporter.begin(f"fetching {name}, MB", -(-total // MEGABYTE))
        reporter.advance(-(-done // MEGABYTE))
        if done >= total:
            reporter.end(time.perf_counter() - start)

    return hear
