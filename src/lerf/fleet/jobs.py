"""Captures that are to be trained, and what is known of each on the way."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from lerf.run.settings import TrainSettings

State = Literal["waiting", "working", "done", "failed"]
STAGES = ("radiance", "features", "language", "surface")
"""Of a training, in the order in which one process does them."""
NEEDS = {"radiance": (), "features": (), "language": ("radiance", "features"), "surface": ("language",)}
"""What must be done before each."""
JOURNAL = "batch.jsonl"
"""One JSON object a line: what happened to which scene, and when."""


@dataclass(frozen=True)
class Job:
    """One capture."""

    name: str
    """Of its run folder; no two have the same."""
    settings: TrainSettings
    output: Path
    """Run folder."""


@dataclass
class Progress:
    """What is known of one job."""

    state: State = "waiting"
    stage: str = ""
    """In work, or done last."""
    done: int = 0
    total: int = 0
    """Units of the stage."""
    facts: dict[str, float] = field(default_factory=dict)
    """Numbers worth a glance, as `rays_per_second`."""
    since: float = field(default_factory=time.monotonic)
    """When the stage began."""
    error: str = ""

    @property
    def seconds_left(self) -> float | None:
        """Of the stage, as its pace has been; None while that is not known."""
        if self.state != "working" or not 0 < self.done <= self.total:
            return None
        return (time.monotonic() - self.since) * (self.total - self.done) / self.done


class JobReporter:
    """Implements `run.report.Reporter`: tells the progress of one job to whoever keeps it."""

    def __init__(self, tell: Callable[[str, int, int, dict[str, float]], None], every: float = 0.0) -> None:
        """
        Args:
            tell: is called with the stage, units done, units in all and facts.
            every: least seconds between two calls within a stage.
        """
        self._tell, self._every = tell, every
        self._stage, self._total, self._told = "", 0, 0.0

    def begin(self, stage: str, total: int) -> None:
        self._stage, self._total, self._told = stage, total, time.monotonic()
        self._tell(stage, 0, total, {})

    def advance(self, done: int, facts: dict[str, float] | None = None) -> None:
        if time.monotonic() - self._told >= self._every:
            self._told = time.monotonic()
            self._tell(self._stage, done, self._total, facts or {})

    def end(self, seconds: float) -> None: ...

    def note(self, message: str) -> None: ...
