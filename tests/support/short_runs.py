"""Trainings of a few steps, and reporters that listen to them or interrupt them."""

from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

from lerf.run.make_settings import make_settings
from lerf.run.report import Silent
from lerf.run.settings import TrainSettings


def settings_of(folder: Path, steps: int = 40, rays: int = 256, **changes: Any) -> TrainSettings:
    """Settings of a training of a few seconds, on the CPU."""
    settings = make_settings(folder, steps=steps, device="cpu", **changes)
    return replace(
        settings,
        radiance_training=replace(settings.radiance_training, rays=rays, grid_every=4),
        language_training=replace(settings.language_training, rays=rays, pool_rays=4000),
    )


class StopAt(Silent):
    """A reporter that presses Ctrl-C when a stage reports its first steps."""

    def __init__(self, stage: str) -> None:
        self.wanted, self.stage = stage, ""

    def begin(self, stage: str, total: int) -> None:
        self.stage = stage

    def advance(self, done: int, facts: dict[str, float] | None = None) -> None:
        if self.stage == self.wanted:
            signal.raise_signal(signal.SIGINT)


class Listener(Silent):
    """Remembers stages and notes."""

    def __init__(self) -> None:
        self.stages: list[str] = []
        self.notes: list[str] = []

    def begin(self, stage: str, total: int) -> None:
        self.stages.append(stage)

    def note(self, message: str) -> None:
        self.notes.append(message)
