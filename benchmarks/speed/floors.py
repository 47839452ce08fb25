"""Counted work of the stages, and the time below which this machine cannot do it.

Counts are of what any implementation of the stage must do: each number that goes in is read once, each that comes out
is written once, and no intermediate result touches memory. The floor is the largest of operations, bytes and random
reads, each at the machine's measured rate, as if the other two were free. So a stage at 2 floors is not twice as slow
as it could be: it may be limited by two things at once, or by latency that none of the rates shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from lerf.kernels.layout import GridLayout
from speed.machine import Rates

CACHED = 1 << 19
"""Bytes of a level that stays in a core's own cache; reads of smaller ones are not random reads of memory."""


@dataclass(frozen=True)
class Count:
    """Work of a stage."""

    flops: float = 0.0
    bytes: float = 0.0
    reads: float = 0.0
    """Random reads of table rows outside the cache."""

    def __add__(self, other: Count) -> Count:
        return Count(self.flops + other.flops, self.bytes + other.bytes, self.reads + other.reads)

    def __mul__(self, factor: float) -> Count:
        return Count(factor * self.flops, factor * self.bytes, factor * self.reads)

    def floor(self, rates: Rates) -> float:
        """Seconds."""
        return max(self.flops / rates.flops, self.bytes / rates.bytes, self.reads / rates.reads)

    def limit(self, rates: Rates) -> str:
        """Which of the three sets the floor."""
        times = {
            "operations": self.flops / rates.flops,
            "bytes": self.bytes / rates.bytes,
            "random reads": self.reads / rates.reads,
        }
        return max(times, key=lambda name: times[name])


def encode(layout: GridLayout, points: int) -> Count:
    """One direction of the encoding: eight corners a level, a multiplication and an addition for each feature."""
    large = sum(4 * int(size) * layout.features > CACHED for size in layout.sizes)
    flops = points * layout.levels * 8 * (2 * layout.features + 2)
    return Count(flops, 4 * points * (3 + layout.width), points * large * 8)


def dense(rows: int, widths: Sequence[int], backward: bool = False) -> Count:
    """A network of these layer widths; backward adds the products for inputs and weights."""
    products = sum(a * b for a, b in pairwise(widths))
    memory = 4 * (rows * (widths[0] + widths[-1]) + products)
    return Count(2.0 * rows * products, memory) * (3 if backward else 1)


def composite(rays: int, samples: int, channels: int) -> Count:
    """Weighted sums along rays."""
    return Count(2.0 * rays * samples * channels, 4.0 * rays * (samples * (1 + channels) + channels))


def adam(entries: int, features: int) -> Count:
    """Reads and writes of parameter, gradient and two moments of the entries that a step touched."""
    return Count(12.0 * entries * features, 2 * 4 * 4.0 * entries * features)
