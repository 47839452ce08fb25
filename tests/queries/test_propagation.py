"""Relevancy propagated along surfaces: against dense algebra, and on a wall that stands on a table."""

import numpy as np
import pytest
import torch

from lerf.queries.instances import answering_regions, find_regions
from lerf.queries.propagation import NEIGHBOURS, RESTART, STEPS, SurfaceGraph


def plane(side: int, step: float, seed: int) -> torch.Tensor:
    """Points of a square in the x-y plane, a little off a raster."""
    along = torch.arange(side) * step
    x, y = torch.meshgrid(along, along, indexing="ij")
    flat = torch.stack([x.flatten(), y.flatten(), torch.zeros(side * side)], dim=-1)
    shaken = torch.rand(flat.shape, generator=torch.Generator().manual_seed(seed)) * 0.2 * step
    return flat + shaken * torch.tensor([1.0, 1.0, 0.0])


def wall_on_a_table() -> tuple[torch.Tensor, torch.Tensor]:
    """Points of a wall that rises from the middle of a table, and whether each is the wall's."""
    table, wall = plane(40, 0.05, 0), plane(20, 0.05, 1)
    wall = torch.stack([wall[:, 0] + 0.5, torch.full((400,), 1.0), wall[:, 1] + 0.02], dim=-1)
    return torch.cat([table, wall]), torch.arange(2000) >= 1600


def dense(graph: SurfaceGraph) -> np.ndarray:
    """The transition matrix between the points as they were given, with its zeros, in double precision."""
    starts, columns, values = (part.numpy() for part in graph.transition)
    matrix = np.zeros((len(graph), len(graph)))
    matrix[np.repeat(np.arange(len(graph)), np.diff(starts)), columns] = values
    back = np.argsort(graph.order.numpy())
    return matrix[np.ix_(back, back)]


def test_propagation_is_the_power_series_of_its_matrix() -> None:
    points = plane(8, 1.0, 0)
    graph = SurfaceGraph.of(points)
    transition = dense(graph)
    np.testing.assert_allclose(transition.sum(axis=1), 1.0, atol=1e-6)
    assert (transition >= 0).all()
    assert (np.diag(transition) == 0).all()
    # Every point knows its neighbours, and they know it.
    assert ((transition > 0).sum(axis=1) >= NEIGHBOURS).all()
    assert ((transition > 0) == (transition > 0).T).all()
    relevancy = torch.rand(64, generator=torch.Generator().manual_seed(2)) * 0.98 + 0.01
    own = torch.logit(relevancy.double()).numpy()
    stay = 1.0 - RESTART
    series = sum(RESTART * np.linalg.matrix_power(stay * transition, k) @ own for k in range(STEPS))
    expected = torch.sigmoid(torch.from_numpy(series + np.linalg.matrix_power(stay * transition, STEPS) @ own))
    # 1e-3 of relevancy is what anybody can see.
    torch.testing.assert_close(graph.propagate(relevancy).double(), expected, atol=1e-3, rtol=0)


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_few_points_keep_even_relevancy(count: int) -> None:
    points, even = torch.rand(count, 3), torch.full((count,), 0.7)
    torch.testing.assert_close(SurfaceGraph.of(points).propagate(even), even, atol=1e-5, rtol=0)


def test_without_neighbours_relevancy_stays() -> None:
    relevancy = torch.rand(50) * 0.98 + 0.01
    torch.testing.assert_close(SurfaceGraph.alone(50).propagate(relevancy), relevancy, atol=1e-5, rtol=0)


def test_a_point_that_is_nowhere_neither_gives_nor_takes() -> None:
    points = plane(8, 1.0, 0)
    relevancy = torch.rand(65, generator=torch.Generator().manual_seed(2)) * 0.98 + 0.01
    among = SurfaceGraph.of(torch.cat([points[:10], torch.full((1, 3), torch.nan), points[10:]])).propagate(relevancy)
    kept = torch.arange(65) != 10
    torch.testing.assert_close(among[kept], SurfaceGraph.of(points).propagate(relevancy[kept]))
    torch.testing.assert_close(among[10], relevancy[10], atol=1e-5, rtol=0)


def test_a_thing_ends_where_it_stands() -> None:
    """Relevancy that fades over the foot of a wall: less of the table around it is its own, no less of the wall."""
    points, is_wall = wall_on_a_table()
    # As tiles see it: high near the middle of the wall, and falling with the distance from there.
    distance = (points - torch.tensor([0.975, 1.0, 0.45])).norm(dim=-1)
    relevancy = torch.sigmoid(4.0 - 6.0 * distance)
    plain = answering_regions(points, relevancy, 0.98, 0.5, 0.1, relevancy)[0]
    propagated = answering_regions(points, relevancy, 0.98, 0.5, 0.1, SurfaceGraph.of(points).propagate(relevancy))[0]

    def share_of_table(indices: torch.Tensor) -> float:
        return float((~is_wall[indices]).float().mean())

    assert share_of_table(plain.indices) > 0.1
    assert share_of_table(propagated.indices) < 0.75 * share_of_table(plain.indices)
    assert is_wall[propagated.indices].sum() > 0.9 * is_wall[plain.indices].sum()
    assert is_wall[propagated.best]


