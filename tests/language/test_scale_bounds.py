"""Which scales were supervised where, against a dictionary of cells."""

import itertools

import torch

from lerf.geometry.contraction import to_unit_cube
from lerf.language.scale_bounds import ScaleBounds

SIDE = 6


def noted(count=200, seed=0):
    generator = torch.Generator().manual_seed(seed)
    positions = torch.randn(count, 3, generator=generator)
    low = torch.rand(count, generator=generator)
    return positions, low, low + torch.rand(count, generator=generator)


def cell_of(position):
    return tuple(min(int(c * SIDE), SIDE - 1) for c in to_unit_cube(position[None])[0].tolist())


def brute_force(notes):
    cells: dict[tuple[int, ...], tuple[float, float]] = {}
    for position, low, high in zip(*notes, strict=True):
        before = cells.get(cell_of(position), (float("inf"), -float("inf")))
        cells[cell_of(position)] = (min(before[0], float(low)), max(before[1], float(high)))
    return cells


def assert_same(bounds, cells):
    probes, _, _ = noted(500, seed=1)
    nothing = (float("inf"), -float("inf"))
    expected = [cells.get(cell_of(position), nothing) for position in probes]
    low, high = bounds.supported(probes)
    assert list(zip(low.tolist(), high.tolist(), strict=True)) == expected
    assert nothing in expected
    assert any(pair != nothing for pair in expected)


def test_smallest_and_largest_height_of_every_cell():
    bounds, notes = ScaleBounds(SIDE), noted()
    bounds.note(*[part[:120] for part in notes])
    bounds.note(*[part[120:] for part in notes])
    assert_same(bounds, brute_force(notes))


def test_widened_by_one_cell():
    bounds, notes = ScaleBounds(SIDE), noted(15)
    bounds.note(*notes)
    bounds.widen()
    wide: dict[tuple[int, ...], tuple[float, float]] = {}
    for cell, (low, high) in brute_force(notes).items():
        for step in itertools.product((-1, 0, 1), repeat=3):
            beside = tuple(c + s for c, s in zip(cell, step, strict=True))
            before = wide.get(beside, (float("inf"), -float("inf")))
            wide[beside] = (min(before[0], low), max(before[1], high))
    assert_same(bounds, wide)


def test_places_that_nobody_saw_know_nothing():
    bounds = ScaleBounds(SIDE)
    bounds.widen()
    low, high = bounds.supported(torch.randn(20, 3))
    assert (low > high).all()
    assert (low == torch.inf).all()


def test_bounds_are_saved_with_the_field():
    bounds, notes, again = ScaleBounds(SIDE), noted(), ScaleBounds(SIDE)
    bounds.note(*notes)
    again.load_state_dict(bounds.state_dict())
    for ours, theirs in zip(again.supported(notes[0]), bounds.supported(notes[0]), strict=True):
        assert torch.equal(ours, theirs)
    assert (again.supported(notes[0])[0] <= notes[1]).all()
