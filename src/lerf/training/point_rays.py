"""Rays from training photos to sparse points that they see, and how near and how far away these lie.

A point that a photo sees says two things of a field: there is matter at the point, and none before it. How likely a ray
ends there under the field is the loss of depth-supervised NeRF (Deng et al. 2022), here with a box about the point in
place of a bell.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from lerf.geometry.camera_table import CameraTable
from lerf.kernels.reference import distance_of, spacing_of
from lerf.scenes.inspection.tracks import Tracks, left_for_measuring, tracks_of
from lerf.scenes.scene import Scene
from lerf.scenes.sparse_points import SparsePoints

FEWEST_RAYS = 100
"""Pairs of a training photo and a point that it sees; fewer say too little."""
FEWEST_PHOTOS = 2
"""Training photos that must see a point, so that those held out have no part in it."""
BOUND_PERCENT = 0.1
"""Percentiles of the distances, from either end, between which points are believed: single ones are often wrong."""
NEARER, FARTHER = 0.5, 2.0
"""Factors on the nearest and the farthest believed point: points are where there is texture, not all there is."""
INSIDE = 0.02
"""Half length of the box about a point, as a share of its distance."""
PIECES_BEFORE, PIECES_INSIDE = 10, 4
"""Samples of a ray before the box and in it."""


@dataclass(frozen=True)
class StopSamples:
    """Samples of some rays up to a little behind their points."""

    positions: Float[Tensor, "rays samples 3"]
    """Normalised frame."""
    lengths: Float[Tensor, "rays samples"]
    """Of the pieces of a ray that the samples stand for."""
    confidence: Float[Tensor, " rays"]
    """How much each ray counts, 1 in the mean over all."""


@dataclass(frozen=True, eq=False)
class PointRays:
    """Pairs of a training photo and a point that it sees, normalised frame."""

    origins: Float[Tensor, "rays 3"]
    directions: Float[Tensor, "rays 3"]
    """Unit length, from the photo's position to the point."""
    distances: Float[Tensor, " rays"]
    confidence: Float[Tensor, " rays"]
    """exp(-(e / mean e)^2) of the point's reprojection error e, as Deng et al. have it, 1 in the mean."""

    def __len__(self) -> int:
        return len(self.distances)

    def bounds(self) -> tuple[float, float]:
        """Distances between which everything lies that photos see."""
        low, high = np.percentile(self.distances.cpu().numpy(), [BOUND_PERCENT, 100.0 - BOUND_PERCENT])
        return NEARER * float(low), FARTHER * float(high)

    def beyond(self, near: float) -> PointRays:
        """Those whose box lies behind the nearest possible sample."""
        keep = self.distances * (1.0 - INSIDE) > 1.05 * near
        chosen = self.confidence[keep]
        return PointRays(
            self.origins[keep], self.directions[keep], self.distances[keep], chosen / chosen.mean().clamp(min=1e-6)
        )

    def draw(self, count: int, near: float, generator: torch.Generator) -> StopSamples:
        """Random samples along `count` random rays: one in each piece, before the box even in `spacing_of`."""
        device = self.distances.device
        at = torch.randint(len(self), (count,), generator=generator, device=device)
        inside = torch.rand(count, PIECES_BEFORE + PIECES_INSIDE, generator=generator, device=device)
        distance = self.distances[at, None]
        first, last = distance * (1.0 - INSIDE), distance * (1.0 + INSIDE)
        steps = torch.linspace(0.0, 1.0, PIECES_BEFORE + 1, device=device)
        low = spacing_of(torch.full_like(first, near))
        before = distance_of(low + (spacing_of(first) - low) * steps)
        behind = first + (last - first) * torch.linspace(0.0, 1.0, PIECES_INSIDE + 1, device=device)[1:]
        edges = torch.cat([before, behind], -1)
        lengths = edges[:, 1:] - edges[:, :-1]
        along = edges[:, :-1] + inside * lengths
        positions = self.origins[at, None] + self.directions[at, None] * along[..., None]
        return StopSamples(positions, lengths, self.confidence[at])


def point_rays(scene: Scene, points: SparsePoints, cameras: CameraTable) -> PointRays | None:
    """The rays of a scene's training photos; None where it is not known which photo sees which point, or too few do.

    What only held-out photos see has no part in it, nor has what `lerf eval --protocol depth` measures with.
    """
    tracks = tracks_of(scene, points)
    if tracks.photo is None or tracks.point is None:
        return None
    photo, point = _training_pairs(scene, tracks)
    if len(photo) < FEWEST_RAYS:
        return None
    device = cameras.positions.device
    origins = cameras.positions[torch.from_numpy(photo).to(device)]
    to_point = torch.from_numpy(tracks.points[point]).float().to(device) - origins
    distances = to_point.norm(dim=-1)
    confidence = torch.from_numpy(_confidence(tracks)[point]).float().to(device)
    return PointRays(origins, to_point / distances.clamp(min=1e-9)[:, None], distances, confidence)


def _training_pairs(scene: Scene, tracks: Tracks) -> tuple[np.ndarray, np.ndarray]:
    """Photos, and the points that they see, of training photos and of points that enough of these see."""
    assert tracks.photo is not None
    assert tracks.point is not None
    train = np.isin(tracks.photo, scene.train)
    photo, point = tracks.photo[train], tracks.point[train]
    enough = np.bincount(point, minlength=len(tracks))[point] >= FEWEST_PHOTOS
    enough &= ~left_for_measuring(len(tracks))[point]
    return photo[enough], point[enough]


def _confidence(tracks: Tracks) -> Float[np.ndarray, " points"]:
    """Of each point, before it is divided by the mean."""
    if tracks.errors is None:
        return np.ones(len(tracks))
    errors = np.where(np.isfinite(tracks.errors), tracks.errors, np.inf)
    usual = float(np.mean(errors[np.isfinite(errors)])) if np.isfinite(errors).any() else 0.0
    return np.exp(-np.square(errors / max(usual, 1e-9)))