def test_a_graph_changes_how_far_instances_reach_and_not_which_there_are() -> None:
    points, _ = wall_on_a_table()
    relevancy = torch.sigmoid(4.0 - 6.0 * (points - torch.tensor([0.975, 1.0, 0.45])).norm(dim=-1))
    graph = SurfaceGraph.of(points)
    for threshold, expected in ((0.5, 1), (0.9999, 0)):
        plain = answering_regions(points, relevancy, 0.98, threshold, 0.1, relevancy)
        propagated = answering_regions(points, relevancy, 0.98, threshold, 0.1, graph.propagate(relevancy))
        assert len(plain) == len(propagated) == expected
        assert [(r.best, r.peak) for r in plain] == [(r.best, r.peak) for r in propagated]


def test_instances_that_run_together_when_propagated_keep_their_own_places() -> None:
    """Two stripes on one plane with a gap that relevancy moves over."""
    points = plane(40, 0.05, 3)
    x = points[:, 0]
    relevancy = torch.where(((x > 0.5) & (x < 0.9)) | ((x > 1.05) & (x < 1.5)), 0.95, 0.4)
    graph = SurfaceGraph.of(points)
    reaches = (relevancy, graph.propagate(relevancy))
    plain, propagated = (answering_regions(points, relevancy, 0.95, 0.5, 0.06, reach) for reach in reaches)
    assert len(find_regions(points, graph.propagate(relevancy), threshold=0.6, cell_size=0.06)) == 1
    assert len(plain) == len(propagated) == 2
    for first, second in zip(plain, propagated, strict=True):
        assert torch.equal(first.indices, second.indices)


def test_phrases_are_propagated_together_as_each_alone() -> None:
    points, _ = wall_on_a_table()
    graph, relevancy = SurfaceGraph.of(points), torch.rand(6, 2000, generator=torch.Generator().manual_seed(4))
    together = graph.propagate(relevancy)
    torch.testing.assert_close(together, torch.stack([graph.propagate(one) for one in relevancy]), atol=1e-5, rtol=0)


def graph_file(**changes: torch.Tensor) -> dict[str, torch.Tensor]:
    return {**SurfaceGraph.of(plane(8, 1.0, 0)).tensors, **changes}


def test_a_graph_comes_back_from_its_tensors() -> None:
    again = SurfaceGraph.checked(64, graph_file())
    made = SurfaceGraph.of(plane(8, 1.0, 0))
    assert all(torch.equal(again.tensors[name], tensor) for name, tensor in made.tensors.items())


@pytest.mark.parametrize(
    "change",
    [
        {"values": graph_file()["values"] * 2},
        {"values": -graph_file()["values"]},
        {"values": graph_file()["values"].double()},
        {"columns": graph_file()["columns"] + 1},
        {"columns": graph_file()["columns"][1:]},
        {"starts": graph_file()["starts"].flip(0)},
        {"starts": graph_file()["starts"][1:]},
        {"order": graph_file()["order"].clamp(max=62)},
        {"order": graph_file()["order"].long()},
        {"order": graph_file()["order"][1:]},
    ],
)
def test_tensors_of_no_graph_are_refused(change) -> None:
    with pytest.raises(ValueError, match=r"matrix|rows|order"):
        SurfaceGraph.checked(64, graph_file(**change))


def test_dense_features_part_what_is_smooth() -> None:
    """A flat plane whose two halves look different: relevancy ends between them only where their features say so."""
    points = plane(40, 0.05, 0)
    left = points[:, 0] < 1.0
    features = torch.where(left[:, None], torch.tensor([1.0, 0.0, 0.3]), torch.tensor([0.0, 1.0, 0.3]))
    relevancy = torch.where(left, 0.9, 0.1)
    blurred, parted = (SurfaceGraph.of(points, own).propagate(relevancy) for own in (None, features))
    assert (parted - relevancy).abs().max() < 0.1
    assert (blurred - relevancy).abs().max() > 0.25
    # What has no features is like everything, and the mean of all means nothing.
    nothing = SurfaceGraph.of(points, torch.zeros(1600, 3)).propagate(relevancy)
    torch.testing.assert_close(nothing, blurred, atol=1e-5, rtol=0)
    moved = SurfaceGraph.of(points, features + torch.tensor([5.0, -2.0, 1.0])).propagate(relevancy)
    torch.testing.assert_close(moved, parted, atol=1e-3, rtol=0)


def test_the_order_of_points_changes_nothing() -> None:
    points, is_wall = wall_on_a_table()
    relevancy = torch.where(is_wall, 0.9, 0.2)
    shuffled = torch.randperm(2000, generator=torch.Generator().manual_seed(0))
    whole, other = SurfaceGraph.of(points), SurfaceGraph.of(points[shuffled])
    torch.testing.assert_close(
        whole.propagate(relevancy)[shuffled], other.propagate(relevancy[shuffled]), atol=1e-4, rtol=0
    )
    assert sorted(whole.order.tolist()) == list(range(2000))
