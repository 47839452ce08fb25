"""The loop over training steps: means of what the steps report, checkpoints now and then and at an interruption."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from lerf.errors import RunError
from lerf.training.checkpoint import Trainer
from lerf.training.step_numbers import StepValues

REPORT_STEPS = 20
"""Steps over which reported numbers are averaged."""


def train_steps(
    name: str,
    trainer: Trainer,
    step: Callable[[], StepValues],
    steps: int,
    *,
    report: Callable[[int, dict[str, float]], None],
    save: Callable[[], None],
    save_seconds: float,
    interrupted: Callable[[], bool],
) -> None:
    """Step until a trainer has done `steps` of them.

    Args:
        name: what is trained, for messages.
        trainer: whose steps are counted.
        step: does one step of the trainer and returns its numbers, `rays` among them.
        steps: to do in all, those before a resumption included.
        report: called every `REPORT_STEPS` steps and at the end with the step and the means since the last call;
            `rays_per_second` takes the place of `rays`.
        save: writes a checkpoint from which this loop can go on.
        save_seconds: time between checkpoints.
        interrupted: asked after every step.

    Raises:
        RunError: a number is not finite any more.
        KeyboardInterrupt: after `interrupted` has said so and a checkpoint has been written.
    """
    start = saved = time.perf_counter()
    first = trainer.step_count
    sums: StepValues = {}
    count = 0
    while trainer.step_count < steps:
        for key, value in step().items():
            sums[key] = sums.get(key, 0.0) + value
        count += 1
        done = trainer.step_count
        if done % REPORT_STEPS == 0 or done == steps:
            # Of a device, this waits for the steps.
            means = {key: float(value) / count for key, value in sums.items()}
            means["rays_per_second"] = means.pop("rays") * (done - first) / (time.perf_counter() - start)
            if not all(math.isfinite(value) for value in means.values()):
                raise RunError(
                    f"The {name} training has diverged at step {done}; resume with another --seed in a new folder."
                )
            report(done, means)
            sums, count = {}, 0
        if interrupted():
            save()
            raise KeyboardInterrupt
        if time.perf_counter() - saved > save_seconds:
            save()
            saved = time.perf_counter()
