"""The rasteriser of splats against its definition, and the definition against what can be worked out by hand."""

import math

import pytest
import torch
from flat_splats import (
    HEIGHT,
    WIDTH,
    assert_same_names,
    extreme_scenes,
    flattened,
    gaussians,
    one,
    scattered_points,
    view,
)

from lerf import kernels
from lerf.kernels.reference_splats import DILATION, LEAST, MOST, rotations
from lerf.kernels.types import FlatSplats, SplatView

SCENES = {
    **{f"random {seed}": gaussians(400, seed, 0.3 * 0.3**seed) for seed in range(3)},
    **extreme_scenes(),
}


def close(found: torch.Tensor, expected: torch.Tensor, within: float = 1e-4) -> None:
    """Equal but where an opacity lies so close to `LEAST` that rounding decides whether it counts."""
    apart = (found - expected).abs()
    assert bool(apart.isfinite().all())
    assert float((apart > within).float().mean()) < 2e-3
    assert apart.numel() == 0 or float(apart.max()) <= 1.5 * LEAST


@pytest.mark.parametrize("name", SCENES)
def test_projection(name: str) -> None:
    parts, camera = SCENES[name], view()
    arguments = parts["means"], parts["quaternions"], parts["scales"], camera
    doubles = [tensor.double() for tensor in arguments[:3]]
    wide = view(dtype=torch.float64)
    with kernels.use("reference"):
        centres, whitening, depths = kernels.project_splats(*doubles, wide)
    found = kernels.project_splats(*arguments)
    seen = depths > camera.near
    assert torch.allclose(found[2].double(), depths, atol=1e-5)
    assert torch.allclose(found[0][seen].double(), centres[seen], rtol=1e-5, atol=1e-3)
    assert torch.allclose(found[1][seen].double(), whitening[seen], rtol=1e-4, atol=1e-7)


def test_projection_of_a_small_one_is_the_lens_law() -> None:
    """Before the lens, the standard deviation on the picture is that in space times focal over depth."""
    camera = view()._replace(rotation=torch.eye(3))
    parts = one(mean=(0.1, -0.2, 2.0), scales=(0.02, 0.05, 0.9))
    centres, whitening, depths = kernels.project_splats(parts["means"], parts["quaternions"], parts["scales"], camera)
    assert depths.tolist() == [6.0]
    assert centres[0].tolist() == pytest.approx(camera.centre)
    wide = [math.sqrt((s * camera.focal[0] / 6) ** 2 + DILATION) for s in (0.02, 0.05)]
    assert whitening[0].tolist() == pytest.approx([1 / wide[0], 0, 1 / wide[1]], abs=1e-6)


def test_whitening_is_that_of_the_projected_covariance() -> None:
    parts, camera = gaussians(50, 3), view(dtype=torch.float64)
    means, quaternions, scales = (parts[name].double() for name in ("means", "quaternions", "scales"))
    _, whitening, depths = kernels.project_splats(means, quaternions, scales, camera)
    local = (means - camera.position) @ camera.rotation.T
    x, y, z = local.unbind(-1)
    x, y = (z * (p / z).clamp(-1.3 * r, 1.3 * r) for p, r in zip((x, y), camera.reach, strict=True))
    zero, f = torch.zeros_like(z), camera.focal[0]
    jacobian = torch.stack([f / z, zero, -f * x / z**2, zero, f / z, -f * y / z**2], -1).view(-1, 2, 3)
    turned = jacobian @ camera.rotation @ rotations(quaternions) * scales[:, None]
    covariance = turned @ turned.mT + DILATION * torch.eye(2, dtype=torch.float64)
    a, b, c = whitening.unbind(-1)
    own = torch.stack([a, b, torch.zeros_like(a), c], -1).view(-1, 2, 2)
    ahead = depths > camera.near
    assert torch.allclose((own.mT @ own)[ahead], torch.linalg.inv(covariance)[ahead], rtol=1e-9)


@pytest.mark.parametrize("name", SCENES)
def test_pictures(name: str) -> None:
    flat = flattened(SCENES[name], view())
    with kernels.use("reference"):
        expected = kernels.draw_splats(flat, WIDTH, HEIGHT)
    found = kernels.draw_splats(flat, WIDTH, HEIGHT)
    close(found.colour, expected.colour)
    close(found.transmittance, expected.transmittance)
    assert (found.middle != expected.middle).float().mean() < 2e-3


