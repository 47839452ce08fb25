"""Rendering weights and compositing: fast path against the definition in double precision, and laws of light."""

import pytest
import torch

from lerf import kernels
from lerf.kernels import reference

EPSILON = torch.finfo(torch.float32).eps
ENDLESS = 1e6


def random(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def closed(lengths):
    """The same intervals with a last one that never ends."""
    return torch.cat([lengths[:, :-1], torch.full_like(lengths[:, -1:], ENDLESS)], dim=-1)


RAYS = {
    "random": (random(200, 16) * 5, random(200, 16, seed=1) * 0.3),
    "closed": (random(200, 16) * 5, closed(random(200, 16, seed=1) * 0.3)),
    "no rays": (torch.zeros(0, 16), torch.zeros(0, 16)),
    "no samples": (torch.zeros(5, 0), torch.zeros(5, 0)),
    "one sample": (random(50, 1) * 5, random(50, 1, seed=1)),
    "one ray": (random(1, 16), random(1, 16, seed=1)),
    "empty space": (torch.zeros(20, 16), random(20, 16)),
    "empty and closed": (torch.zeros(20, 16), closed(random(20, 16))),
    "thin": (random(100, 16) * 1e-6, random(100, 16, seed=1) * 0.1),
    "wall": (torch.full((10, 16), 3.3e6), random(10, 16) * 0.1),
    "empty intervals": (random(10, 16) * 5, torch.zeros(10, 16)),
    "wall at the end": (random(10, 16) * 0.1 + 3.3e6 * torch.eye(16)[-1], closed(random(10, 16) * 0.1)),
    "strided": (random(100, 32)[::2, ::2] * 5, random(16, 50).T * 0.3),
}


def weights_and_gradient(densities, lengths, gradient, backend):
    densities = densities.clone().requires_grad_()
    with kernels.use(backend):
        weights = kernels.render_weights(densities, lengths)
        weights.backward(gradient)
    return weights.detach(), densities.grad


@pytest.mark.parametrize(("densities", "lengths"), RAYS.values(), ids=RAYS.keys())
@pytest.mark.parametrize("backend", ["auto", "reference"])
def test_weights_equal_the_definition_in_double_precision(densities, lengths, backend):
    gradient = random(*densities.shape, seed=2) * 2 - 1
    weights, slope = weights_and_gradient(densities, lengths, gradient, backend)
    exact, exact_slope = weights_and_gradient(densities.double(), lengths.double(), gradient.double(), "reference")
    # Each of `samples` factors of the transmittance is off by a few epsilon, and none is above one.
    near = EPSILON * (4 * densities.shape[1] + 4)
    torch.testing.assert_close(weights.double(), exact, rtol=0, atol=near)
    # The slope is the length times a difference of such products.
    scale = lengths.double().clamp(min=1e-30)
    torch.testing.assert_close(slope / scale, exact_slope / scale, rtol=0, atol=4 * near)
    assert slope.isfinite().all()


@pytest.mark.parametrize("backend", ["auto", "reference"])
def test_light_is_neither_made_nor_lost(backend):
    with kernels.use(backend):
        for densities, lengths in RAYS.values():
            weights = kernels.render_weights(densities, lengths)
            assert (weights >= 0).all()
            stopped = -torch.expm1(-(densities * lengths).double().sum(-1))
            torch.testing.assert_close(weights.double().sum(-1), stopped, rtol=0, atol=1e-5)
        densities, lengths = RAYS["closed"]
        torch.testing.assert_close(
            kernels.render_weights(densities, lengths).sum(-1), torch.ones(len(densities)), rtol=0, atol=1e-5
        )


def test_weights_by_hand():
    densities, lengths = torch.tensor([[2.0, 0.0, 1.0]]), torch.tensor([[0.5, 9.0, 2.0]])
    e = torch.e
    expected = torch.tensor([[1 - 1 / e, 0.0, (1 - e**-2) / e]])
    for backend in ("auto", "reference"):
        with kernels.use(backend):
            torch.testing.assert_close(kernels.render_weights(densities, lengths), expected)


def test_gradients_of_the_definitions_by_finite_differences():
    densities = (random(3, 5).double() * 3).requires_grad_()
    lengths = random(3, 5, seed=1).double()
    assert torch.autograd.gradcheck(lambda d: reference.render_weights(d, lengths), (densities,))
    weights, values = random(3, 5).double().requires_grad_(), random(3, 5, 2, seed=1).double().requires_grad_()
    assert torch.autograd.gradcheck(reference.composite, (weights, values))


COMPOSITES = {
    "random": (random(200, 16), random(200, 16, 7, seed=1) * 2 - 1),
    "no rays": (torch.zeros(0, 16), torch.zeros(0, 16, 3)),
    "no samples": (torch.zeros(5, 0), torch.zeros(5, 0, 3)),
    "no channels": (random(5, 4), torch.zeros(5, 4, 0)),
    "one sample": (random(5, 1), random(5, 1, 3)),
    "one channel": (random(5, 4), random(5, 4, 1)),
    "zero weights": (torch.zeros(5, 4), random(5, 4, 3)),
    "some zero weights": (random(50, 8).round(), random(50, 8, 3)),
    "large": (random(20, 8), random(20, 8, 3) * 1e6),
    "strided": (random(8, 20).T, random(3, 20, 16)[:, :, ::2].permute(1, 2, 0)),
    "expanded": (random(20, 1).expand(20, 8), random(1, 8, 3).expand(20, 8, 3)),
}


def composite_and_gradients(weights, values, gradient, backend):
    weights, values = weights.clone().requires_grad_(), values.clone().requires_grad_()
    with kernels.use(backend):
        out = kernels.composite(weights, values)
        out.backward(gradient)
    return out.detach(), weights.grad, values.grad


@pytest.mark.parametrize(("weights", "values"), COMPOSITES.values(), ids=COMPOSITES.keys())
def test_composite_equals_the_definition(weights, values):
    gradient = (random(values.shape[2], len(weights), seed=2) * 2 - 1).T
    ours = composite_and_gradients(weights, values, gradient, "auto")
    expected = composite_and_gradients(weights.double(), values.double(), gradient.double(), "reference")
    # A sum of n products in float32 is off by n epsilon times the largest of them.
    near = EPSILON * (max(values.shape[1:]) + 2) * max(1.0, float(values.abs().amax() if values.numel() else 0.0))
    for result, exact in zip(ours, expected, strict=True):
        torch.testing.assert_close(result.double(), exact, rtol=0, atol=near)


def test_inputs_as_views_give_the_same_bits():
    weights, values = COMPOSITES["strided"]
    assert torch.equal(kernels.composite(weights, values), kernels.composite(weights.contiguous(), values.contiguous()))
    densities, lengths = RAYS["strided"]
    assert torch.equal(
        kernels.render_weights(densities, lengths), kernels.render_weights(densities.contiguous(), lengths.contiguous())
    )


def test_two_runs_give_the_same_bits():
    densities, lengths = random(5000, 16) * 5, random(5000, 16, seed=1)
    values, gradient = random(5000, 16, 7), random(5000, 7, seed=3)

    def once():
        leaf, content = densities.clone().requires_grad_(), values.clone().requires_grad_()
        out = kernels.composite(kernels.render_weights(leaf, lengths), content)
        out.backward(gradient)
        return out.detach(), leaf.grad, content.grad

    for first, second in zip(once(), once(), strict=True):
        assert torch.equal(first, second)
