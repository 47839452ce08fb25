"""Optimisers as nerfstudio sets them up: torch's for networks, `SparseAdam` for the hash tables beside them.

nerfstudio hands an optimiser the parameters of a group, steps it where any of these has a gradient, and keeps its
state in checkpoints. A table's gradient may lie elsewhere (`kernels.types.GradientSink`), so that a group of tables
alone would never be stepped.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Type  # noqa: UP035 - tyro reads what nerfstudio's configurations are annotated with

import torch
from nerfstudio.engine.optimizers import OptimizerConfig, Optimizers
from torch import nn

from lerf.networks.hash_grid import HashGrid
from lerf.training.optimiser import SparseAdam

_GRIDS: weakref.WeakValueDictionary[int, HashGrid] = weakref.WeakValueDictionary()
"""Hash grids by the identity of their tables: nerfstudio hands on parameters, not modules."""


def enter_grid(grid: HashGrid) -> None:
    """Say that a parameter is the table of this grid, before an optimiser is made for it."""
    _GRIDS[id(grid.table)] = grid


class _BesideTables:
    """Mixed into an optimiser of torch, which it leaves the networks."""

    tables: list[SparseAdam]
    share: float

    def __init__(self, params: Iterable[nn.Parameter], lr: float, share: float, **options: Any) -> None:
        """
        Args:
            params: of networks and of tables of grids that were entered.
            lr: learning rate of the tables.
            share: that of the networks over it.
            options: of torch's optimiser.
        """
        params = list(params)
        grids = {id(each): _GRIDS[id(each)] for each in params if id(each) in _GRIDS}
        networks = [each for each in params if id(each) not in grids]
        super().__init__(networks, lr=lr * share, **options)  # type: ignore[call-arg]
        self.tables, self.share = [SparseAdam(grid) for grid in grids.values()], share

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """One step of both; the learning rate is whatever a scheduler has made of the networks'."""
        for table in self.tables:
            table.step(float(self.param_groups[0]["lr"]) / self.share)  # type: ignore[attr-defined]
        return super().step(closure)  # type: ignore[misc]

    def state_dict(self) -> dict[str, Any]:
        """torch's state with that of the tables."""
        return {**super().state_dict(), "tables": [table.state() for table in self.tables]}  # type: ignore[misc]

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Inverse of `state_dict`."""
        for table, state in zip(self.tables, state_dict["tables"], strict=True):
            table.load_state(state)
        super().load_state_dict({name: part for name, part in state_dict.items() if name != "tables"})  # type: ignore[misc]


class RadianceAdam(_BesideTables, torch.optim.Adam):
    """As `training.radiance.RadianceTrainer` has it."""


class LanguageAdam(_BesideTables, torch.optim.RAdam):
    """As `training.language.LanguageTrainer` has it."""


def count_language_from(optimizers: Optimizers, start: int) -> None:
    """Let the learning rate of language count from the step that it is trained from, which is an option: a scheduler
    knows only the steps of the training."""
    scheduler = optimizers.schedulers["language"]
    scheduler.lr_lambdas = [lambda step, rate=rate: rate(max(step - start, 0)) for rate in scheduler.lr_lambdas]


@dataclass
class RadianceAdamConfig(OptimizerConfig):
    """The radiance's optimiser."""

    _target: Type = field(default_factory=lambda: RadianceAdam)  # noqa: UP006
    lr: float = 3e-2
    """Learning rate of the hash table."""
    eps: float = 1e-15
    """Added to the denominator."""
    share: float = 0.5
    """Learning rate of the networks over that of the table."""
    betas: tuple[float, float] = (0.9, 0.99)
    """Decay of the moments."""
    foreach: bool = True
    """Update all tensors together."""


@dataclass
class LanguageAdamConfig(OptimizerConfig):
    """The language's optimiser."""

    _target: Type = field(default_factory=lambda: LanguageAdam)  # noqa: UP006
    lr: float = 1e-2
    """Learning rate of the hash table."""
    eps: float = 1e-15
    """Added to the denominator."""
    share: float = 1.0
    """Learning rate of the heads over that of the table."""
    weight_decay: float = 1e-9
    """Weight decay of the heads."""
