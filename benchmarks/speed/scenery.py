"""Fields, rays and targets of the sizes to be measured, made up rather than trained: their cost is the same."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from lerf.geometry.camera import Camera
from lerf.geometry.camera_table import CameraTable
from lerf.geometry.rays import RayBundle
from lerf.geometry.traced_rays import TracedRays
from lerf.language.field import LanguageField
from lerf.pyramids.lookup import PyramidTable
from lerf.radiance.hash_grid.field import RadianceField
from lerf.training.radiance import RayBatch
from lerf.training.ray_pool import RayPool
from speed.sizes import Sizes

PHOTOS = 8


def camera(angle: float, width: int, height: int) -> Camera:
    """A camera on a ring of radius 1, looking at the origin."""
    back = np.array([np.cos(angle), np.sin(angle), 0.4])
    back /= np.linalg.norm(back)
    right = np.cross([0.0, 0.0, 1.0], back)
    right /= np.linalg.norm(right)
    pose = np.stack([right, np.cross(back, right), back, back], axis=1)
    return Camera(width, height, float(width), float(width), width / 2, height / 2, pose)


def ring(photos: int, width: int, height: int) -> CameraTable:
    """Cameras around the scene."""
    return CameraTable.from_cameras([camera(2 * np.pi * k / photos, width, height) for k in range(photos)])


def radiance_field(sizes: Sizes) -> RadianceField:
    """A field whose density grid has a solid ball, so that samples gather on a surface as they do after training."""
    torch.manual_seed(0)
    field = RadianceField(sizes.radiance, PHOTOS)
    side = sizes.radiance.grid_side
    axis = (torch.arange(side) + 0.5) / side * 4.0 - 2.0
    distance = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij")).norm(dim=0)
    field.density_grid.copy_(torch.where(distance < 0.5, 50.0, 0.01))
    return field


def language_field(sizes: Sizes, estimator: str = "deferred") -> LanguageField:
    """A field that was supervised everywhere."""
    torch.manual_seed(0)
    from dataclasses import replace

    config = replace(sizes.language, estimator=estimator)  # type: ignore[arg-type]
    field = LanguageField(config, sizes.width, sizes.dense_width, (0.05, 0.6))
    field.bounds.low.fill_(0.01)
    field.bounds.high.fill_(2.0)
    return field


def rays_of(count: int, seed: int = 0) -> RayBundle:
    """Rays of random pixels of the ring's photos."""
    generator = torch.Generator().manual_seed(seed)
    cameras = ring(PHOTOS, 320, 240)
    pixels = torch.rand(count, 2, generator=generator) * torch.tensor([320.0, 240.0])
    return cameras.rays(torch.randint(PHOTOS, (count,), generator=generator), pixels)


def ray_batch(count: int) -> RayBatch:
    """Rays and the colours that photos might show there."""
    rays = rays_of(count)
    return RayBatch(rays, torch.rand(count, 3), torch.ones(count, 3), rays.photo)


def ray_pool(sizes: Sizes, count: int | None = None, photos: int = PHOTOS) -> RayPool:
    """Rays whose light stops on a shell of radius 0.5."""
    generator = torch.Generator().manual_seed(0)
    rays, samples = count or sizes.pool, sizes.language.samples
    surface = 0.5 * F.normalize(torch.randn(rays, 1, 3, generator=generator), dim=-1)
    positions = surface + 0.01 * torch.randn(rays, samples, 3, generator=generator)
    weights = F.normalize(torch.rand(rays, samples, generator=generator), p=1, dim=-1)
    depths = torch.full((rays, samples), 0.6)
    hit = torch.ones(rays, dtype=torch.bool)
    traced = TracedRays(positions, weights, depths, hit, depths[:, 0].clone(), surface[:, 0].clone())
    pixels = torch.rand(rays, 2, generator=generator) * torch.tensor([320.0, 240.0])
    return RayPool(traced, torch.randint(photos, (rays,), generator=generator), pixels, torch.full((rays,), 0.75))


def pyramid(width: int, ratios: tuple[float, ...], photos: int = PHOTOS) -> PyramidTable:
    """Random unit embeddings in the layout of tiles over photos of 320x240."""
    shapes = [[(int(480 / (240 * r)) + 1, int(640 / (240 * r)) + 1) for r in ratios] for _ in range(photos)]
    counts = torch.tensor([[rows * columns for rows, columns in photo] for photo in shapes])
    starts = torch.cat([torch.zeros(1, dtype=torch.long), counts.flatten().cumsum(0)[:-1]]).view(photos, -1)
    generator = torch.Generator().manual_seed(0)
    cells = F.normalize(torch.randn(int(counts.sum()), width, generator=generator), dim=-1).half()
    steps = torch.tensor(ratios)[None, :, None].expand(photos, -1, 2) * 120.0
    return PyramidTable(
        cells, torch.tensor(ratios), starts, torch.tensor(shapes), torch.zeros(photos, len(ratios), 2), steps.clone()
    )


def unit(*shape: int, seed: int = 0) -> torch.Tensor:
    """Random unit vectors."""
    return F.normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1)
