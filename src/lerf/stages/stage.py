"""What a stage of training is, and what all stages of a run work with.

To add a stage, write a class of the kind `Stage` in a file of its own and name it in the list of `stages/train.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from lerf.encoders.protocols import DenseEncoder, ImageTextEncoder
from lerf.run.clock import Clock
from lerf.run.folder import RunFolder, StageName
from lerf.run.report import Reporter
from lerf.run.settings import TrainSettings
from lerf.scenes.scene import Scene
from lerf.stages.keys import StageKey


@dataclass
class Context:
    """One run, and what it takes to work on it."""

    run: RunFolder
    settings: TrainSettings
    scene: Scene
    """The capture as it was loaded, at the resolution of the radiance."""
    encoder: ImageTextEncoder
    dense: DenseEncoder | None
    reporter: Reporter
    clock: Clock
    save_seconds: float
    """Time between checkpoints."""
    keys: dict[StageName, StageKey] = field(default_factory=dict)
    """What decides the outcome of each stage; filled by `pipeline.plan_stages`."""

    def save_stage(self, stage: StageName, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
        """Write a stage's checkpoint, with its key; `facts["finished"]` says whether the stage is over."""
        key = self.keys[stage]
        self.run.save_stage(stage, tensors, {**facts, "key": key.digest, "decided_by": key.decided_by})


@runtime_checkable
class Stage(Protocol):
    """A piece of work whose result stays in the run, or in the cache."""

    @property
    def name(self) -> StageName:
        """Names its checkpoint, its time in timings.json, and itself to the user."""
        ...

    @property
    def needs(self) -> tuple[StageName, ...]:
        """Stages that come before it and whose results it uses."""
        ...

    @property
    def saved(self) -> bool:
        """Whether it ends with a checkpoint in the run; a stage without one runs whenever another needs it."""
        ...

    def decided_by(self, context: Context) -> Mapping[str, Any]:
        """Settings and fingerprints that decide its outcome, as JSON values; what it needs is added by the loop."""
        ...

    def check(self, context: Context) -> None:
        """Refuse what cannot work, before anything of the run is written.

        Raises:
            LerfError: what is wrong.
        """
        ...

    def run(self, context: Context) -> None:
        """Do the work, continuing from an unfinished checkpoint; a stage that is `saved` ends with a finished one.

        Raises:
            LerfError: it cannot be done; what was saved stays.
            KeyboardInterrupt: after a checkpoint has been written, where there is something to save.
        """
        ...
