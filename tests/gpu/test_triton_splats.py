"""Triton's rasteriser of splats, interpreted, against the definition, forward and backward."""

from __future__ import annotations

import pytest
import torch
from fake_gpu import SUPPORTED, fake_gpu, held
from flat_splats import (
    HEIGHT,
    WIDTH,
    assert_same_names,
    extreme_scenes,
    flattened,
    gaussians,
    scattered_points,
    view,
)

from lerf import kernels
from lerf.kernels.reference_splats import LEAST
from lerf.kernels.types import FlatSplats

pytestmark = pytest.mark.usefixtures("interpreted")
EXTREME = extreme_scenes()
# Interpreted, a heap of 10,000 takes minutes; the definition and numba are compared on it.
HEAP = {name: tensor[:600] for name, tensor in EXTREME.pop("a heap on one pixel").items()}
SCENES = {"random": gaussians(250, 0, 0.3), "small": gaussians(250, 1, 0.03), "a heap on one pixel": HEAP, **EXTREME}
CASES = {
    **SCENES,
    "none": {name: tensor[:0] for name, tensor in gaussians(1).items()},
}


def both(run):
    """What is found by the definition and by Triton."""
    found = []
    for backend in ("reference", "triton"):
        with kernels.use(backend):
            found.append(run())
    return found


def close(found: torch.Tensor, expected: torch.Tensor) -> None:
    """Equal but where an opacity lies so close to `LEAST` that rounding decides whether it counts."""
    apart = (found - expected).abs()
    assert bool(apart.isfinite().all())
    assert apart.numel() == 0 or float((apart > 2e-5).float().mean()) < 2e-3
    assert apart.numel() == 0 or float(apart.max()) <= 1.5 * LEAST


@pytest.mark.parametrize("name", CASES)
def test_pictures(name: str) -> None:
    flat = flattened(CASES[name], view())
    expected, found = both(lambda: kernels.draw_splats(flat, WIDTH, HEIGHT))
    close(found.colour, expected.colour)
    close(found.transmittance, expected.transmittance)
    assert (found.middle != expected.middle).float().mean() < 2e-3


@pytest.mark.parametrize("heaviest", [0, 1, 5])
@pytest.mark.parametrize("name", ["random", "a heap on one pixel", "opaque", "one huge", "none"])
def test_points(name: str, heaviest: int) -> None:
    flat = flattened(CASES[name], view())
    points = scattered_points()
    expected, found = both(lambda: kernels.trace_splats(flat, points, heaviest))
    close(found.colour, expected.colour)
    close(found.transmittance, expected.transmittance)
    assert found.indices.shape == found.weights.shape == (500, heaviest)
    if heaviest:
        close(found.weights, expected.weights)
        assert_same_names(found, expected)


@pytest.mark.parametrize("name", ["random", "a heap on one pixel", "opaque", "behind the camera", "none"])
def test_shares(name: str) -> None:
    flat = flattened(CASES[name], view())
    expected, found = both(lambda: kernels.gather_splats(flat, WIDTH, HEIGHT))
    scale = expected.abs().amax(0).clamp(min=1) if len(expected) else torch.ones(4)
    assert torch.allclose(found / scale, expected / scale, atol=2e-3)
    assert name == "none" or float(found[:, 3].max()) > 0.1


@pytest.mark.parametrize("name", ["random", "a needle", "opaque", "one huge", "a heap on one pixel"])
def test_gradients(name: str) -> None:
    flat, generator = flattened(SCENES[name], view()), torch.Generator().manual_seed(2)
    of_colour = torch.randn(HEIGHT, WIDTH, 3, generator=generator)
    of_light = torch.randn(HEIGHT, WIDTH, generator=generator)

    def slopes() -> list[torch.Tensor]:
        leaves = FlatSplats(*(tensor.detach().clone().requires_grad_() for tensor in flat))
        picture = kernels.draw_splats(leaves, WIDTH, HEIGHT)
        ((picture.colour * of_colour).sum() + (picture.transmittance * of_light).sum()).backward()
        return [leaf.grad for leaf in leaves]

    for expected, found in zip(*both(slopes), strict=True):
        size = expected.square().mean().sqrt()
        assert size > 0
        apart = (found - expected).abs().flatten() / size
        assert float(apart.median()) < 1e-4
        # Where rounding decides whether an opacity at a pixel counts, that pixel's share is missing.
        assert float(apart.quantile(0.98)) < 2e-2


def test_points_in_one_place_need_several_programs() -> None:
    flat = flattened(SCENES["random"], view())
    points = torch.full((10_000, 2), 20.5)
    with kernels.use("triton"):
        found = kernels.trace_splats(flat, points, 3)
    assert bool((found.colour == found.colour[0]).all())
    with kernels.use("reference"):
        expected = kernels.trace_splats(flat, points[:1], 3)
    torch.testing.assert_close(found.colour[:1], expected.colour, rtol=0, atol=1e-5)
    assert torch.equal(found.indices[-1], expected.indices[0])


def test_what_the_kernels_do_not_serve_is_the_definitions() -> None:
    flat = FlatSplats(*(tensor.double() for tensor in flattened(SCENES["random"], view())))
    expected, found = both(lambda: kernels.draw_splats(flat, WIDTH, HEIGHT).colour)
    assert torch.equal(found, expected)


@pytest.mark.skipif(not SUPPORTED, reason="this torch knows no devices of Python's own")
def test_they_serve_a_gpu_and_wait_for_it_a_few_times() -> None:
    """Once for how many pairs of tiles and Gaussians there are; a gradient waits for nothing."""
    flat = flattened({name: tensor[:40] for name, tensor in SCENES["random"].items()}, view())
    expected = kernels.draw_splats(flat, WIDTH, HEIGHT)
    with fake_gpu() as ledger:
        leaves = FlatSplats(*(tensor.to("cuda").requires_grad_() for tensor in flat))
        ledger.clear()
        picture = kernels.draw_splats(leaves, WIDTH, HEIGHT)
        assert sum(ledger.waits.values()) == 1, ledger.waits
        ledger.clear()
        picture.colour.sum().backward()
        assert not ledger.waits
        assert leaves.colours.grad is not None
        close(held(picture.colour), expected.colour)
        ledger.clear()
        kernels.gather_splats(leaves, WIDTH, HEIGHT)
        kernels.trace_splats(leaves, picture.colour.detach()[0, :, :2] * WIDTH, 3)
        assert {"gather_splats", "trace_splats"} <= set(ledger.operations)
        assert sum(ledger.waits.values()) <= 3, ledger.waits
