"""Connected regions against a flood fill on a dense grid, and which of them answer."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lerf.errors import QueryError
from lerf.geometry.extent import robust_extent
from lerf.queries.instances import answering_regions, find_regions

EVERYTHING = {"min_points": 1, "min_share": 0.0}


def flood_fill(points: torch.Tensor, relevancy: torch.Tensor, threshold: float, size: float) -> set[frozenset[int]]:
    """Regions as sets of point indices, cube by cube."""
    cubes: dict[tuple[int, ...], list[int]] = {}
    for index in range(len(points)):
        if relevancy[index] > threshold:
            cubes.setdefault(tuple(torch.floor(points[index].double() / size).long().tolist()), []).append(index)
    regions = set()
    while cubes:
        stack, members = [next(iter(cubes))], []
        while stack:
            cube = stack.pop()
            if cube not in cubes:
                continue
            members += cubes.pop(cube)
            steps = itertools.product((-1, 0, 1), repeat=3)
            stack += [tuple(a + b for a, b in zip(cube, step, strict=True)) for step in steps]
        regions.add(frozenset(members))
    return regions


@settings(deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 60), st.sampled_from([0.3, 1.0, 1.7]))
def test_regions_are_those_of_a_flood_fill(seed: int, count: int, size: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    points = torch.rand(count, 3, generator=generator) * 10 - 5
    relevancy = torch.rand(count, generator=generator)
    regions = find_regions(points, relevancy, threshold=0.4, cell_size=size, **EVERYTHING)
    assert {frozenset(region.indices.tolist()) for region in regions} == flood_fill(points, relevancy, 0.4, size)
    peaks = [region.peak for region in regions]
    assert peaks == sorted(peaks, reverse=True)
    for region in regions:
        assert region.peak == float(relevancy[region.indices].max()) == float(relevancy[region.best])
        low, high = robust_extent(points[region.indices], points[region.best])
        assert torch.equal(region.minimum, low)
        assert torch.equal(region.maximum, high)
        evidence = float((relevancy[region.indices] - 0.4).sum())
        assert region.evidence == pytest.approx(evidence, abs=1e-5)


def test_cubes_that_share_a_corner_touch_and_a_gap_parts() -> None:
    touching = torch.tensor([[0.5, 0.5, 0.5], [1.5, 1.5, 1.5]])
    apart = torch.tensor([[0.5, 0.5, 0.5], [2.5, 0.5, 0.5]])
    high = torch.ones(2)
    assert len(find_regions(touching, high, threshold=0.5, cell_size=1.0, **EVERYTHING)) == 1
    assert len(find_regions(apart, high, threshold=0.5, cell_size=1.0, **EVERYTHING)) == 2


def test_a_large_weak_region_does_not_hide_a_small_strong_one() -> None:
    wall, thing = torch.rand(20_000, 3), torch.rand(100, 3) * 0.1 + 5.0
    points, relevancy = torch.cat([wall, thing]), torch.cat([torch.full((20_000,), 0.55), torch.full((100,), 0.8)])
    (found,) = find_regions(points, relevancy, threshold=0.5, cell_size=0.2, min_peak=0.67)
    assert set(found.indices.tolist()) == set(range(20_000, 20_100))


def test_a_huge_extent_costs_nothing() -> None:
    points = torch.tensor([[0.0, 0.0, 0.0], [1e9, -1e9, 1e9], [float("inf"), 0.0, 0.0], [0.0, float("nan"), 0.0]])
    regions = find_regions(points, torch.tensor([0.8, 0.9, 1.0, 1.0]), threshold=0.5, cell_size=1e-3, **EVERYTHING)
    assert [region.indices.tolist() for region in regions] == [[1], [0]]


def test_small_and_weak_regions_are_dropped() -> None:
    cluster = torch.rand(50, 3) * 0.9
    speck = torch.tensor([[10.2, 0.2, 0.2]] * 3)
    faint = torch.rand(10, 3) * 0.9 + torch.tensor([20.0, 0.0, 0.0])
    points = torch.cat([cluster, speck, faint])
    relevancy = torch.cat([torch.full((50,), 0.9), torch.full((3,), 1.0), torch.full((10,), 0.51)])
    settings = {"threshold": 0.5, "cell_size": 1.0}
    assert len(find_regions(points, relevancy, **settings, min_points=1, min_share=0.0)) == 3
    assert len(find_regions(points, relevancy, **settings, min_points=4, min_share=0.0)) == 2
    (kept,) = find_regions(points, relevancy, **settings)
    assert kept.indices.tolist() == list(range(50))


def test_nothing_above_the_threshold() -> None:
    assert find_regions(torch.rand(5, 3), torch.full((5,), 0.5), threshold=0.5, cell_size=1.0) == []
    assert find_regions(torch.zeros(0, 3), torch.zeros(0), threshold=0.5, cell_size=1.0) == []


@pytest.mark.parametrize("size", [0.0, -1.0, float("nan"), float("inf")])
def test_a_cell_without_size_is_refused(size: float) -> None:
    with pytest.raises(QueryError, match="cell size"):
        find_regions(torch.rand(5, 3), torch.rand(5), threshold=0.5, cell_size=size)


def test_a_thing_ends_where_its_margin_is_small_and_another_must_have_nearly_as_much() -> None:
    """Three bars along x: the best, one nearly as sure, one unsure; each fades at its ends."""
    bar = torch.tensor([0.6, 0.9, 0.9, 0.9, 0.9, 0.6])
    relevancy = torch.cat([bar, torch.where(bar > 0.7, 0.85, 0.55), torch.where(bar > 0.7, 0.72, 0.55)])
    along = torch.arange(6.0)
    points = torch.stack([torch.cat([along, along + 20, along + 40]), torch.zeros(18), torch.zeros(18)], dim=-1)
    regions = answering_regions(points, relevancy, 0.9, 0.5, 1.1, relevancy)
    # A fifth of 0.9's logit is that of 0.608, and six tenths of it that of 0.789.
    assert [region.indices.tolist() for region in regions] == [[1, 2, 3, 4], [7, 8, 9, 10]]


def test_a_phrase_that_lags_behind_the_canonical_ones_has_its_best_place() -> None:
    points = torch.arange(18.0).reshape(6, 3)
    relevancy = torch.tensor([0.1, 0.3, 0.3, 0.3, 0.3, 0.2])
    regions = answering_regions(points, relevancy, float(relevancy.max()), 0.2, 20.0, relevancy)
    assert [region.indices.tolist() for region in regions] == [[1, 2, 3, 4]]