@pytest.mark.parametrize("heaviest", [0, 1, 5])
@pytest.mark.parametrize("name", SCENES)
def test_points(name: str, heaviest: int) -> None:
    flat = flattened(SCENES[name], view())
    points = scattered_points()
    with kernels.use("reference"):
        expected = kernels.trace_splats(flat, points, heaviest)
    found = kernels.trace_splats(flat, points, heaviest)
    close(found.colour, expected.colour)
    close(found.transmittance, expected.transmittance)
    assert found.indices.shape == found.weights.shape == (500, heaviest)
    if heaviest:
        close(found.weights, expected.weights)
        assert_same_names(found, expected)


@pytest.mark.parametrize("name", SCENES)
def test_shares(name: str) -> None:
    flat = flattened(SCENES[name], view())
    with kernels.use("reference"):
        expected = kernels.gather_splats(flat, WIDTH, HEIGHT)
        picture = kernels.draw_splats(flat, WIDTH, HEIGHT)
    found = kernels.gather_splats(flat, WIDTH, HEIGHT)
    scale = expected.abs().amax(0).clamp(min=1) if len(expected) else torch.ones(4)
    assert torch.allclose(found / scale, expected / scale, atol=2e-3)
    # All light that is stopped is somebody's.
    assert float(found[:, 0].sum()) == pytest.approx(float((1 - picture.transmittance).sum()), rel=1e-3, abs=1e-3)


def test_no_points() -> None:
    flat = flattened(gaussians(5), view())
    for backend in ("reference", "cpu"):
        with kernels.use(backend):
            seen = kernels.trace_splats(flat, torch.zeros(0, 2), 3)
        assert seen.colour.shape == (0, 3)
        assert seen.indices.shape == (0, 3)


@pytest.mark.parametrize("backend", ["reference", "cpu"])
def test_by_hand(backend: str) -> None:
    """Two Gaussians at the centre of a pixel: the nearer one stops its opacity, the other that of the rest."""
    flat = FlatSplats(
        torch.tensor([[8.5, 8.5], [8.5, 8.5], [8.5, 8.5]]),
        torch.tensor([[1.0, 0, 1.0], [0.5, 0.1, 0.5], [0.01, 0, 0.01]]),
        torch.tensor([0.3, 0.5, 1.0]),
        torch.tensor([[1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0]]),
    )
    with kernels.use(backend):
        picture = kernels.draw_splats(flat, 20, 20)
        seen = kernels.trace_splats(flat, torch.tensor([[8.5, 8.5], [10.5, 9.5]]), 2)
    assert picture.colour[8, 8].tolist() == pytest.approx([0.3, 0.35, 0.35 * MOST], abs=1e-5)
    assert float(picture.transmittance[8, 8]) == pytest.approx(0.35 * (1 - MOST), abs=1e-5)
    assert int(picture.middle[8, 8]) == 1
    first = 0.3 * math.exp(-0.5 * (2**2 + 1**2))
    second = (1 - first) * 0.5 * math.exp(-0.5 * (1.1**2 + 0.5**2))
    assert seen.colour[1, :2].tolist() == pytest.approx([first, second], abs=1e-5)
    assert seen.indices.tolist() == [[1, 2], [2, 1]]
    assert seen.weights[0].tolist() == pytest.approx([0.35, 0.35 * MOST], abs=1e-5)


@pytest.mark.parametrize("name", ["random 0", "random 1", "random 2", "a needle", "opaque", "one huge"])
def test_gradients(name: str) -> None:
    """Of a picture by numba, with those of the definition by autograd, in every number of every Gaussian."""
    flat, generator = flattened(SCENES[name], view()), torch.Generator().manual_seed(2)
    of_colour = torch.randn(HEIGHT, WIDTH, 3, generator=generator)
    of_light = torch.randn(HEIGHT, WIDTH, generator=generator)
    gradients = []
    for backend in ("reference", "cpu"):
        leaves = FlatSplats(*(tensor.detach().clone().requires_grad_() for tensor in flat))
        with kernels.use(backend):
            picture = kernels.draw_splats(leaves, WIDTH, HEIGHT)
        ((picture.colour * of_colour).sum() + (picture.transmittance * of_light).sum()).backward()
        gradients.append([leaf.grad for leaf in leaves])
    for expected, found in zip(*gradients, strict=True):
        size = expected.square().mean().sqrt()
        assert size > 0
        apart = (found - expected).abs().flatten() / size
        assert float(apart.median()) < 1e-4
        # Where rounding decides whether an opacity at a pixel counts, that pixel's share is missing.
        assert float(apart.quantile(0.98)) < 2e-2


