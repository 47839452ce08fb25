"""Training steps as a part of a stage: progress to the reporter, metrics and checkpoints into the run."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from lerf.run.folder import StageName
from lerf.run.interrupt import deferred_interrupt
from lerf.stages.stage import Context
from lerf.training.checkpoint import Trainer, restore_trainer, trained_state, trainer_state
from lerf.training.loop import train_steps
from lerf.training.step_numbers import StepValues


def resume_trainer(context: Context, stage: StageName, trainer: Trainer) -> None:
    """Give a new trainer the state in the stage's unfinished checkpoint, if there is one.

    Raises:
        RunError: the checkpoint is damaged, or not that of such a trainer.
    """
    facts = context.run.read_facts(stage)
    if facts is None or facts.get("finished"):
        return
    tensors, facts = context.run.load_stage(stage)
    with context.run.fitting(stage):
        restore_trainer(trainer, tensors, facts)


def run_steps(
    context: Context,
    stage: StageName,
    trainer: Trainer,
    step: Callable[[], StepValues],
    steps: int,
    facts: dict[str, Any] | None = None,
) -> None:
    """Step until `steps` are done; `facts` go into each checkpoint. The finished checkpoint is left to the caller.

    Raises:
        RunError: the training has diverged.
        KeyboardInterrupt: after a checkpoint has been written.
    """
    run, reporter = context.run, context.reporter

    def save() -> None:
        tensors, counters = trainer_state(trainer)
        context.save_stage(stage, tensors, {**(facts or {}), **counters, "finished": False})
        context.clock.mark()

    def report(done: int, means: dict[str, float]) -> None:
        run.append_metrics({"stage": stage, "step": done, **{name: round(value, 6) for name, value in means.items()}})
        reporter.advance(done, means)

    run.trim_metrics(stage, trainer.step_count)
    reporter.begin(stage, steps)
    start = time.perf_counter()
    with deferred_interrupt() as interrupted:
        train_steps(
            stage, trainer, step, steps,
            report=report, save=save, save_seconds=context.save_seconds, interrupted=interrupted.is_set,
        )  # fmt: skip
    reporter.end(time.perf_counter() - start)


def save_trained(context: Context, stage: StageName, trainer: Trainer, facts: dict[str, Any] | None = None) -> None:
    """Write the finished checkpoint of a stage: what was trained, without the state of its optimisers."""
    done = {**(facts or {}), "step": trainer.step_count, "finished": True}
    context.save_stage(stage, trained_state(trainer), done)
