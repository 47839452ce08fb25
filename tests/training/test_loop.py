"""The loop over steps: means, checkpoints, interruption, divergence."""

import pytest
import torch
from torch import nn

from lerf.errors import RunError
from lerf.kernels.layout import GridLayout
from lerf.networks.hash_grid import HashGrid
from lerf.training.checkpoint import Trainer
from lerf.training.loop import REPORT_STEPS, train_steps
from lerf.training.optimiser import SparseAdam


class Counter:
    """A trainer that only counts; its loss is the number of the step."""

    def __init__(self):
        self.step_count = 0
        self.modules, self.generator = {"field": nn.Linear(1, 1)}, torch.Generator()
        self.table = SparseAdam(HashGrid(GridLayout((2,), 2, 3)))
        self.dense = torch.optim.Adam(self.modules["field"].parameters())

    def step(self):
        self.step_count += 1
        return {"loss": float(self.step_count), "rays": 10.0}


@pytest.fixture
def heard():
    return {"reports": [], "saves": []}


def train(counter, heard, steps, *, step=None, save_seconds=1e9, interrupted=lambda: False):
    train_steps(
        "counting", counter, step or counter.step, steps,
        report=lambda done, means: heard["reports"].append((done, means)),
        save=lambda: heard["saves"].append(counter.step_count),
        save_seconds=save_seconds, interrupted=interrupted,
    )  # fmt: skip


def test_means_since_the_last_report(heard):
    counter = Counter()
    assert isinstance(counter, Trainer)
    train(counter, heard, REPORT_STEPS + 5)
    assert [done for done, _ in heard["reports"]] == [REPORT_STEPS, REPORT_STEPS + 5]
    first, last = (means for _, means in heard["reports"])
    assert first["loss"] == (1 + REPORT_STEPS) / 2
    assert last["loss"] == REPORT_STEPS + 3
    assert set(last) == {"loss", "rays_per_second"}
    assert last["rays_per_second"] > 0
    assert heard["saves"] == []


def test_it_goes_on_from_where_the_trainer_is(heard):
    counter = Counter()
    counter.step_count = 30
    train(counter, heard, 42)
    assert [done for done, _ in heard["reports"]] == [40, 42]
    train(counter, heard, 42)
    assert counter.step_count == 42, "nothing is left to do"


def test_checkpoints_in_between(heard):
    train(Counter(), heard, 3, save_seconds=0.0)
    assert heard["saves"] == [1, 2, 3]


def test_an_interruption_is_saved(heard):
    counter = Counter()
    with pytest.raises(KeyboardInterrupt):
        train(counter, heard, 50, interrupted=lambda: counter.step_count == 7)
    assert heard["saves"] == [7]


def test_divergence_is_no_checkpoint(heard):
    counter = Counter()

    def step():
        return {**counter.step(), "loss": float("nan")}

    with pytest.raises(RunError, match=f"counting training has diverged at step {REPORT_STEPS}"):
        train(counter, heard, 50, step=step)
    assert heard["saves"] == heard["reports"] == []
