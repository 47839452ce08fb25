"""Losses by hand and by brute force."""

import itertools

import pytest
import torch

from lerf.kernels.reference import spacing_of
from lerf.training import losses


def random(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("samples", [1, 2, 16])
def test_distortion_equals_its_double_sum(samples):
    weights = random(10, samples)
    edges = torch.sort(random(10, samples + 1, seed=1) * 5, dim=-1).values
    spacing = spacing_of(edges)
    total = 0.0
    for w, s in zip(weights.tolist(), spacing.tolist(), strict=True):
        middle = [(a + b) / 2 for a, b in itertools.pairwise(s)]
        total += sum(w[i] * w[j] * abs(middle[i] - middle[j]) for i in range(samples) for j in range(samples))
        total += sum(w[i] ** 2 * (s[i + 1] - s[i]) / 3 for i in range(samples))
    assert float(losses.distortion(weights, edges)) == pytest.approx(total / 10, rel=1e-9)


def test_distortion_prefers_one_short_piece():
    edges = torch.linspace(0.1, 0.9, 9)[None]
    together, apart = torch.zeros(1, 8), torch.zeros(1, 8)
    together[0, 3:5] = 0.5
    apart[0, [0, 7]] = 0.5
    assert losses.distortion(together, edges) < losses.distortion(apart, edges)
    assert float(losses.distortion(torch.zeros(1, 8), edges)) == 0


def test_gradient_of_distortion_by_finite_differences():
    edges = torch.sort(random(3, 6, seed=1) * 5, dim=-1).values
    assert torch.autograd.gradcheck(lambda w: losses.distortion(w, edges), (random(3, 5).requires_grad_(),))


def test_huber_by_hand():
    predicted = torch.tensor([[0.0, 1.0, 3.0], [0.0, 0.0, 0.0]])
    target = torch.tensor([[0.5, 1.0, 0.0], [0.0, -2.0, 0.0]])
    # Half the square up to 1.25, and 1.25 * (difference - 0.625) beyond.
    first, second = 0.5 * 0.25 + 1.25 * (3 - 0.625), 1.25 * (2 - 0.625)
    assert float(losses.huber(predicted, target)) == pytest.approx((first + second) / 2)
    assert float(losses.huber(predicted, target, delta=10.0)) == pytest.approx((0.5 * 9.25 + 0.5 * 4) / 2)


def test_squared_error_by_hand():
    predicted = torch.tensor([[1.0, 2.0], [0.0, 0.0]])
    target = torch.tensor([[0.0, 4.0], [0.0, 3.0]])
    assert float(losses.squared_error(predicted, target)) == pytest.approx((1 + 4 + 9) / 2)
