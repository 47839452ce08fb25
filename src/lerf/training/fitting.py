"""Steps in as many parts as fit into the memory of a GPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import torch

from lerf.errors import is_out_of_memory
from lerf.training.optimiser import SparseAdam
from lerf.training.recorded import RecordedSteps
from lerf.training.step_numbers import StepValues


@runtime_checkable
class PartedTrainer(Protocol):
    """A trainer whose steps can be done in parts."""

    table: SparseAdam
    recorded: RecordedSteps
    parts: int
    """Of a step, at least."""

    @property
    def dense(self) -> torch.optim.Optimizer:
        """Of all parameters but the table's."""
        ...


def in_fitting_parts(trainer: PartedTrainer, rays: int, on_cpu: bool, work: Callable[[], StepValues]) -> StepValues:
    """Do the work of a step; where the memory of a GPU runs out again, in twice as many parts, and so from then on.

    Args:
        trainer: whose gradients the work makes.
        rays: of a step; it cannot have more parts.
        on_cpu: whether it runs on the CPU, where fewer rays at a time would not help.
        work: does the step in `trainer.parts` parts or more.

    Raises:
        RuntimeError: not even one ray at a time fits, or something else failed.
    """
    while True:
        try:
            return work()
        except RuntimeError as error:
            if on_cpu or trainer.parts >= rays or not is_out_of_memory(error):
                raise
        # Only here is nothing of the failed try held any more.
        trainer.parts *= 2
        trainer.table.clear()
        trainer.dense.zero_grad(set_to_none=True)
        trainer.recorded.forget()
