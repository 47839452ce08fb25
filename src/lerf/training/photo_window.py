"""Which photos are in memory at a step, where not all of them fit.

Random rays over everything on disk would mean tens of thousands of page reads a step. Instead batches are drawn from a
window over the photos in a fixed random order, which repeats from the start at its end. The window moves on with the
steps: one photo leaves where one enters, which a background thread has read ahead. The photos in the window follow from
the seed and the step alone, so that a resumed training continues exactly.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

import torch

T = TypeVar("T")
AHEAD = 8
"""Photos that are read before they are needed."""
LEAST = 8
"""Photos that are resident however small the budget: a batch from fewer is no batch of the scene."""
LEAST_RATE = 0.5
"""Photos a step that are exchanged at least, where the training is long enough to see all of them anyway."""


def capacity_of(budget: int, bytes_each: int, count: int) -> int:
    """How many of `count` photos of at most `bytes_each` are resident within `budget` bytes."""
    return min(count, max(LEAST, budget // max(bytes_each, 1)))


def rate_of(count: int, capacity: int, steps: int) -> float:
    """Photos exchanged a step so that each is resident at some time of the training."""
    return max(LEAST_RATE, math.ceil(1000 * (count - capacity) / max(steps, 1)) / 1000)


class PhotoWindow(Generic[T]):
    """The photos that are resident at a step, each in one of the cache slots 0 .. capacity - 1 while it is resident."""

    def __init__(
        self,
        members: Sequence[int],
        capacity: int,
        rate: float,
        seed: int,
        load: Callable[[int], T],
        put: Callable[[int, int, T], None],
        readers: int = 1,
    ) -> None:
        """
        Args:
            members: the photos, by whatever number `load` knows them.
            capacity: how many are resident, at most as many as there are.
            rate: how many are exchanged a step.
            seed: of the order.
            load: reads a photo; called in background threads.
            put: keeps what was read: (cache slot, photo, what was read).
            readers: background threads.
        """
        order = torch.randperm(len(members), generator=torch.Generator().manual_seed(seed))
        self.order = [members[index] for index in order.tolist()]
        self.capacity, self.rate = min(capacity, len(members)), rate
        self.photos = [-1] * self.capacity
        """Resident photo of each cache slot; -1 before the first `go_to`."""
        self._load, self._put = load, put
        self._first = self._end = 0
        self._reader = ThreadPoolExecutor(readers)
        self._coming: dict[int, Future[T]] = {}

    def go_to(self, step: int) -> bool:
        """Make resident what belongs to a step; whether anything changed. Errors of `load` come out here."""
        first = int(step * self.rate)
        end = first + self.capacity
        if (first, end) == (self._first, self._end):
            return False
        near = self._first <= first < self._end
        begin = self._end if near else first
        self._coming = {index: coming for index, coming in self._coming.items() if index >= begin}
        for index in range(begin, end):
            for wanted in range(index, index + 1 + AHEAD):
                if wanted not in self._coming:
                    photo = self.order[wanted % len(self.order)]
                    self._coming[wanted] = self._reader.submit(self._load, photo)
            photo, cache_slot = self.order[index % len(self.order)], index % self.capacity
            self._put(cache_slot, photo, self._coming.pop(index).result())
            self.photos[cache_slot] = photo
        self._first, self._end = first, end
        return True

    def close(self) -> None:
        """Stop reading ahead."""
        self._coming = {}
        self._reader.shutdown(wait=True, cancel_futures=True)
