"""Where the photos of a scene see points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from lerf.geometry.camera_table import CameraTable
from lerf.scenes.inspection.tracks import Tracks, spread
from lerf.scenes.scene import Scene

BORDER = 0.05
"""Of a picture's sides by which a point may lie outside and still count as inside: points lie on the border too."""
MOST_PHOTOS, MOST_PAIRS = 200, 500
"""Photos, and points of each, that are looked at."""
MOST_POINTS = 4000
"""Points that are looked for in every photo, where it is not known which photo sees which."""


@dataclass(frozen=True, eq=False)
class Projections:
    """Pairs of a photo and a point that it sees, or may see, through the capture's own cameras."""

    photo: Int[np.ndarray, " pairs"]
    point: Int[np.ndarray, " pairs"]
    depth: Float[np.ndarray, " pairs"]
    """Along the optical axis, normalised units; negative behind the camera."""
    place: Float[np.ndarray, "pairs 2"]
    """Where in the photo the point lands, x and y over width and height; NaN where nowhere."""
    inside: Bool[np.ndarray, " pairs"]
    """Whether it lands in the photo, or next to it by `BORDER`."""
    error: Float[np.ndarray, " errors"] | None
    """Of the pairs of which it is known where the photo saw the point, how far from there it lands, in pixels of the
    listed photo; infinite where it lands nowhere. None where that is not known of any."""


class Projector:
    """The cameras of a scene's photos, in the normalised frame."""

    def __init__(self, scene: Scene) -> None:
        cameras = [scene.normalised_camera(index) for index in range(len(scene))]
        self._table = CameraTable.from_cameras(cameras, device="cpu")
        self._sizes = np.array([(camera.width, camera.height) for camera in cameras], np.float64)

    def project(
        self, photo: int, points: Float[np.ndarray, "points 3"]
    ) -> tuple[Float[np.ndarray, "points 2"], Float[np.ndarray, " points"]]:
        """Places in a photo, x and y over width and height, NaN where there are none; and depths."""
        pixels, depth = self._table.project(photo, torch.from_numpy(points.astype(np.float32)))
        return pixels.numpy().astype(np.float64) / self._sizes[photo], depth.numpy().astype(np.float64)


def is_inside(place: Float[np.ndarray, "points 2"], border: float = 0.0) -> Bool[np.ndarray, " points"]:
    """Which places lie in a picture, or next to it by a share of its sides."""
    inside: Bool[np.ndarray, " points"] = np.all((place >= -border) & (place <= 1 + border), axis=1)
    return inside


def project_tracks(scene: Scene, projector: Projector, tracks: Tracks) -> Projections:
    """A sample of the pairs whose photo is known to see the point; where none are known, of photos and points."""
    if tracks.photo is None or tracks.point is None:
        return _project_all(scene, projector, tracks)
    chosen = [tracks.pairs_of(photo, MOST_PAIRS) for photo in spread(np.unique(tracks.photo), MOST_PHOTOS).tolist()]
    pairs = np.concatenate([*chosen, np.empty(0, np.int64)])
    places, depths = [np.empty((0, 2))], [np.empty(0)]
    for own in chosen:
        place, depth = projector.project(int(tracks.photo[own[0]]), tracks.points[tracks.point[own]])
        places.append(place)
        depths.append(depth)
    place, photo = np.concatenate(places), tracks.photo[pairs]
    return Projections(
        photo, tracks.point[pairs], np.concatenate(depths), place, is_inside(place, BORDER),
        None if tracks.place is None else _errors(scene, photo, place, tracks.place[pairs]),
    )  # fmt: skip


def _errors(scene: Scene, photo: np.ndarray, place: np.ndarray, seen: np.ndarray) -> Float[np.ndarray, " errors"]:
    """`Projections.error` of pairs: [pairs] photos, and [pairs, 2] where points land and where they were seen."""
    sizes = np.array([each.original_size for each in scene.photos], np.float64)
    known = np.isfinite(seen).all(1)
    distance = np.linalg.norm((place[known] - seen[known]) * sizes[photo[known]], axis=1)
    return np.where(np.isfinite(distance), distance, np.inf)


def _project_all(scene: Scene, projector: Projector, tracks: Tracks) -> Projections:
    points = spread(np.arange(len(tracks)), MOST_POINTS)
    photos: Sequence[int] = spread(np.arange(len(scene)), MOST_PHOTOS).tolist()
    found = [projector.project(photo, tracks.points[points]) for photo in photos]
    place = np.concatenate([each[0] for each in found])
    return Projections(
        np.repeat(np.array(photos), len(points)), np.tile(points, len(photos)),
        np.concatenate([each[1] for each in found]), place, is_inside(place), None,
    )  # fmt: skip
