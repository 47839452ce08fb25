"""One stage of one training by itself, as a task of a cluster does it."""

from __future__ import annotations

import time
from pathlib import Path

from lerf.locks import BusyError
from lerf.run.folder import RunFolder
from lerf.run.report import Reporter
from lerf.run.settings import TrainSettings
from lerf.stages.features import FeatureStage
from lerf.stages.pipeline import run_stages
from lerf.stages.prepare import open_context
from lerf.stages.train import SAVE_SECONDS, training_stages

PATIENCE = 120.0
"""Seconds to wait for a run that another process still holds: one that was given up may take a while to end."""


def do_stage(
    settings: TrainSettings, output: Path, stage: str, *, offline: bool, reporter: Reporter,
    save_seconds: float = SAVE_SECONDS,
) -> None:  # fmt: skip
    """Do a stage whose earlier ones are done; one that is finished is left as it is.

    Features go into the cache alone: they can be made while the run's radiance is trained.

    Raises:
        LerfError: as `stages.train.train`.
    """
    run = RunFolder(output)
    end = time.monotonic() + PATIENCE
    while True:
        try:
            # One photo reader and one encoder for each attempt: a run that another process has finished meanwhile
            # is seen as it is then.
            context = open_context(settings, run, offline=offline, reporter=reporter, save_seconds=save_seconds)
            if stage == "features":
                features = FeatureStage()
                features.check(context)
                if not has_finished(run, "language"):
                    features.run(context)
                return
            stages = training_stages(settings)
            last = next(place for place, one in enumerate(stages) if one.name == stage)
            run_stages(stages[: last + 1], context)
            return
        except BusyError:
            if time.monotonic() > end:
                raise
            time.sleep(1.0)


def has_finished(run: RunFolder, stage: str) -> bool:
    """Whether a run has a stage's finished checkpoint, whatever it was made from."""
    facts = run.read_facts(stage) if run.exists else None
    return bool(facts and facts.get("finished"))
