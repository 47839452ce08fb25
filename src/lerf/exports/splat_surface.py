"""Gaussians of a run whose radiance is none: on its traced surface, then refined on the training photos."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from scipy.spatial import cKDTree

from lerf.exports.cloud import Progress, build_cloud, normals
from lerf.geometry.harmonics import CONSTANT
from lerf.kernels.reference_splats import LEAST, rotations
from lerf.model import Model
from lerf.radiance.splats.gaussians import Gaussians
from lerf.splats.splats import Splats, new_splats
from lerf.training.splat_views import PhotoViews
from lerf.training.splats import SplatTrainer, SplatTraining

AROUND = 4
"""Nearest points whose mean distance is the spacing of a Gaussian."""
WIDE, FLAT = 0.6, 0.1
"""Standard deviations along the surface and across it, as shares of the spacing."""
OPACITY = 0.95
LARGEST_SPACING = 20.0
"""Times the median spacing, which no Gaussian's exceeds: single points far from others are no walls."""


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
    turns = torch.nn.functional.normalize(torch.from_numpy(_towards(facing)).float(), dim=-1)
    colours = (cloud.colours.cpu() - 0.5) / CONSTANT
    return Gaussians(
        cloud.positions.cpu(), turns, sizes, torch.full((len(cloud),), OPACITY), colours[:, None].float()
    )


def refined(model: Model, gaussians: Gaussians, steps: int, progress: Progress) -> Gaussians:
    """The Gaussians after gradient steps on the training photos, of those that still show any light.

    Raises:
        SceneError: a photo cannot be read.
    """
    trainer = SplatTrainer(gaussians, PhotoViews(model.scene, model.scene.train), SplatTraining(steps))
    for done in range(steps):
        trainer.step()
        progress("refinement", done + 1, steps)
    found = trainer.gaussians()
    return found[found.opacities >= LEAST]


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
