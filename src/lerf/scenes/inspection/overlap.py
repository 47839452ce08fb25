"""How many photos see a place, and whether the photos hang together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components

from lerf.scenes.inspection.projection import Projections, Projector, is_inside
from lerf.scenes.inspection.tracks import Tracks, spread
from lerf.scenes.scene import Scene

Source = Literal["tracks", "points", "frusta"]
"""Which photo sees which point is known; or points lie in a photo's frame, hidden or not; or there are no points."""
SHARED = 15
"""Points that two photos must both see to be connected: as many as COLMAP wants to place a photo by another."""
SHARED_VIEW = 1 / 3
"""Where tracks are not known: the share of the places in either photo's frame that lie in the other's."""
THRICE = 3
"""Photos that must see a place for its depth to be certain: two agree on many wrong depths."""
MOST_PRODUCTS = 50_000_000
"""Pairs of photos that see a point in common, over the points that are looked at."""
MOST_PHOTOS = 400
"""Photos whose frames are held against each other."""
DEPTHS = (0.5, 1.0, 2.0)
"""Normalised units from a photo at which places are taken where there are no points; the scene's middle is at 1."""
FARTHEST = 1.001 * DEPTHS[-1]
"""... and within which another photo must have them; a little more, for a photo's own."""
SAME_SIDE = 0.5
"""Cosine of the angle between two photos' rays to a place up to which both see the same of what is there."""
GRID = 3
"""Places along each side of a photo then."""


@dataclass(frozen=True)
class Overlap:
    """What photos have in common."""

    source: Source
    photos_per_place: float
    """Photos that see a place, on average over the places that any photo sees."""
    seen_thrice: float
    """Share of those places that at least `THRICE` photos see."""
    parts: tuple[int, ...] | None
    """Photos in each group that is connected in itself alone, the largest first; None where the capture has too many
    photos to tell without tracks."""
    apart: tuple[int, ...]
    """Photos that are not in the largest group."""
    towards_centre: float
    """Share of the photos in whose frame the middle of the scene lies."""


def overlap_of(scene: Scene, projector: Projector, tracks: Tracks | None, projections: Projections | None) -> Overlap:
    """What the photos of a scene have in common.

    Args:
        scene: the photos.
        projector: its cameras.
        tracks: its sparse points, if it has any.
        projections: of these.
    """
    towards = float(np.mean([_sees_origin(projector, photo) for photo in range(len(scene))]))
    if tracks is not None and tracks.photo is not None and tracks.point is not None and len(tracks.photo):
        point, photo = tracks.point, tracks.photo
        points, tracked = np.unique(point, return_counts=True)
        most = max(1, int(MOST_PRODUCTS / np.square(tracked, dtype=np.float64).mean()))
        chosen = np.isin(point, spread(points, most))
        seen = _incidence(point[chosen], photo[chosen], len(scene))
        return _overlap("tracks", seen, np.arange(len(scene)), len(scene), towards)
    chosen_photos = spread(np.arange(len(scene)), MOST_PHOTOS)
    if tracks is not None and tracks.photo is None and projections is not None and projections.inside.any():
        use = projections.inside
        photos = np.unique(projections.photo)
        row = np.searchsorted(photos, projections.photo[use])
        seen = _incidence(projections.point[use], row, len(photos))
        return _overlap("points", seen, photos, len(scene), towards)
    found = [_places_before(scene, photo) for photo in chosen_photos.tolist()]
    places, sides = (np.concatenate(each) for each in zip(*found, strict=True))
    inside = np.stack([_sees(scene, projector, photo, places, sides) for photo in chosen_photos.tolist()], 1)
    return _overlap("frusta", csr_array(inside.astype(np.int32)), chosen_photos, len(scene), towards)


def _overlap(source: Source, seen: csr_array, photos: np.ndarray, of: int, towards: float) -> Overlap:
    """
    Args:
        source: of `seen`.
        seen: 1 where a place (row) is seen by a photo (column).
        photos: of the columns.
        of: photos of the scene.
        towards: see `Overlap.towards_centre`.
    """
    counts = np.asarray(seen.sum(1)).ravel()
    counts = counts[counts > 0] * (of / len(photos))
    own = np.asarray(seen.sum(0)).ravel()
    shared = (seen.T @ seen).tocoo()
    fewer = np.minimum(own[shared.row], own[shared.col])
    # Of a photo with few points all, where tracks are known.
    needed = np.minimum(fewer, SHARED) if source == "tracks" else SHARED_VIEW * fewer
    linked = shared.data >= np.maximum(needed, 1)
    ends = shared.row[linked], shared.col[linked]
    graph = coo_array((np.ones(int(linked.sum()), np.int8), ends), shape=shared.shape)
    number, label = connected_components(graph, directed=False)
    sizes = np.bincount(label, minlength=number)
    whole = len(photos) == of
    apart = photos[label != sizes.argmax()] if whole else photos[:0]
    return Overlap(
        source,
        float(counts.mean()) if len(counts) else 0.0,
        float((counts >= THRICE).mean()) if len(counts) else 0.0,
        tuple(sorted(sizes.tolist(), reverse=True)) if whole else None,
        tuple(apart.tolist()),
        towards,
    )


def _incidence(place: np.ndarray, photo: np.ndarray, photos: int) -> csr_array:
    places, row = np.unique(place, return_inverse=True)
    ones = np.ones(len(row), np.int32)
    return coo_array((ones, (row.ravel(), photo)), shape=(len(places), photos)).tocsr()


def _sees_origin(projector: Projector, photo: int) -> bool:
    place, depth = projector.project(photo, np.zeros((1, 3)))
    return bool(is_inside(place)[0] and depth[0] > 0)


def _sees(scene: Scene, projector: Projector, photo: int, places: np.ndarray, sides: np.ndarray) -> np.ndarray:
    """Which places lie in a photo's frame, from the side that another photo sees them from, and no farther away than
    places are taken: farther ones it shows too small, and sees past what stands in between.

    Args:
        scene: the photos.
        projector: their cameras.
        photo: that may see them.
        places: [places, 3], normalised frame.
        sides: directions of the other photo's rays to them, [places, 3], of unit length.
    """
    place, depth = projector.project(photo, places)
    ray = places - scene.normalised_camera(photo).camera_to_world[:, 3]
    along = (ray * sides).sum(1) >= SAME_SIDE * np.linalg.norm(ray, axis=1)
    return is_inside(place) & (depth > 0) & (depth <= FARTHEST) & along


def _places_before(scene: Scene, photo: int) -> tuple[np.ndarray, np.ndarray]:
    """Places in a photo's frame at `DEPTHS`, normalised frame, and the unit directions of its rays to them."""
    camera = scene.normalised_camera(photo)
    along = (np.arange(GRID) + 0.5) / GRID
    x, y = np.meshgrid(along * camera.width, along * camera.height)
    plane = camera.undistort(np.stack([(x - camera.cx) / camera.fx, (y - camera.cy) / camera.fy], -1).reshape(-1, 2))
    plane = plane[np.isfinite(plane).all(1)]
    ahead = np.concatenate([plane * [1, -1], -np.ones((len(plane), 1))], 1) @ camera.camera_to_world[:, :3].T
    places = np.concatenate([ahead * depth for depth in DEPTHS]) + camera.camera_to_world[:, 3]
    sides = np.tile(ahead / np.linalg.norm(ahead, axis=1, keepdims=True), (len(DEPTHS), 1))
    return places, sides
