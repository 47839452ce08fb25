"""Splats before a camera, ordinary and extreme ones, as the kernels take them."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lerf import kernels
from lerf.kernels.types import FlatSplats, SplatTrace, SplatView

WIDTH, HEIGHT = 70, 45
"""No whole number of tiles."""


def view(width: int = WIDTH, height: int = HEIGHT, dtype: torch.dtype = torch.float32) -> SplatView:
    """A camera at (0, 0, -4) that looks along +z, turned a little."""
    angle = 0.1
    turn = torch.tensor(
        [[math.cos(angle), -math.sin(angle), 0], [math.sin(angle), math.cos(angle), 0], [0, 0, 1]], dtype=dtype
    )
    focal = 0.9 * width
    reach = (width / 2 / focal, height / 2 / focal)
    position = torch.tensor([0.1, -0.2, -4.0], dtype=dtype)
    return SplatView(turn, position, (focal, focal), (width / 2 + 1.3, height / 2 - 0.7), reach, 0.05)


def gaussians(count: int, seed: int = 0, size: float = 0.1) -> dict[str, Tensor]:
    """Means, quaternions, scales, opacities and colours by chance."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    return {
        "means": normal(count, 3),
        "quaternions": torch.nn.functional.normalize(normal(count, 4), dim=-1),
        "scales": size * torch.exp(0.7 * normal(count, 3)),
        "opacities": torch.rand(count, generator=generator),
        "colours": torch.rand(count, 3, generator=generator),
    }


def flattened(parts: dict[str, Tensor], seen_from: SplatView) -> FlatSplats:
    """Gaussians on the plane of a picture, front to back."""
    centres, whitening, depths = kernels.project_splats(
        parts["means"], parts["quaternions"], parts["scales"], seen_from
    )
    ahead = torch.nonzero(depths > seen_from.near).flatten()
    order = ahead[depths[ahead].detach().argsort(stable=True)]
    return FlatSplats(centres[order], whitening[order], parts["opacities"][order], parts["colours"][order])


def one(mean=(0.0, 0.0, 0.0), scales=(0.1, 0.1, 0.1), opacity=0.8, quaternion=(1.0, 0, 0, 0)) -> dict[str, Tensor]:
    """A single red Gaussian."""
    return {
        "means": torch.tensor([mean], dtype=torch.float32),
        "quaternions": torch.nn.functional.normalize(torch.tensor([quaternion], dtype=torch.float32), dim=-1),
        "scales": torch.tensor([scales], dtype=torch.float32),
        "opacities": torch.tensor([opacity]),
        "colours": torch.tensor([[1.0, 0.0, 0.0]]),
    }


def extreme_scenes() -> dict[str, dict[str, Tensor]]:
    """Scenes that try a rasteriser, by what they try."""

    def among(other: dict[str, Tensor], count: int = 60) -> dict[str, Tensor]:
        ordinary = gaussians(count, 5)
        return {name: torch.cat([other[name], values]) for name, values in ordinary.items()}

    heap = gaussians(10_000, 7)
    heap["means"] = heap["means"] * torch.tensor([1e-3, 1e-3, 1.0])
    heap["scales"] = heap["scales"] * 0.01
    thin = gaussians(200, 8)
    thin["scales"] = torch.tensor([1e-5, 1e-5, 1e-5]).expand(200, 3).contiguous()
    return {
        "one huge": among(one(scales=(300.0, 200.0, 100.0), opacity=0.5)),
        "around the camera": among(one(mean=(0, 0, -3.9), scales=(2.0, 2.0, 2.0))),
        "behind the camera": among(one(mean=(0, 0, -5.0), scales=(0.5, 0.5, 0.5))),
        "far to the side": among(one(mean=(40.0, 0, -3.8), scales=(3.0, 3.0, 3.0))),
        "without opacity": among(one(opacity=0.0)),
        "opaque": among(one(opacity=1.0, scales=(2.0, 2.0, 0.1))),
        "a needle": among(one(scales=(30.0, 1e-4, 1e-4), quaternion=(0.9, 0.1, 0.2, 0.3))),
        "flat": among(one(scales=(0.5, 0.5, 0.0), quaternion=(0.7, 0.7, 0.1, 0))),
        "all behind": one(mean=(0, 0, -9.0)),
        "a heap on one pixel": heap,
        "smaller than pixels": thin,
    }


def scattered_points(count: int = 500) -> Tensor:
    """Points in and around the picture, by chance."""
    generator = torch.Generator().manual_seed(1)
    return torch.rand(count, 2, generator=generator) * torch.tensor([1.4 * WIDTH, 1.4 * HEIGHT]) - 10


def assert_same_names(found: SplatTrace, expected: SplatTrace) -> None:
    """The heaviest Gaussians are the same, where no neighbour in the order has nearly the same weight."""
    gaps = torch.nn.functional.pad(expected.weights[:, :-1] - expected.weights[:, 1:], (1, 1), value=1.0)
    sure = torch.minimum(gaps[:, 1:], gaps[:, :-1]) > 1e-3
    assert int((found.indices != expected.indices)[sure].sum()) <= 5e-3 * len(found.indices)
    assert ((found.indices < 0) == (found.weights == 0)).all()
