"""Everybody's work in small steps on one thread, so that no page waits for another page's picture.

A job is an iterator: each `next` is one step of some tens of milliseconds. Between two steps the most urgent job that
has waited longest goes on, and a job that was replaced is given up. Who has lately had much more than others while they
waited comes after them, however urgent.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum

import torch


class Urgency(IntEnum):
    """What goes first; within one urgency, whoever was served longest ago."""

    ANSWER = 0
    """A prompt or a click, which takes milliseconds."""
    MOVING = 1
    """The first picture of a new camera."""
    REFINING = 2
    """Sharper pictures of a camera at rest."""


GREEDY_SECONDS, GREEDY_TIMES = 1.0, 2.0
"""How much more than the others' least somebody may have had, and how many times that, before others go first."""
FORGOTTEN_SECONDS = 10.0
"""After which half of what somebody has had is forgotten."""
Steps = Iterator[Urgency]
"""Each step says how urgent the next one is."""


@dataclass
class _Job:
    steps: Steps
    urgency: Urgency
    served: int
    sheltered: bool
    """Whether a later job waits until this one has become refinement."""
    failed: Callable[[Exception], None]
    cancelled: bool = False
    successor: _Job | None = field(default=None, repr=False)


class Scheduler:
    """One thread for all jobs. Every method may be called from any thread; none waits for a step."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._jobs: dict[tuple[Hashable, str], _Job] = {}
        self._counter = itertools.count()
        self._had: dict[Hashable, tuple[float, float]] = {}
        """Seconds of work that an owner had while others waited, and when that was true."""
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="lerf-view-jobs", daemon=True)
        self._thread.start()

    def submit(
        self,
        owner: Hashable,
        kind: str,
        steps: Steps,
        urgency: Urgency,
        failed: Callable[[Exception], None],
        *,
        sheltered: bool = False,
        now: bool = False,
    ) -> None:
        """Start a job in place of the owner's last one of this kind.

        Args:
            owner: whose job; see `drop`.
            kind: an owner has one job of a kind.
            steps: the work.
            urgency: of the first step.
            failed: called on the scheduler's thread with what a step raised; the job is over then.
            sheltered: not given up for a later job before it has become refinement. Otherwise a camera that moves
                without pause would never be shown.
            now: give up even a sheltered predecessor.
        """
        with self._changed:
            if self._closed:
                return
            job = _Job(steps, urgency, next(self._counter), sheltered, failed)
            key = (owner, kind)
            before = self._jobs.get(key)
            if before is not None and before.sheltered and before.urgency < Urgency.REFINING and not now:
                before.successor = job
            else:
                if before is not None:
                    before.cancelled = True
                self._jobs[key] = job
            self._changed.notify()

    def cancel(self, owner: Hashable, kind: str) -> None:
        """Give up a job, and the one that waits for it."""
        with self._changed:
            job = self._jobs.pop((owner, kind), None)
            if job is not None:
                job.cancelled = True

    def drop(self, owner: Hashable) -> None:
        """Give up everything of an owner who has gone."""
        with self._changed:
            for key in [key for key in self._jobs if key[0] == owner]:
                self._jobs.pop(key).cancelled = True
            self._had.pop(owner, None)

    def busy(self, owner: Hashable) -> bool:
        """Whether an owner has jobs that are not finished."""
        with self._changed:
            return any(key[0] == owner for key in self._jobs)

    @property
    def waiting(self) -> int:
        """Jobs that are not finished."""
        with self._changed:
            return len(self._jobs)

    def close(self) -> None:
        """Stop after the step in hand."""
        with self._changed:
            self._closed = True
            self._jobs.clear()
            self._changed.notify()
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout=10.0)

    def _work(self) -> None:
        torch.set_grad_enabled(False)  # of this thread alone
        while True:
            with self._changed:
                while not self._jobs and not self._closed:
                    self._changed.wait()
                if self._closed:
                    return
                key = self._next()
                job = self._jobs[key]
                job.served = next(self._counter)
            start = time.monotonic()
            urgency: Urgency | None = None
            try:
                urgency = next(job.steps, None)
            except Exception as error:
                if not job.cancelled:
                    job.failed(error)
            with self._changed:
                self._charge(key[0], time.monotonic() - start)
                self._settle(key, job, urgency)
            # While the thread waits, nothing of who may have gone is held.
            del job

    def _next(self) -> tuple[Hashable, str]:
        """The job whose turn it is."""
        had = {owner: self._had_lately(owner) for owner, _ in self._jobs}
        most = GREEDY_SECONDS + GREEDY_TIMES * min(had.values())

        def turn(key: tuple[Hashable, str]) -> tuple[Urgency, bool, int]:
            job, greedy = self._jobs[key], had[key[0]] > most
            return Urgency.REFINING if greedy else job.urgency, greedy, job.served

        return min(self._jobs, key=turn)

    def _had_lately(self, owner: Hashable) -> float:
        seconds, at = self._had.get(owner, (0.0, 0.0))
        return seconds * 0.5 ** ((time.monotonic() - at) / FORGOTTEN_SECONDS)

    def _charge(self, owner: Hashable, seconds: float) -> None:
        """Note that an owner had a step, if it kept others waiting."""
        owners = {key[0] for key in self._jobs}
        if owner in owners and len(owners) > 1:
            self._had[owner] = (self._had_lately(owner) + seconds, time.monotonic())

    def _settle(self, key: tuple[Hashable, str], job: _Job, urgency: Urgency | None) -> None:
        """After a step: the job goes on, ends, or makes way for its successor."""
        if job.cancelled:
            urgency = None
        else:
            if urgency is not None:
                job.urgency = urgency
            ready = urgency is None or urgency == Urgency.REFINING or not job.sheltered
            if job.successor is not None and ready:
                self._jobs[key] = job.successor
                urgency = None
            elif urgency is None:
                del self._jobs[key]
        if urgency is None:
            close = getattr(job.steps, "close", None)
            if close is not None:
                close()
