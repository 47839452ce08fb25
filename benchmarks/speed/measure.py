"""How a row is measured: both sides in turn, in one process, and their ratio with its spread."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import numba
import torch

Work = Callable[[], object]
Unit = Literal["x", "x floor", "%", "exponent", "MB", "ms", "s"]


@dataclass(frozen=True)
class Row:
    """One number of the benchmark."""

    section: str
    name: str
    work: str
    """What was done, in sizes."""
    value: float
    """Median over repeats."""
    unit: Unit
    """`x`: reference time over our time. `x floor`: our time over the floor's. `%`: of the machine's matrix rate.
    `exponent`: of time over size. Times in ms and s depend on the machine."""
    smallest: float
    largest: float
    repeats: int
    target: float | None = None
    """What is to be reached: at least this, or at most where the unit is of time."""

    @property
    def reached(self) -> bool | None:
        """Whether the target is; None without one."""
        if self.target is None:
            return None
        return self.value <= self.target if self.unit in ("ms", "s") else self.value >= self.target


_clock = time.perf_counter


def by_processor_time() -> None:
    """From now on measure the processor time of this process instead of wall time.

    On a machine that also does other work, and with one thread, that is what wall time would be without it.
    """
    global _clock
    _clock = time.process_time


def seconds(work: Work) -> float:
    """Time of one call."""
    start = _clock()
    work()
    return _clock() - start


def row(section: str, name: str, work: str, values: Sequence[float], unit: Unit, target: float | None = None) -> Row:
    """The median of repeated values, with the smallest and the largest."""
    return Row(section, name, work, statistics.median(values), unit, min(values), max(values), len(values), target)


def compare(
    section: str,
    work: str,
    ours: Mapping[str, Work],
    reference: Work,
    repeats: int,
    *,
    prepare: Work = lambda: None,
    shares: tuple[float, float] = (1.0, 1.0),
    targets: Mapping[str, float] | None = None,
    warm: bool = True,
) -> list[Row]:
    """Time ours and the reference in turn, after one round that does not count; one row for each of ours.

    Args:
        section: of the report.
        work: what all do, in sizes.
        ours: by name of the row.
        reference: against which each is held.
        repeats: rounds that count.
        prepare: runs untimed before each.
        shares: units of work that ours and the reference do in a call; the ratio is of units a second.
        targets: ratios to reach, by name.
        warm: whether the reference too runs once untimed; not for references of many seconds, where it matters little.
    """
    ratios: dict[str, list[float]] = {name: [] for name in ours}
    for repeat in range(repeats + 1):
        fast = {}
        for name, contender in ours.items():
            prepare()
            fast[name] = seconds(contender)
        if repeat == 0 and not warm:
            continue
        prepare()
        slow = seconds(reference)
        if repeat:
            for name, value in fast.items():
                ratios[name].append((slow / shares[1]) / (value / shares[0]))
    return [row(section, name, work, values, "x", (targets or {}).get(name)) for name, values in ratios.items()]


def timed(work: Work, repeats: int, prepare: Work = lambda: None) -> list[float]:
    """Seconds of repeated calls, after one that does not count."""
    values = []
    for _ in range(repeats + 1):
        prepare()
        values.append(seconds(work))
    return values[1:]


def exponent(sizes: Sequence[float], times: Sequence[float]) -> float:
    """Slope of time over size, both logarithmic, by least squares: 1 where cost grows as the work does."""
    x, y = [math.log(size) for size in sizes], [math.log(value) for value in times]
    middle_x, middle_y = statistics.fmean(x), statistics.fmean(y)
    return sum((a - middle_x) * (b - middle_y) for a, b in zip(x, y, strict=True)) / sum((a - middle_x) ** 2 for a in x)


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Both thread pools at this size."""
    torch_before, numba_before = torch.get_num_threads(), numba.get_num_threads()
    torch.set_num_threads(count)
    numba.set_num_threads(min(count, numba.config.NUMBA_NUM_THREADS))
    try:
        yield
    finally:
        torch.set_num_threads(torch_before)
        numba.set_num_threads(numba_before)
