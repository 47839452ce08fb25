"""Samples of pictures: refined intervals and the points in their middle, fast paths against definitions, and laws."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lerf import kernels
from lerf.geometry.contraction import to_unit_cube

BACKENDS = ("auto", "reference")


def random(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def intervals(rays, count, seed=0):
    """Ascending edges and weights of some light, most of it in few intervals."""
    edges = random(rays, count + 1, seed=seed).add(0.02).cumsum(-1)
    weights = random(rays, count, seed=seed + 1) ** 8
    return edges, weights / (weights.sum(-1, keepdim=True) + random(rays, 1, seed=seed + 2))


def refined(backend, edges, weights, samples, padding):
    with kernels.use(backend):
        return kernels.refined_edges(edges, weights, samples, padding)


@pytest.mark.parametrize("padding", [0.0, 0.02, 1.0])
@pytest.mark.parametrize(("count", "samples"), [(1, 1), (5, 12), (32, 32), (24, 3)])
def test_refined_edges_equal_their_definition(count, samples, padding):
    edges, weights = intervals(200, count)
    ours, expected = (refined(backend, edges, weights, samples, padding) for backend in BACKENDS)
    assert ours.shape == (200, samples + 1)
    # Where an interval holds next to nothing the inverse of the distribution is steep: a few rays round otherwise.
    off = (ours - expected).abs().amax(-1) / edges[:, -1]
    assert torch.quantile(off, 0.97) < 1e-4
    assert torch.quantile(off, 0.5) < 1e-5


@pytest.mark.parametrize("backend", BACKENDS)
@given(seed=st.integers(0, 1000), count=st.integers(1, 40), samples=st.integers(1, 40), padding=st.floats(0, 1))
def test_refined_edges_ascend_within_the_coarse_ones(backend, seed, count, samples, padding):
    edges, weights = intervals(10, count, seed)
    found = refined(backend, edges, weights, samples, padding)
    assert found.isfinite().all()
    assert (found[:, 1:] >= found[:, :-1] * (1 - 1e-6)).all()
    assert (found >= edges[:, :1] * (1 - 1e-5)).all()
    assert (found <= edges[:, -1:] * (1 + 1e-5)).all()


@pytest.mark.parametrize("backend", BACKENDS)
def test_most_refined_samples_lie_where_light_stops(backend):
    edges = torch.linspace(1, 3, 21).expand(4, -1).contiguous()
    weights = torch.zeros(4, 20)
    weights[:, 12] = 0.9
    middle = refined(backend, edges, weights, 20, 0.02)
    middle = 0.5 * (middle[:, 1:] + middle[:, :-1])
    # Weights are widened by an interval to each side.
    near = (middle > edges[:, 11:12]) & (middle < edges[:, 14:15])
    assert (near.sum(-1) >= 16).all()


@given(seed=st.integers(0, 1000), spread=st.sampled_from([0.0, 1.0, 1e4]))
def test_points_in_the_middle_equal_their_definition(seed, spread):
    origins = (random(30, 3, seed=seed) * 2 - 1) * spread
    directions = torch.nn.functional.normalize(random(30, 3, seed=seed + 1) - 0.5, dim=-1)
    edges, _ = intervals(30, 7, seed)
    found = []
    for backend in BACKENDS:
        with kernels.use(backend):
            found.append(kernels.interval_points(origins, directions, edges))
    middle = 0.5 * (edges[:, 1:] + edges[:, :-1])
    positions = origins[:, None] + directions[:, None] * middle[..., None]
    expected = to_unit_cube(positions.reshape(-1, 3)).view_as(positions)
    for points in found:
        torch.testing.assert_close(points, expected, atol=1e-5, rtol=0)
