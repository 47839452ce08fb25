"""Contraction: bounded, the identity near the origin, continuous, monotone along rays; the same for both norms."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lerf.geometry.contraction import contract, to_unit_cube

NORMS = ("linf", "l2")
anywhere = st.tuples(*[st.floats(-1e15, 1e15) | st.floats(-3, 3) | st.sampled_from([-1.0, 0.0, 1.0])] * 3)
norms = st.sampled_from(NORMS)


def vector(numbers):
    return torch.tensor(numbers, dtype=torch.float64)


def size(position, norm):
    return float(position.abs().amax() if norm == "linf" else torch.linalg.vector_norm(position))


@given(anywhere, norms)
def test_bounded_and_in_the_same_direction(numbers, norm):
    position = vector(numbers)
    squeezed = contract(position, norm)
    assert size(squeezed, norm) <= 2
    assert (squeezed * position >= 0).all()
    torch.testing.assert_close(squeezed * size(position, norm), position * size(squeezed, norm), rtol=1e-9, atol=1e-300)
    inside = to_unit_cube(position, norm)
    assert (inside >= 0).all()
    assert (inside <= 1).all()


@given(anywhere, norms)
def test_identity_inside(numbers, norm):
    position = vector(numbers)
    inside = position / max(size(position, norm), 1.0)
    torch.testing.assert_close(contract(inside, norm), inside, rtol=0, atol=1e-15)


@given(st.tuples(*[st.floats(-4, 4)] * 3), st.tuples(*[st.floats(-1, 1)] * 3), st.floats(1e-9, 1e-2), norms)
def test_continuous(numbers, step, width, norm):
    position, moved = vector(numbers), vector(numbers) + width * vector(step)
    difference = torch.linalg.vector_norm(contract(moved, norm) - contract(position, norm))
    # No slope is above one along a ray or across it; in the cube's corners the two add up, to less than two.
    assert difference <= 2 * torch.linalg.vector_norm(moved - position) + 1e-12


@given(st.tuples(*[st.floats(-1, 1)] * 3), norms)
def test_monotone_along_rays(numbers, norm):
    direction = vector(numbers)
    if size(direction, norm) < 1e-3:
        return
    distances = torch.logspace(-3, 6, 200, dtype=torch.float64)[:, None]
    reached = [size(position, norm) for position in contract(distances * direction, norm)]
    assert all(near < far for near, far in itertools.pairwise(reached))


@pytest.mark.parametrize("norm", NORMS)
def test_by_hand(norm):
    far = torch.tensor([[4.0, 0.0, 0.0], [0.0, -10.0, 0.0]])
    torch.testing.assert_close(contract(far, norm), torch.tensor([[1.75, 0.0, 0.0], [0.0, -1.9, 0.0]]))
    corner = torch.tensor([[1.0, 1.0, 1.0]])
    expected = corner if norm == "linf" else corner / 3**0.5 * (2 - 1 / 3**0.5)
    torch.testing.assert_close(contract(corner, norm), expected)


@pytest.mark.parametrize("norm", NORMS)
def test_differentiable_also_at_the_origin_and_far_away(norm):
    positions = torch.tensor([[0.0, 0.0, 0.0], [0.3, 0.2, -0.1], [3.0, -2.0, 1.0]], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda p: contract(p, norm), (positions.requires_grad_(),))
    far = torch.tensor([[1e15, -1e14, 3.0]], requires_grad=True)
    (slope,) = torch.autograd.grad(contract(far, norm).sum(), far)
    assert slope.isfinite().all()
