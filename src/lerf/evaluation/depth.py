"""Depth of held-out views, against the sparse points that the capture's pose tool saw in them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from lerf.errors import RunError
from lerf.evaluation.protocol import EvalInputs, EvaluationProtocol, Measured, MeasuredRun
from lerf.geometry.camera_table import CameraTable
from lerf.radiance.protocol import Radiance
from lerf.scenes.inspection.tracks import Tracks, left_for_measuring

LEAST_PHOTOS = 4
"""That must see a point: those that two or three see are wrong too often to be a measure."""
SAMPLES = 64
"""Along a ray: as many as a picture takes."""
NO_DEPTH = 1.0
"""Relative error where most of a ray's light meets nothing."""


def sightings(tracks: Tracks | None, photo: int) -> np.ndarray:
    """Indices of a photo's pairs in `tracks` that measure depth, int64 [pairs]; none where it is not known who sees
    what.

    Points that training may learn from are no measure (`left_for_measuring`).
    """
    if tracks is None or tracks.photo is None or tracks.point is None:
        return np.empty(0, np.int64)
    viewers = np.bincount(tracks.point, minlength=len(tracks))
    sound = (viewers >= LEAST_PHOTOS) & left_for_measuring(len(tracks))
    return np.flatnonzero((tracks.photo == photo) & sound[tracks.point])


def depth_errors(
    radiance: Radiance, cameras: CameraTable, photo: int, points: Float[np.ndarray, "points 3"]
) -> Float[np.ndarray, " errors"]:
    """|rendered - true| / true depth of rays through points that a photo sees, those that lie in the picture.

    Args:
        radiance: what is measured.
        cameras: of the photos, normalised frame.
        photo: index in `cameras`.
        points: of the normalised frame.

    Raises:
        RunError: a rendered depth is not a number.
    """
    device = cameras.positions.device
    pixels, depth = cameras.project(photo, torch.from_numpy(points).float().to(device))
    inside = ((pixels >= 0) & (pixels <= cameras.sizes[photo])).all(-1) & (depth > 0)
    pixels, depth = pixels[inside], depth[inside]
    index = torch.full((len(pixels),), photo, device=device)
    traced = radiance.trace(cameras, index, pixels, 1, SAMPLES)
    errors = (traced.median_depth - depth).abs() / depth
    found: np.ndarray = torch.where(traced.hit, errors, NO_DEPTH).cpu().numpy()
    if not np.isfinite(found).all():
        raise RunError("The run renders depths that are not numbers; train it again.")
    return found


def spread_of(errors: Float[np.ndarray, " errors"]) -> dict[str, Any]:
    """Median and 90th percentile of relative errors, and how many there are."""
    return {
        "depth_error_median": float(np.median(errors)),
        "depth_error_p90": float(np.percentile(errors, 90)),
        "depth_points": len(errors),
    }


class Depth(EvaluationProtocol):
    """The protocol `depth`: the relative error of rendered depth at sparse points in held-out photos.

    Of each held-out photo the rays through the points that it sees are rendered; depth is along the optical axis. All
    points of all photos count alike. Nothing is fitted: poses and points share one frame, and so its scale.
    """

    name = "depth"

    def unsupported_reason(self, inputs: EvalInputs) -> str | None:
        if inputs.other_maps:
            return "maps of another method do not show it"
        if not inputs.scene.test:
            return "the capture has no held-out photos"
        if inputs.tracks is None:
            return inputs.points_trouble or "the capture has no sparse 3D points"
        if not any(len(sightings(inputs.tracks, photo)) for photo in inputs.scene.test):
            return f"no held-out photo is known to see a sparse 3D point that {LEAST_PHOTOS} photos see"
        return None

    def settings(self, inputs: EvalInputs) -> dict[str, Any]:
        return {"depth_least_photos": LEAST_PHOTOS}

    def summary(self, measured: Measured) -> dict[str, Any]:
        assert isinstance(measured, MeasuredRun)
        inputs, model = measured.inputs, measured.model
        tracks = inputs.tracks
        assert tracks is not None
        assert tracks.point is not None
        views, every = [], []
        for done, photo in enumerate(inputs.scene.test):
            measured.progress("depth of held-out views", done, len(inputs.scene.test))
            pairs = sightings(tracks, photo)
            errors = depth_errors(model.radiance, model.cameras, photo, tracks.points[tracks.point[pairs]])
            if len(errors):
                views.append({"photo": inputs.scene.photos[photo].name, **spread_of(errors)})
                every.append(errors)
            measured.progress("depth of held-out views", done + 1, len(inputs.scene.test))
        if not every:
            raise RunError("No sparse point lies in a held-out photo through the run's cameras; train it again.")
        return {**spread_of(np.concatenate(every)), "depth_views": views}
