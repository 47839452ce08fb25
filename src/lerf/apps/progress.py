"""Progress of long work on a terminal, in words that also read well in a log file."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from lerf.apps.console import PlainConsole
from lerf.run.report import READING, reported_if_slow

SAID_EVERY = 20.0
"""Seconds between two lines about a stage where there is no terminal."""


class TerminalReporter:
    """A bar for each stage with its numbers and the time left; without a terminal, a line at times and at its end."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.stage = ""
        self._total, self._said = 0, time.monotonic()
        self.facts: dict[str, float] = {}
        self._progress: Progress | None = None
        self._task = TaskID(0)

    def begin(self, stage: str, total: int) -> None:
        self.close()
        self.stage, self.facts = stage, {}
        self._total, self._said = total, time.monotonic()
        if self.console.is_terminal:
            columns = (
                TextColumn("{task.description:<28}", markup=False),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[facts]}", markup=False),
            )
            self._progress = Progress(*columns, console=self.console, transient=True)
            self._task = self._progress.add_task(stage, total=total, facts="")
            self._progress.start()

    def advance(self, done: int, facts: dict[str, float] | None = None) -> None:
        self.facts = facts or self.facts
        if self._progress:
            self._progress.update(self._task, completed=done, facts=describe(self.facts))
        elif time.monotonic() - self._said >= SAID_EVERY:
            self._said = time.monotonic()
            self.console.print(f"{self.stage:<28} {done:,} of {self._total:,}   {describe(self.facts)}".rstrip())

    def show(self, stage: str, done: int, total: int) -> None:
        """Progress of work that names its stage with every call."""
        if self.stage != stage:
            self.begin(stage, total)
        self.advance(done)

    def end(self, seconds: float) -> None:
        self.close()
        self.console.print(f"{self.stage:<28} {seconds:8.1f} s   {describe(self.facts)}")

    def note(self, message: str) -> None:
        self.console.print(message)

    def close(self) -> None:
        """Take the bar away."""
        if self._progress:
            self._progress.stop()
            self._progress = None


@contextmanager
def capture_progress() -> Iterator[Callable[[int, int], None]]:
    """Progress of reading a capture, on the standard error, of those captures that take long."""
    reporter = TerminalReporter(PlainConsole(stderr=True))
    try:
        with reported_if_slow(reporter, READING) as progress:
            yield progress
    finally:
        reporter.close()


def describe(facts: dict[str, float]) -> str:
    """The numbers worth a glance."""
    shown = []
    if "psnr" in facts:
        shown.append(f"{facts['psnr']:.1f} dB")
    if "cosine" in facts:
        shown.append(f"cosine {facts['cosine']:.3f}")
    if "rays_per_second" in facts:
        shown.append(f"{facts['rays_per_second']:,.0f} rays/s")
    if "tiles_per_second" in facts:
        shown.append(f"{facts['tiles_per_second']:,.0f} tiles/s")
    return ", ".join(shown)
