"""The state of a trainer as named tensors, from which it continues exactly.

Names: `field.*` and `poses.*` are the parameters and buffers of what is trained, `table.*` the state of the sparse
Adam, `dense.<parameter>.*` that of the other optimiser, `generator` the state of the random generator. The step count
is kept beside the tensors. A finished stage keeps what is trained and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn


@runtime_checkable
class Resumable(Protocol):
    """Something whose state is a few named tensors, such as `optimiser.SparseAdam`."""

    def state(self) -> dict[str, Tensor]: ...

    def load_state(self, state: dict[str, Tensor]) -> None: ...


@runtime_checkable
class Trainer(Protocol):
    """What a training step changes."""

    step_count: int
    """Optimiser steps so far."""

    @property
    def modules(self) -> Mapping[str, nn.Module]:
        """What is trained, by its name in a checkpoint."""
        ...

    @property
    def table(self) -> Resumable:
        """Optimiser of the hash table."""
        ...

    @property
    def dense(self) -> torch.optim.Optimizer:
        """Optimiser of everything else."""
        ...

    @property
    def generator(self) -> torch.Generator:
        """Draws all random numbers of a step."""
        ...


def trained_state(trainer: Trainer) -> dict[str, Tensor]:
    """Parameters and buffers of what is trained."""
    return {
        f"{prefix}.{name}": value
        for prefix, module in trainer.modules.items()
        for name, value in module.state_dict().items()
    }


def trainer_state(trainer: Trainer) -> tuple[dict[str, Tensor], dict[str, int]]:
    """Everything a trainer needs to continue exactly: tensors, and the step count."""
    tensors = trained_state(trainer)
    tensors |= {f"table.{name}": value for name, value in trainer.table.state().items()}
    tensors["generator"] = trainer.generator.get_state()
    for index, state in trainer.dense.state_dict()["state"].items():
        tensors |= {f"dense.{index}.{name}": torch.as_tensor(value) for name, value in state.items()}
    return tensors, {"step": trainer.step_count}


def restore_trainer(trainer: Trainer, tensors: Mapping[str, Tensor], counters: Mapping[str, Any]) -> None:
    """Inverse of `trainer_state`.

    Raises:
        RuntimeError, LookupError, TypeError, ValueError: the state is not that of such a trainer.
    """
    for prefix, module in trainer.modules.items():
        module.load_state_dict(module_state(tensors, prefix))
    trainer.table.load_state(module_state(tensors, "table"))
    trainer.generator.set_state(tensors["generator"])
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in module_state(tensors, "dense").items():
        index, key = name.split(".")
        state.setdefault(int(index), {})[key] = value
    groups = trainer.dense.state_dict()["param_groups"]
    trainer.dense.load_state_dict({"state": state, "param_groups": groups})
    trainer.step_count = int(counters["step"])


def module_state(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin with `prefix` and a dot, without these; empty where there are none."""
    start = f"{prefix}."
    return {name[len(start) :]: value for name, value in tensors.items() if name.startswith(start)}


def check_fits(module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Check that tensors are the state of a module, which may be on the device `meta`.

    Raises:
        ValueError: names, shapes or types are others.
    """
    expected, given = ({name: (each.shape, each.dtype) for name, each in state.items()}
                       for state in (module.state_dict(), tensors))  # fmt: skip
    if given != expected:
        raise ValueError("The tensors are not those of such a module.")


def number_that_is_not_finite(tensors: Mapping[str, Tensor]) -> str | None:
    """Name of a tensor with a number that is NaN or infinite; None where there is none.

    The ranges of scales, `...low` and `...high`, are infinite where no scale was seen; they may not be NaN.
    """
    for name, tensor in tensors.items():
        if not tensor.is_floating_point():
            continue
        right = ~tensor.isnan() if name.endswith(("low", "high")) else tensor.isfinite()
        if not bool(right.all()):
            return name
    return None
