"""Sparse Adam against torch's Adam, and what it leaves alone."""

import pytest
import torch

from lerf import kernels
from lerf.kernels.layout import GridLayout
from lerf.networks.hash_grid import HashGrid
from lerf.training.optimiser import SparseAdam, exponential_decay

ENTRIES, FEATURES, RATE = 40, 2, 1e-2
# A step moves an entry by about RATE; float32 rounds the moments' quotient to a few millionths of it.
NEAR = RATE * 2e-5


def random(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def sparse(backend="auto"):
    grid = HashGrid(GridLayout((2,), FEATURES, 8))
    grid.table = torch.nn.Parameter(random(ENTRIES, FEATURES))
    with kernels.use(backend):
        optimiser = SparseAdam(grid)
    assert (grid.sink is not None) == (backend == "auto")
    return grid.table, optimiser


def feed(table, optimiser, gradient):
    """Hand over a gradient as the kernels do."""
    sink = optimiser.grid.sink
    if sink is not None:
        sink.values.add_(gradient)
        sink.touched[: len(gradient)] |= (gradient != 0).any(-1).byte()
    else:
        table.grad = gradient.clone()


@pytest.mark.parametrize("backend", ["auto", "reference"])
def test_equals_adam_where_every_entry_is_touched_at_every_step(backend):
    table, optimiser = sparse(backend)
    dense = torch.nn.Parameter(table.detach().clone())
    adam = torch.optim.Adam([dense], lr=RATE, betas=(0.9, 0.99), eps=1e-15)
    for step in range(30):
        gradient = random(ENTRIES, FEATURES, seed=step) * 10 ** float(step % 5 - 4)
        feed(table, optimiser, gradient)
        dense.grad = gradient
        rate = RATE * 0.95**step
        adam.param_groups[0]["lr"] = rate
        optimiser.step(rate)
        adam.step()
        torch.testing.assert_close(table.detach(), dense.detach(), rtol=0, atol=NEAR * (step + 1))


@pytest.mark.parametrize("backend", ["auto", "reference"])
def test_untouched_entries_stay_with_their_moments(backend):
    table, optimiser = sparse(backend)
    feed(table, optimiser, random(ENTRIES, FEATURES, seed=1))
    optimiser.step(RATE)
    before = [t.detach().clone() for t in (table, optimiser.first, optimiser.second)]
    gradient = random(ENTRIES, FEATURES, seed=2)
    gradient[::3] = 0
    feed(table, optimiser, gradient)
    optimiser.step(RATE)
    for old, new in zip(before, (table, optimiser.first, optimiser.second), strict=True):
        assert torch.equal(old[::3], new.detach()[::3])
        assert (old[1::3] != new.detach()[1::3]).all()


def test_a_step_clears_the_gradient():
    table, optimiser = sparse()
    feed(table, optimiser, random(ENTRIES, FEATURES))
    optimiser.step(RATE)
    assert not optimiser.grid.sink.values.any()
    assert not optimiser.grid.sink.touched.any()
    before = table.detach().clone()
    optimiser.step(RATE)
    assert torch.equal(table.detach(), before)
    table, optimiser = sparse("reference")
    feed(table, optimiser, random(ENTRIES, FEATURES))
    optimiser.step(RATE)
    assert table.grad is None
    optimiser.step(RATE)


def test_the_path_in_place_equals_the_path_over_a_dense_gradient():
    layout = GridLayout((3, 40), 2, 8)
    start = random(layout.entries, 2)
    tables = {}
    for backend in ("auto", "reference"):
        grid = HashGrid(layout)
        grid.table = torch.nn.Parameter(start.clone())
        with kernels.use(backend):
            optimiser = SparseAdam(grid)
            for step in range(5):
                points = random(30, 3, seed=step).abs()
                gradient = random(30, layout.width, seed=100 + step).sign()
                grid(points).backward(gradient)
                optimiser.step(RATE)
        tables[backend] = grid.table.detach()
    ours, dense = tables["auto"], tables["reference"]
    moved = (dense != start).any(-1)
    assert torch.equal(moved, (ours != start).any(-1))
    assert moved.any()
    assert not moved.all()
    # Adam divides a gradient by its own size, so that where contributions nearly cancel their rounding shows.
    off = (ours - dense).abs().amax(-1)[moved]
    assert torch.quantile(off, 0.98) < 5 * NEAR


def test_the_backward_pass_marks_what_it_adds_to():
    layout = GridLayout((3, 40), 2, 8)
    grid = HashGrid(layout)
    optimiser = SparseAdam(grid)
    grid(random(9, 3).abs()).backward(random(9, layout.width).sign())
    sink, table = grid.sink, grid.table
    assert torch.equal(sink.touched[: len(table)] != 0, (sink.values != 0).any(-1))
    assert len(sink.touched) % 8 == 0
    assert not sink.touched[len(table) :].any()
    # An entry whose contributions cancel is marked, but has no gradient: it stays.
    before = table.detach().clone()
    sink.values.zero_()
    optimiser.step(RATE)
    assert torch.equal(table.detach(), before)
    assert not sink.touched.any()


def test_the_sink_is_no_part_of_the_state():
    grid = HashGrid(GridLayout((3,), 2, 8))
    SparseAdam(grid)
    assert list(grid.state_dict()) == ["table"]


@pytest.mark.parametrize("backend", ["auto", "reference"])
def test_a_resumed_optimiser_continues_exactly(backend):
    (whole, whole_optimiser), (first, first_optimiser) = sparse(backend), sparse(backend)
    gradients = [random(ENTRIES, FEATURES, seed=step) for step in range(6)]
    for gradient in gradients:
        feed(whole, whole_optimiser, gradient)
        whole_optimiser.step(RATE)
    for gradient in gradients[:3]:
        feed(first, first_optimiser, gradient)
        first_optimiser.step(RATE)
    state = {name: value.clone() for name, value in first_optimiser.state().items()}
    table, optimiser = sparse(backend)
    table.data.copy_(first.data)
    optimiser.load_state(state)
    for gradient in gradients[3:]:
        feed(table, optimiser, gradient)
        optimiser.step(RATE)
    assert torch.equal(table, whole)


def test_exponential_decay():
    assert exponential_decay(0, 100, 1e-2, 1e-4) == pytest.approx(1e-2)
    assert exponential_decay(50, 100, 1e-2, 1e-4) == pytest.approx(1e-3)
    assert exponential_decay(100, 100, 1e-2, 1e-4) == pytest.approx(1e-4)
    assert exponential_decay(10_000, 100, 1e-2, 1e-4) == pytest.approx(1e-4)
    assert exponential_decay(0, 0, 1e-2, 1e-4) == pytest.approx(1e-2)
    assert exponential_decay(30, 100, 1e-2, 1e-2) == pytest.approx(1e-2)


def test_the_rate_rises_linearly_at_first():
    rates = [exponential_decay(step, 10**9, 1.0, 0.5, warmup=9) for step in range(12)]
    assert rates == pytest.approx([*(0.1 * (step + 1) for step in range(9)), 1.0, 1.0, 1.0])
