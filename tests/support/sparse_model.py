"""Sparse points of the drawn scene as a pose tool would give them, and a COLMAP model of them beside a capture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from drawn_scene import GeneratedScene
from scipy.spatial.transform import Rotation

from lerf.scenes.scene import Scene
from lerf.scenes.sparse_points import SparsePoints


def seen_points(drawn: GeneratedScene, scene: Scene, each: int = 40) -> SparsePoints:
    """Points where random pixels of every photo look, seen by that photo and those of the next two that see
    them; reprojection errors rise with a point's number."""
    generator = np.random.default_rng(0)
    positions: list[np.ndarray] = []
    pairs: list[tuple[int, int]] = []
    for index, photo in enumerate(scene.photos):
        camera = photo.camera
        x, y = generator.uniform(0, camera.width, each), generator.uniform(0, camera.height, each)
        local = np.stack([(x - camera.cx) / camera.fx, (camera.cy - y) / camera.fy, -np.ones(each)], -1)
        directions = local / np.linalg.norm(local, axis=-1, keepdims=True) @ camera.camera_to_world[:, :3].T
        origin = np.broadcast_to(camera.camera_to_world[:, 3], directions.shape)
        hits = drawn.trace(origin, directions)
        met = np.isfinite(hits.distance)
        ends = origin[met] + directions[met] * hits.distance[met, None]
        viewers = [(index + step) % len(scene) for step in range(3)]
        seen = np.stack([_sees(drawn, scene, viewer, ends) for viewer in viewers], -1)
        for point, by in zip(ends, seen, strict=True):
            pairs += [(len(positions), viewer) for viewer, sees in zip(viewers, by, strict=True) if sees]
            positions.append(point)
    errors = np.linspace(0.1, 2.0, len(positions))
    names = tuple(photo.name for photo in scene.photos)
    return SparsePoints(np.array(positions), None, errors, np.array(pairs, np.int64), names)


def _pixels(scene: Scene, photo: int, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where points of the capture frame lie in a photo, [points, 2], and how deep, through a pinhole."""
    camera = scene.photos[photo].camera
    local = (points - camera.camera_to_world[:, 3]) @ camera.camera_to_world[:, :3]
    depth = -local[:, 2]
    with np.errstate(divide="ignore", invalid="ignore"):
        at = np.stack([camera.cx + camera.fx * local[:, 0] / depth, camera.cy - camera.fy * local[:, 1] / depth], -1)
    return at, depth


def _sees(drawn: GeneratedScene, scene: Scene, photo: int, points: np.ndarray) -> np.ndarray:
    """Whether points lie in a photo, with nothing before them."""
    camera = scene.photos[photo].camera
    at, depth = _pixels(scene, photo, points)
    origin = np.broadcast_to(camera.camera_to_world[:, 3], points.shape)
    distance = np.linalg.norm(points - origin, axis=1)
    free = drawn.trace(origin, (points - origin) / distance[:, None]).distance >= 0.999 * distance
    inside: np.ndarray = free & (depth > 0) & (at >= 0).all(1) & (at <= (camera.width, camera.height)).all(1)
    return inside


def write_model(folder: Path, scene: Scene, points: SparsePoints) -> None:
    """A COLMAP model in text: the scene's cameras, and points with their tracks and where photos see them."""
    assert points.observations is not None
    assert points.errors is not None
    folder.mkdir(parents=True)
    camera = scene.photos[0].camera
    optics = f"{camera.width} {camera.height} {camera.fx} {camera.fy} {camera.cx} {camera.cy}"
    (folder / "cameras.txt").write_text(f"1 PINHOLE {optics}\n")
    lines: list[str] = []
    tracks: list[list[str]] = [[] for _ in points.positions]
    for index, photo in enumerate(scene.photos):
        rotation = (photo.camera.camera_to_world[:, :3] * [1.0, -1.0, -1.0]).T
        x, y, z, w = Rotation.from_matrix(rotation).as_quat()
        moved = -rotation @ photo.camera.camera_to_world[:, 3]
        name = photo.name.removeprefix("images/")
        seen = points.observations[points.observations[:, 1] == index, 0]
        places = []
        for number, point in enumerate(seen.tolist()):
            (u, v), _ = (each[0] for each in _pixels(scene, index, points.positions[point : point + 1]))
            places.append(f"{u} {v} {point + 1}")
            tracks[point].append(f"{index + 1} {number}")
        lines += [f"{index + 1} {w} {x} {y} {z} {moved[0]} {moved[1]} {moved[2]} 1 {name}", " ".join(places)]
    (folder / "images.txt").write_text("\n".join(lines) + "\n")
    lines = []
    for number, (position, error) in enumerate(zip(points.positions, points.errors, strict=True)):
        track = " ".join(tracks[number])
        lines.append(f"{number + 1} {position[0]} {position[1]} {position[2]} 0 0 0 {error} {track}")
    (folder / "points3D.txt").write_text("\n".join(lines) + "\n")