def test_gradients_go_through_the_projection() -> None:
    parts = {name: tensor.clone().requires_grad_() for name, tensor in gaussians(30, 4, 0.3).items()}
    picture = kernels.draw_splats(flattened(parts, view()), WIDTH, HEIGHT)
    picture.colour.square().sum().backward()
    for name, tensor in parts.items():
        assert tensor.grad is not None, name
        assert bool(tensor.grad.isfinite().all()), name
        assert float(tensor.grad.abs().max()) > 0, name


def test_a_view_from_elsewhere_is_the_same_picture() -> None:
    """Gaussians and camera turned together: nothing changes."""
    parts, camera = gaussians(200, 9, 0.2), view()
    turn = torch.tensor([[0.36, 0.48, -0.8], [-0.8, 0.6, 0.0], [0.48, 0.64, 0.6]])
    from lerf.geometry.quaternions import turned_quaternions

    moved = {**parts, "means": parts["means"] @ turn.T}
    moved["quaternions"] = torch.from_numpy(
        turned_quaternions(turn.double().numpy(), parts["quaternions"].double().numpy())
    ).float()
    there = SplatView(camera.rotation @ turn.T, turn @ camera.position, *camera[2:])
    one_way, other = (
        kernels.draw_splats(flattened(of, seen), WIDTH, HEIGHT) for of, seen in ((parts, camera), (moved, there))
    )
    close(one_way.colour, other.colour)


@pytest.mark.parametrize("name", SCENES)
def test_gradients_of_the_projection(name: str) -> None:
    """By numba, with those of the definition by autograd, of Gaussians beyond the near plane."""
    generator = torch.Generator().manual_seed(3)
    parts = [SCENES[name][key] for key in ("means", "quaternions", "scales")]
    slopes = [torch.randn(len(parts[0]), *shape, generator=generator) for shape in ((2,), (3,), ())]
    gradients = []
    for backend, dtype in (("reference", torch.float64), ("cpu", torch.float32)):
        leaves = [part.to(dtype).clone().requires_grad_() for part in parts]
        with kernels.use(backend):
            found = kernels.project_splats(*leaves, view(dtype=dtype))
        ahead = found[2].detach() > view().near
        sum(
            (values[ahead] * slope[ahead].to(dtype)).sum() for values, slope in zip(found, slopes, strict=True)
        ).backward()
        gradients.append([leaf.grad.double() for leaf in leaves])
    for expected, own in zip(*gradients, strict=True):
        assert bool(own.isfinite().all())
        size = expected.abs().amax(-1, keepdim=True).clamp(min=1e-9)
        assert float(((own - expected).abs() / size).max()) < 1e-4


@pytest.mark.parametrize("name", SCENES)
def test_what_a_window_shows(name: str) -> None:
    """The same Gaussians as by the definition, front to back, equal depths in their order."""
    parts, camera = SCENES[name], view()
    parts = {key: torch.cat([tensor, tensor[:7]]) for key, tensor in parts.items()}
    centres, whitening, depths = kernels.project_splats(parts["means"], parts["quaternions"], parts["scales"], camera)
    flat, window = FlatSplats(centres, whitening, parts["opacities"], parts["colours"]), (3.0, 2.0, 41.0, 30.0)
    with kernels.use("reference"):
        expected = kernels.seen_splats(flat, depths, window, camera.near)
    assert torch.equal(kernels.seen_splats(flat, depths, window, camera.near), expected)
    assert name == "all behind" or len(expected)


@pytest.mark.parametrize("degree", range(4))
def test_colours_and_their_gradients(degree: int) -> None:
    generator = torch.Generator().manual_seed(degree)
    means = torch.randn(300, 3, generator=generator)
    coefficients = torch.randn(300, (degree + 1) ** 2, 3, generator=generator)
    which = torch.randperm(300, generator=generator)[:200]
    slope, position = torch.randn(200, 3, generator=generator), torch.tensor([0.3, -0.1, 2.0])
    outcomes = []
    for backend in ("reference", "cpu"):
        leaf = coefficients.clone().requires_grad_()
        with kernels.use(backend):
            found = kernels.splat_colours(leaf, means, which, position)
        (found * slope).sum().backward()
        outcomes.append((found.detach(), leaf.grad))
    for expected, own in zip(*outcomes, strict=True):
        assert torch.allclose(own, expected, atol=2e-5)
    assert bool((outcomes[0][0] == 0).any())
