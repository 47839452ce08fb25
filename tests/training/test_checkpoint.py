"""A trainer's state as tensors, and back."""

import pytest
import torch
from torch import nn

from lerf.kernels.layout import GridLayout
from lerf.networks.hash_grid import HashGrid
from lerf.training.checkpoint import Trainer, module_state, restore_trainer, trained_state, trainer_state
from lerf.training.optimiser import SparseAdam


class Field(nn.Module):
    """A table and a layer."""

    def __init__(self):
        super().__init__()
        self.grid = HashGrid(GridLayout((2,), 2, 4))
        self.grid.table = nn.Parameter(torch.linspace(-1, 1, 32).view(16, 2).clone())
        self.layer = nn.Linear(2, 1)


class Learner:
    """Fits rows of a table, through a layer, to a constant."""

    def __init__(self, poses=False):
        torch.manual_seed(0)
        self.field, self.step_count = Field(), 0
        self.poses = nn.Linear(1, 1) if poses else None
        self.table = SparseAdam(self.field.grid)
        own = list(self.field.layer.parameters()) + (list(self.poses.parameters()) if poses else [])
        self.dense = torch.optim.Adam(own, lr=0.1)
        self.generator = torch.Generator().manual_seed(3)

    @property
    def modules(self):
        return {"field": self.field} | ({"poses": self.poses} if self.poses else {})

    def step(self):
        rows = torch.randint(16, (4,), generator=self.generator)
        predicted = self.field.layer(self.field.grid.table[rows])
        if self.poses:
            predicted = self.poses(predicted)
        (predicted - 1).square().mean().backward()
        self.table.step(0.1)
        self.dense.step()
        self.dense.zero_grad()
        self.step_count += 1


@pytest.mark.parametrize("poses", [False, True])
def test_a_restored_trainer_goes_on_exactly(poses):
    straight = Learner(poses)
    assert isinstance(straight, Trainer)
    for _ in range(5):
        straight.step()
    tensors, counters = trainer_state(straight)
    tensors = {name: value.clone() for name, value in tensors.items()}
    for _ in range(5):
        straight.step()
    resumed = Learner(poses)
    restore_trainer(resumed, tensors, counters)
    assert resumed.step_count == 5
    for _ in range(5):
        resumed.step()
    ours, theirs = trainer_state(straight), trainer_state(resumed)
    assert ours[1] == theirs[1] == {"step": 10}
    assert ours[0].keys() == theirs[0].keys()
    assert all(torch.equal(value, theirs[0][name]) for name, value in ours[0].items())


def test_names_in_a_checkpoint():
    """Checkpoints of older versions have these."""
    learner = Learner(poses=True)
    learner.step()
    trained = {"field.grid.table", "field.layer.weight", "field.layer.bias", "poses.weight", "poses.bias"}
    assert set(trained_state(learner)) == trained
    dense = {f"dense.{index}.{name}" for index in range(4) for name in ("step", "exp_avg", "exp_avg_sq")}
    assert set(trainer_state(learner)[0]) == trained | dense | {
        "generator", "table.first", "table.second", "table.steps",
    }  # fmt: skip


def test_a_state_of_another_trainer_does_not_fit():
    tensors, counters = trainer_state(Learner())
    with pytest.raises(RuntimeError):
        restore_trainer(Learner(poses=True), tensors, counters)
    with pytest.raises(LookupError):
        restore_trainer(Learner(), trained_state(Learner()), counters)


def test_the_part_of_one_module():
    tensors = {"field.a.b": torch.ones(1), "fields.c": torch.zeros(1), "poses.d": torch.zeros(2)}
    assert module_state(tensors, "field") == {"a.b": tensors["field.a.b"]}
    assert module_state(tensors, "table") == {}
