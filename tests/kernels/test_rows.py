"""Walks along a graph against dense algebra, and products with few texts."""

import itertools

import pytest
import torch

from lerf import kernels
from lerf.kernels import chebyshev, reference
from lerf.kernels.types import SparseRows

BACKENDS = ("reference", "torch", "cpu")
WALKS = ((0.1, 20), (0.05, 50), (0.02, 100), (1.0, 3), (0.0, 1), (0.3, 0))


def graph(points, neighbours, seed):
    """A dense transition matrix of an undirected graph, its rows, and the degrees of its points."""
    generator = torch.Generator().manual_seed(seed)
    affinity = torch.rand(points, points, generator=generator, dtype=torch.float64)
    kept = torch.zeros(points, points, dtype=torch.bool)
    kept.scatter_(1, torch.rand(points, points, generator=generator).topk(neighbours).indices, True)
    affinity = torch.where(kept | kept.T, affinity + affinity.T, 0.0).fill_diagonal_(0.0)
    affinity[0, :] = affinity[:, 0] = 0.0
    affinity[0, 0] = 1.0  # a point without neighbours
    degrees = affinity.sum(1)
    matrix = affinity / degrees[:, None]
    filled = matrix > 0
    starts = torch.cat([torch.zeros(1), filled.sum(1).cumsum(0)]).int()
    return matrix, SparseRows(starts, filled.nonzero()[:, 1].int(), matrix[filled].float()), degrees


@pytest.mark.parametrize(("walk", "phrases", "backend"), list(itertools.product(WALKS, (1, 2, 4, 7), BACKENDS)))
def test_a_walk_is_its_power_series(walk, phrases, backend):
    (restart, steps), (matrix, rows, degrees) = walk, graph(60, 5, seed=phrases)
    own = 6.0 * torch.randn(60, phrases, generator=torch.Generator().manual_seed(1))
    expected = own.double()
    for _ in range(steps):
        expected = restart * own.double() + (1.0 - restart) * matrix @ expected
    with kernels.use(backend):
        found = kernels.propagate(own, rows, restart, steps)

    def size(values):
        return ((values.double().square() * degrees[:, None]).sum(0) / degrees.sum()).sqrt()

    rounding = 60 * torch.finfo(torch.float32).eps
    assert (size(found - expected) <= (chebyshev.LEFT_OUT + rounding) * size(own)).all()
    torch.testing.assert_close(found[0], own[0], atol=1e-4, rtol=1e-5)


def test_a_longer_walk_takes_fewer_products_than_steps():
    assert [len(chebyshev.coefficients(*walk)) - 1 for walk in WALKS[:3]] == [12, 20, 30]


def test_coefficients_are_those_of_the_polynomial():
    eigenvalues = torch.linspace(-1, 1, 41, dtype=torch.float64)
    for restart, steps in WALKS:
        expected = torch.ones_like(eigenvalues)
        for _ in range(steps):
            expected = restart + (1.0 - restart) * eigenvalues * expected
        found = chebyshev.coefficients(restart, steps, left_out=0.0)
        series = sum(share * torch.cos(k * torch.arccos(eigenvalues)) for k, share in enumerate(found))
        torch.testing.assert_close(series, expected, atol=1e-12, rtol=0)


@pytest.mark.parametrize("backend", BACKENDS)
def test_no_points_and_no_phrases(backend):
    nothing = SparseRows(torch.zeros(1).int(), torch.zeros(0).int(), torch.zeros(0))
    with kernels.use(backend):
        assert kernels.propagate(torch.zeros(0, 3), nothing, 0.1, 20).shape == (0, 3)
        assert kernels.propagate(torch.zeros(60, 0), graph(60, 5, 0)[1], 0.1, 20).shape == (60, 0)


@pytest.mark.parametrize(("count", "width", "texts"), [(0, 3, 2), (1, 1, 1), (700, 64, 5), (300, 129, 40), (5, 3, 0)])
def test_products_with_few_texts(count, width, texts):
    generator = torch.Generator().manual_seed(0)
    rows, few = torch.randn(count, width, generator=generator), torch.randn(texts, width, generator=generator)
    expected = reference.few_products(rows.double(), few.double()).float()
    with kernels.use("cpu"):
        found = kernels.few_products(rows, few)
    assert found.is_contiguous()
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
