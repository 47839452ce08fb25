"""How long work tells the world about itself; the command line draws it, Python may listen or stay silent."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, runtime_checkable

MEGABYTE = 1_000_000


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
