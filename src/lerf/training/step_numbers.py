"""The numbers of a step that follow from its place in the training: rates, ramps, corrections."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

Number = float | Tensor
"""A float, or a tensor of one number on the device."""
StepValues = dict[str, Number]
"""What a step reports, by name."""


def as_reported(value: Tensor) -> Number:
    """A number to report: of the CPU as a float, of a device as the tensor, which whoever reads it waits for."""
    return float(value.detach()) if value.device.type == "cpu" else value.detach()


class StepNumbers:
    """Where a step reads its numbers.

    On CUDA they lie on the device, computed for all steps at the start: nothing is uploaded in a step, and since they
    are always read from the same place, the launches of a step can be recorded and replayed. Elsewhere they are floats.
    """

    def __init__(self, steps: int, device: torch.device | str, numbers: Mapping[str, Callable[[int], float]]) -> None:
        """`numbers` gives each of them by its name for a step, 0 being the first of `steps`."""
        self._numbers = dict(numbers)
        self._all: Tensor | None = None
        if torch.device(device).type == "cuda":
            rows = [[number(step) for number in self._numbers.values()] for step in range(max(steps, 1))]
            self._all = torch.tensor(rows, dtype=torch.float32).to(device)
            self._current = torch.zeros_like(self._all[0])

    def at(self, step: int) -> dict[str, Number]:
        """Those of a step, by name. Tensors stand for the step that was asked for last; they are always the same."""
        if self._all is None:
            return {name: number(step) for name, number in self._numbers.items()}
        self._current.copy_(self._all[min(step, len(self._all) - 1)])
        return dict(zip(self._numbers, self._current.unbind(), strict=True))


def corrections(beta1: float, beta2: float) -> dict[str, Callable[[int], float]]:
    """The bias corrections of Adam (`kernels.types.AdamStep`) for `StepNumbers`."""
    return {
        "correction1": lambda step: 1 / (1 - beta1 ** (step + 1)),
        "correction2": lambda step: 1 / (1 - beta2 ** (step + 1)),
    }
