"""Seconds of each stage and the peak memory of a run."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from lerf.run.folder import RunFolder
from lerf.run.journal import write_timings

PROCESS_STATUS = Path("/proc/self/status")
"""Where Linux says what a process holds and held."""


class Clock:
    """Seconds of each stage, and the peak memory, kept in the run across resumes and, up to its last mark, kills."""

    def __init__(self, run: RunFolder) -> None:
        self.run, self.name, self.since = run, "", time.perf_counter()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stage. What is timed within another stage does not count for that one."""
        outer, spent = self.name, time.perf_counter() - self.since
        self.name, self.since = name, time.perf_counter()
        try:
            yield
        finally:
            self.mark()
            self.name, self.since = outer, time.perf_counter() - spent

    def mark(self) -> None:
        """Write down the time since the last mark, or since the stage began."""
        now = time.perf_counter()
        timings = self.run.read_timings()
        spent = timings.seconds.get(self.name, 0.0) + now - self.since
        timings.seconds[self.name] = round(spent, 3)
        timings.peak_memory_bytes = max(timings.peak_memory_bytes, peak_memory())
        write_timings(self.run.path / "timings.json", timings)
        self.since = now


def peak_memory() -> int:
    """Largest resident memory of this process so far, bytes."""
    try:
        # What `getrusage` says begins with what the parent had when this process was started from it.
        lines = PROCESS_STATUS.read_text().splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        pass
    try:
        import resource

        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    except ImportError:
        return psutil.Process().memory_info().rss
