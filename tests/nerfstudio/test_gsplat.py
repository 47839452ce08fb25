"""Pictures of splats beside gsplat's own definition in torch, which nerfstudio's environment brings."""

from __future__ import annotations

import importlib

import ns_commands
import torch
from flat_splats import gaussians, view

from lerf import kernels
from lerf.kernels.types import FlatSplats

ns_commands.require_nerfstudio()
gsplat = importlib.import_module("gsplat.cuda._torch_impl")

COUNT, WIDTH, HEIGHT = 10_000, 160, 120
MOST, LEAST, OPAQUE = 0.999, 1 / 255, 1e-4
"""Opacities and transmittance at which gsplat's kernels cut, version 1.4."""
ROWS = 20


def splats() -> dict[str, torch.Tensor]:
    """With harmonics of degree 3 in place of colours, before a camera that sees most."""
    parts = gaussians(COUNT, 11, 0.03)
    generator = torch.Generator().manual_seed(12)
    coefficients = 0.3 * torch.randn(COUNT, 16, 3, generator=generator)
    return {**parts, "opacities": 0.05 + 0.9 * parts["opacities"], "coefficients": coefficients}


def theirs(parts: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Colour and opacity by gsplat's covariances, projection and harmonics, in doubles, composited pixel by pixel."""
    camera = view(WIDTH, HEIGHT, torch.float64)
    means, quaternions, scales, opacities, coefficients = (
        parts[name].double() for name in ("means", "quaternions", "scales", "opacities", "coefficients")
    )
    covariances, _ = gsplat._quat_scale_to_covar_preci(quaternions, scales, True, False)
    pose = torch.eye(4, dtype=torch.float64)
    pose[:3, :3], pose[:3, 3] = camera.rotation, -camera.rotation @ camera.position
    (fx, fy), (cx, cy) = camera.focal, camera.centre
    lens = torch.tensor([[fx, 0, cx], [0, fy, cy], [0, 0, 1]], dtype=torch.float64)
    radii, centres, depths, conics, _ = gsplat._fully_fused_projection(
        means, covariances, pose[None], lens[None], WIDTH, HEIGHT, 0.3, camera.near
    )
    colours = (gsplat._spherical_harmonics(3, means - camera.position, coefficients) + 0.5).clamp(min=0)
    kept = torch.nonzero(radii[0] > 0).flatten()
    order = kept[depths[0, kept].argsort(stable=True)]
    (a, b, c), centre = conics[0, order].unbind(-1), centres[0, order]
    pictures = []
    for top in range(0, HEIGHT, ROWS):
        y, x = torch.meshgrid(torch.arange(top, top + ROWS) + 0.5, torch.arange(WIDTH) + 0.5, indexing="ij")
        dx, dy = x.flatten()[:, None] - centre[:, 0], y.flatten()[:, None] - centre[:, 1]
        alpha = (opacities[order] * torch.exp(-0.5 * (a * dx**2 + c * dy**2) - b * dx * dy)).clamp(max=MOST)
        alpha = torch.where(alpha < LEAST, 0.0, alpha)
        after = torch.cumprod(1 - alpha, -1)
        # The one that would make a pixel opaque is not counted, nor any behind it.
        alpha = torch.where(after <= OPAQUE, 0.0, alpha)
        weights = alpha * torch.cat([torch.ones_like(after[:, :1]), after[:, :-1]], -1)
        pictures.append(torch.cat([weights @ colours[order], weights.sum(-1, keepdim=True)], -1))
    picture = torch.cat(pictures).view(HEIGHT, WIDTH, 4)
    return picture[..., :3], picture[..., 3]


def ours(parts: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """The same by the kernels."""
    camera = view(WIDTH, HEIGHT)
    centres, whitening, depths = kernels.project_splats(parts["means"], parts["quaternions"], parts["scales"], camera)
    ahead = torch.nonzero(depths > camera.near).flatten()
    order = ahead[depths[ahead].argsort(stable=True)]
    colours = kernels.splat_colours(parts["coefficients"], parts["means"], order, camera.position)
    flat = FlatSplats(centres[order], whitening[order], parts["opacities"][order], colours)
    picture = kernels.draw_splats(flat, WIDTH, HEIGHT)
    return picture.colour, 1 - picture.transmittance


def test_ten_thousand_gaussians_look_the_same() -> None:
    parts = splats()
    (colour, opacity), (expected, covered) = ours(parts), theirs(parts)
    assert 0.3 < float(covered.mean()) < 0.98, "neither empty nor closed"
    for found, wanted in ((colour.double(), expected), (opacity.double(), covered)):
        assert -10 * float((found - wanted).square().mean().log10()) >= 45
    turned = ours({**parts, "quaternions": parts["quaternions"].flip(0)})[0]
    assert -10 * float((turned.double() - expected).square().mean().log10()) < 35, "what is wrong is told"
