"""The 3D points of a COLMAP model beside poses that were made from it.

transforms.json of nerfstudio and instant-ngp comes from a COLMAP model, turned, centred and scaled; the model's points
say how good the poses are and where surfaces are, and know which photos see them, as a PLY file does not. Where the
cameras of both agree up to a similarity, the points are taken through it.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from lerf.errors import SceneError
from lerf.files import resolved
from lerf.geometry.similarity import Similarity, similarity_between
from lerf.scenes.listing import Listing
from lerf.scenes.pose_checks import check_poses
from lerf.scenes.readers import colmap
from lerf.scenes.sparse_points import SparsePoints

MODEL_POINTS = "model_points"
"""Entry of `Scene.metadata` with the similarity that takes the points in `Scene.points_path` to the capture frame."""
LEAST_PHOTOS = 3
"""Photos that both must pose."""
SAME_PLACE, SAME_DIRECTION = 1e-3, 2e-3
"""How far cameras may be apart, over the spread of all, and how far turned, in radians, to be the same."""


def with_model_points(listing: Listing, model: Path, root: Path) -> Listing:
    """A listing whose points are those of a COLMAP model beside it, where the cameras of both agree.

    Without points, or with other cameras, the listing stays as it is; a model that cannot be read is that of nobody.

    Args:
        listing: of another format.
        model: what the reader of COLMAP found.
        root: the capture's folder.
    """
    try:
        other = colmap.READER.read(model, root)
    except SceneError:
        return listing
    frame = None if other.points_path is None else _between(other, listing)
    if frame is None:
        return listing
    metadata: dict[str, Any] = {**listing.metadata, MODEL_POINTS: frame.to_dict()}
    return replace(listing, points_path=other.points_path, metadata=metadata)


def read_model_points(path: Path, frame: dict[str, Any]) -> SparsePoints:
    """The points in a file of a COLMAP model, in the frame that `MODEL_POINTS` leads to.

    Raises:
        SceneError: the file is damaged.
    """
    assert colmap.READER.points is not None
    points = colmap.READER.points(path)
    return replace(points, positions=Similarity.from_dict(frame).apply_points(points.positions))


def _between(model: Listing, listing: Listing) -> Similarity | None:
    """The similarity from a model's frame to that of a listing; None where their cameras do not agree."""
    own = {resolved(shot.path): shot for shot in listing.shots}
    pairs = [(shot, own[place]) for shot in model.shots if (place := resolved(shot.path)) in own]
    if len(pairs) < LEAST_PHOTOS:
        return None
    sides = zip(*pairs, strict=True)
    checked = [check_poses([shot.pose for shot in side], [shot.name for shot in side]) for side in sides]
    if any(found.problems for found in checked):
        return None
    first, second = (found.poses for found in checked)
    frame = similarity_between(first, second)
    if frame is None:
        return None
    moved = frame.apply_poses(first)
    spread = np.linalg.norm(np.ptp(second[:, :, 3], axis=0))
    apart = np.linalg.norm(moved[:, :, 3] - second[:, :, 3], axis=1).max()
    turned = np.abs(moved[:, :, :3] - second[:, :, :3]).max()
    return frame if apart <= SAME_PLACE * spread and turned <= SAME_DIRECTION else None
