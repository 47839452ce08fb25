"""A capture of a ring of photos with sparse points whose every projection is computed here, independently."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from scene_files import transforms, write_capture

from lerf.scenes import load_scene
from lerf.scenes.scene import Scene
from lerf.scenes.sparse_points import SparsePoints

WIDTH, HEIGHT, FOCAL = 48, 32, 30.0


def ring_scene(folder: Path, photos: int = 24) -> Scene:
    """Pinhole cameras on a ring of radius 2 that look at the origin; photos are noise."""
    document = transforms(photos, WIDTH, HEIGHT, fl_x=FOCAL, fl_y=FOCAL, cx=WIDTH / 2, cy=HEIGHT / 2)
    return load_scene(write_capture(folder, document, WIDTH, HEIGHT))


def seen(pose: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pixels and depths by the textbook: x right, y down, z forwards, a pinhole in the middle."""
    local = (points - pose[:3, 3]) @ pose[:3, :3] * [1, -1, -1]
    return FOCAL * local[:, :2] / local[:, 2:] + [WIDTH / 2, HEIGHT / 2], local[:, 2]


def points_of(scene: Scene, count: int = 300, seed: int = 0, sees: float = 0.5) -> SparsePoints:
    """Points around the origin, each seen by about half of the photos in whose frame it lies."""
    random = np.random.default_rng(seed)
    points = random.normal(0, 0.25, (count, 3))
    pairs, places = [], []
    for index, photo in enumerate(scene.photos):
        pixels, depth = seen(photo.camera.camera_to_world, points)
        inside = (depth > 0) & (pixels > 0).all(1) & (pixels < [WIDTH, HEIGHT]).all(1)
        chosen = np.flatnonzero(inside & (random.random(count) < sees))
        pairs += [(int(point), index) for point in chosen]
        places += (pixels[chosen] / [WIDTH, HEIGHT]).tolist()
    names = tuple(photo.name.removeprefix("images/") for photo in scene.photos)
    colours = random.integers(0, 256, (count, 3), np.uint8)
    return SparsePoints(points, colours, None, np.array(pairs), names, np.array(places))


def mirrored(scene: Scene, axis: int) -> Scene:
    """The scene in a mirrored world whose cameras are right-handed all the same, as exports of left-handed programs:
    F M F, where the second F turns the same axis of the camera round."""
    flip = np.eye(3)
    flip[axis, axis] = -1
    photos = []
    for photo in scene.photos:
        pose = photo.camera.camera_to_world
        turned = np.concatenate([flip @ pose[:, :3] @ flip, flip @ pose[:, 3:]], 1)
        photos.append(replace(photo, camera=replace(photo.camera, camera_to_world=turned)))
    return replace(scene, photos=tuple(photos))
