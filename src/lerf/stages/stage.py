"""What a stage of training is, and what all stages of a run work with.

To add a stage, write a class of the kind `Stage` in a file of its own and name it in the list of `stages/train.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from lerf.encoders.protocols import DenseEncoder, ImageTextEncoder
from lerf.errors import RunError
from lerf.run.capture_record import CaptureRecord, read_capture_record, record_capture
from lerf.run.clock import Clock
from lerf.run.folder import RunFolder, StageName
from lerf.run.report import Reporter
from lerf.run.settings import TrainSettings
from lerf.scenes.scene import Scene
from lerf.stages.keys import StageKey
from lerf.training.checkpoint import number_that_is_not_finite


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
    originals: Scene | None = None
    """The capture at its full resolution, where `scene` is reduced and the originals can be used."""
    keys: dict[StageName, StageKey] = field(default_factory=dict)
    """What decides the outcome of each stage; filled by `pipeline.plan_stages`."""

    @cached_property
    def record(self) -> CaptureRecord:
        """What the capture is now; files that were not touched since the run began are not read again."""
        before = read_capture_record(self.run.path) if self.run.has_checkpoints else None
        return record_capture(self.scene, self.originals, before, self.reporter.note)

    def save_stage(self, stage: StageName, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
        """Write a stage's checkpoint, with its key; `facts["finished"]` says whether the stage is over.

        Raises:
            RunError: a number is not finite any more; the checkpoint before is kept.
            StorageError: it cannot be written.
        """
        if name := number_that_is_not_finite(tensors):
            raise RunError(
                f"The {stage} training has diverged ({name} is not finite); resume with another --seed in a new folder."
            )
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
