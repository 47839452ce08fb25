"""Sparse points of the drawn scene as a pose tool would give them, and a COLMAP model of them beside a capture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from drawn_scene import GeneratedScene
from scipy.spatial.transform import Rotation

from lerf.scenes.scene import Scene
from lerf.scenes.sparse_points import SparsePoints


def seen_points(drawn: GeneratedScene, scene: Scene, each: int = 40) -> SparsePoints:
    """Points where random pixels of every photo look, each seen by that photo and the next two; errors rise."""
    generator = np.random.default_rng(0)
    positions, pairs = [], []
    for index, photo in enumerate(scene.photos):
        camera = photo.camera
        x, y = generator.uniform(0, camera.width, each), generator.uniform(0, camera.height, each)
        local = np.stack([(x - camera.cx) / camera.fx, (camera.cy - y) / camera.fy, -np.ones(each)], -1)
        directions = local / np.linalg.norm(local, axis=-1, keepdims=True) @ camera.camera_to_world[:, :3].T
        origin = np.broadcast_to(camera.camera_to_world[:, 3], directions.shape)
        hits = drawn.trace(origin, directions)
        met = np.isfinite(hits.distance)
        for point in origin[met] + directions[met] * hits.distance[met, None]:
            pairs += [(len(positions), (index + step) % len(scene)) for step in range(3)]
            positions.append(point)
    errors = np.linspace(0.1, 2.0, len(positions))
    names = tuple(photo.name for photo in scene.photos)
    return SparsePoints(np.array(positions), None, errors, np.array(pairs, np.int64), names)


def write_model(folder: Path, scene: Scene, points: SparsePoints) -> None:
    """A COLMAP model in text: the scene's cameras, and points with their tracks."""
    assert points.observations is not None
    assert points.errors is not None
    folder.mkdir(parents=True)
    camera = scene.photos[0].camera
    optics = f"{camera.width} {camera.height} {camera.fx} {camera.fy} {camera.cx} {camera.cy}"
    (folder / "cameras.txt").write_text(f"1 PINHOLE {optics}\n")
    lines = []
    for number, photo in enumerate(scene.photos, start=1):
        rotation = (photo.camera.camera_to_world[:, :3] * [1.0, -1.0, -1.0]).T
        x, y, z, w = Rotation.from_matrix(rotation).as_quat()
        moved = -rotation @ photo.camera.camera_to_world[:, 3]
        name = photo.name.removeprefix("images/")
        lines += [f"{number} {w} {x} {y} {z} {moved[0]} {moved[1]} {moved[2]} 1 {name}", "1.0 1.0 -1"]
    (folder / "images.txt").write_text("\n".join(lines) + "\n")
    lines = []
    for number, (position, error) in enumerate(zip(points.positions, points.errors, strict=True)):
        seen = points.observations[points.observations[:, 0] == number, 1] + 1
        track = " ".join(f"{photo} 0" for photo in seen.tolist())
        lines.append(f"{number + 1} {position[0]} {position[1]} {position[2]} 0 0 0 {error} {track}")
    (folder / "points3D.txt").write_text("\n".join(lines) + "\n")
