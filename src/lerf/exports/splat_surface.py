"""Gaussians of a run whose radiance is none: on its traced surface, then refined on the training photos."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import torch
from jaxtyping import Float
from scipy.spatial import cKDTree
from torch import Tensor

from lerf.exports.cloud import SAMPLES, Progress, build_cloud, normals
from lerf.geometry.camera_table import CameraTable, image_pixels
from lerf.geometry.harmonics import CONSTANT
from lerf.kernels.reference_splats import LEAST, rotations
from lerf.model import Model
from lerf.radiance.splats.gaussians import Gaussians
from lerf.radiance.splats.radiance import SplatRadiance
from lerf.splats.splats import Splats, new_splats
from lerf.steps import finish
from lerf.training.splat_views import PhotoViews
from lerf.training.splats import SplatTrainer, SplatTraining

AROUND = 4
"""Nearest points whose mean distance is the spacing of a Gaussian."""
WIDE, FLAT = 0.6, 0.1
"""Standard deviations along the surface and across it, as shares of the spacing."""
OPACITY = 0.95
LARGEST_SPACING = 20.0
"""Times the median spacing, which no Gaussian's exceeds: single points far from others are no walls."""


COARSE = 80
"""Pixels of the longer side of the pictures in which holes between the Gaussians are looked for."""
OPEN = 0.5
"""Share of the light that passes where there is a hole."""
FILLING = 0.7
"""Standard deviation of a Gaussian that fills a hole, in pixels of such a picture."""


@torch.no_grad()
def on_surface(model: Model, points: int, reach: float, progress: Progress) -> Gaussians:
    """Gaussians on the traced surface, flat along it, in its colours and as wide as they stand apart; normalised
    frame, on the CPU. Their third axis is the normal.

    Raises:
        RunError: no surface is sure anywhere.
    """
    cloud = build_cloud(model, points, reach, progress)
    facing = normals(model, cloud, cloud, progress).cpu().double().numpy()
    places = cloud.positions.cpu().numpy()
    distances, _ = cKDTree(places).query(places, k=min(AROUND + 1, len(places)))
    spacing = distances[:, 1:].mean(-1) if len(places) > 1 else np.ones(1)
    spacing = np.clip(spacing, 1e-6, LARGEST_SPACING * np.median(spacing))
    sizes = torch.from_numpy(spacing[:, None] * np.array([WIDE, WIDE, FLAT])).float()
    return _disks(cloud.positions.cpu(), facing, sizes, (cloud.colours.cpu().float() - 0.5) / CONSTANT)


@torch.no_grad()
def filled(model: Model, gaussians: Gaussians, reach: float, progress: Progress) -> Gaussians:
    """The Gaussians, and coarse ones that face the photos where these would see through: what is no sure surface, as
    plain walls, is there nonetheless.

    Args:
        model: the run.
        gaussians: in the normalised frame.
        reach: how far from its origin holes are filled.
        progress: hears of the photos done.
    """
    for done, photo in enumerate(model.scene.train):
        colours = torch.from_numpy(model.scene.pixels(photo, COARSE)).float() / 255
        height, width = colours.shape[:2]
        camera = model.scene.normalised_camera(photo).scaled_to(width, height)
        here, there = (CameraTable.from_cameras([camera], device=device) for device in ("cpu", model.device))
        accumulation = finish(SplatRadiance(gaussians).render(here, 0)).accumulation.flatten()
        holes = torch.nonzero(1 - accumulation > OPEN).flatten()
        pixels = image_pixels(width, height)[holes].to(model.device)
        index = torch.zeros(len(pixels), dtype=torch.int64, device=model.device)
        rays = model.radiance.trace(there, index, pixels, 1, SAMPLES)
        means = rays.median_position.cpu()
        kept = rays.hit.cpu() & (means.norm(dim=-1) <= reach)
        if bool(kept.any()):
            size = FILLING * rays.median_depth.cpu()[kept, None] / here.focal[0].mean() * torch.tensor([1.0, 1.0, FLAT])
            towards = torch.nn.functional.normalize(here.positions[0] - means[kept], dim=-1).double().numpy()
            own = (colours.view(-1, 3)[holes[kept]] - 0.5) / CONSTANT
            gaussians = joined(gaussians, _disks(means[kept], towards, size, own))
        progress("holes", done + 1, len(model.scene.train))
    return gaussians


def joined(one: Gaussians, other: Gaussians) -> Gaussians:
    """Both."""
    return Gaussians(*(torch.cat([getattr(part, field.name) for part in (one, other)]) for field in fields(one)))


def _disks(
    means: Float[Tensor, "n 3"],
    facing: Float[np.ndarray, "n 3"],
    sizes: Float[Tensor, "n 3"],
    colours: Float[Tensor, "n 3"],
) -> Gaussians:
    """Opaque Gaussians whose third axis has a unit direction."""
    turns = torch.nn.functional.normalize(torch.from_numpy(_towards(facing)).float(), dim=-1)
    return Gaussians(means, turns, sizes, torch.full((len(means),), OPACITY), colours[:, None])


def refined(model: Model, gaussians: Gaussians, steps: int, progress: Progress) -> Gaussians:
    """The Gaussians after gradient steps on the training photos, of those that still show any light.

    Raises:
        SceneError: a photo cannot be read.
    """
    trainer = trainer_of(model, gaussians, steps)
    for done in range(steps):
        trainer.step()
        progress("refinement", done + 1, steps)
    found = trainer.gaussians()
    return found[found.opacities >= LEAST]


def trainer_of(model: Model, gaussians: Gaussians, steps: int) -> SplatTrainer:
    """What refines Gaussians on the training photos of a run."""
    return SplatTrainer(gaussians, PhotoViews(model.scene, model.scene.train), SplatTraining(steps))


def capture_splats(model: Model, gaussians: Gaussians) -> Splats:
    """Gaussians of the normalised frame as a table in the capture frame, with their shortest axis as the normal."""
    axes = rotations(gaussians.quaternions)
    shortest = gaussians.scales.argmin(-1)[:, None, None].expand(-1, 3, 1)
    facing = axes.gather(2, shortest).squeeze(-1)
    facing = facing * torch.where((facing * axes[:, :, 2]).sum(-1, keepdim=True) < 0, -1.0, 1.0)
    table = new_splats(
        gaussians.means.double().numpy(), gaussians.scales.log().numpy(), gaussians.quaternions.numpy(),
        torch.logit(gaussians.opacities.double(), eps=1e-9).numpy(), gaussians.harmonics.numpy(), facing.numpy(),
    )  # fmt: skip
    return replace(table.moved(model.scene.similarity.inverse()), comments=("frame capture",))


def _towards(directions: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 4"]:
    """Quaternions that turn +z to unit directions, by the smallest angle."""
    w = 1 + directions[:, 2]
    turns = np.column_stack([w, -directions[:, 1], directions[:, 0], np.zeros(len(directions))])
    turns[w < 1e-6] = 0, 1, 0, 0  # straight down: half a turn about x
    return turns
