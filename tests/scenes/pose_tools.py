"""What the tests of readers share: worlds to photograph, photos on disk, this project's projection, public samples."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scene_files import picture, ring, save

from lerf.errors import SceneError
from lerf.geometry.camera import Camera
from lerf.scenes.load import find_poses, read_points, read_scene
from lerf.scenes.scene import Scene
from lerf.scenes.sparse_points import SparsePoints

SHARED = Path(__file__).parents[2].parent / "shared/data/real"
TOLERANCE = 1e-6
"""Pixels by which this project's projection may differ from a tool's formula."""
POINTS = np.random.default_rng(7).uniform(-0.5, 0.5, (40, 3))
"""Of the world that the cameras of `poses` see."""


def poses(count: int = 6) -> list[np.ndarray]:
    """4x4 camera-to-world, OpenGL axes, each turned about its optical axis so that no axis is special."""
    turned = []
    for number, pose in enumerate(ring(count)):
        angle = 0.3 + 0.2 * number
        roll = np.eye(4)
        roll[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        turned.append(pose @ roll)
    return turned


def world_to_camera(pose: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """R and t of x = R X + t with x right, y down, z forwards, from a pose with OpenGL axes."""
    rotation = (pose[:3, :3] * [1.0, -1.0, -1.0]).T
    return rotation, -rotation @ pose[:3, 3]


def write_photos(folder: Path, names: Iterable[str], size: tuple[int, int] = (60, 40)) -> None:
    """A photo of noise for each name, in PNG whatever its extension says."""
    for number, name in enumerate(names):
        save(folder / name, picture(*size, number), format="PNG")


def write_samples_photos(folder: Path, names: Iterable[str], size: tuple[int, int]) -> None:
    """Black photos for each name, of which only the header matters."""
    for name in names:
        place = folder / PurePosixPath(name).name
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.new("1", size).save(place, format="PNG")


def loaded(folder: Path, reader: str) -> Scene:
    """The scene in a folder, at full size, which the reader of this name has to find first."""
    found = find_poses(folder)
    assert found, "nothing was found"
    assert found[0][0].name == reader
    scene = read_scene(folder, 1)
    assert scene.metadata["format"] == reader
    return scene


def refused(folder: Path) -> str:
    """The sentence with which a folder is refused."""
    with pytest.raises(SceneError) as raised:
        read_scene(folder, 1)
    sentence = str(raised.value)
    assert len(sentence.replace(str(folder), "")) <= 300
    assert sentence.endswith(".")
    return sentence


def points_of(scene: Scene) -> SparsePoints:
    """The scene's points, which it has to have."""
    points = read_points(scene)
    assert points is not None
    return points


def camera_of(scene: Scene, name: str) -> Camera:
    """The camera of the photo whose name ends so."""
    (photo,) = (photo for photo in scene.photos if photo.name.endswith(name))
    return photo.camera


def project(camera: Camera, points: np.ndarray) -> np.ndarray:
    """Where this project's camera sees points, in pixels whose centres are at +0.5."""
    pose = camera.camera_to_world
    local = (points - pose[:, 3]) @ pose[:, :3]
    plane = local[:, :2] * [1.0, -1.0] / -local[:, 2:]
    return camera.distort(plane) * [camera.fx, camera.fy] + [camera.cx, camera.cy]


def sample(*parts: str) -> Path:
    """A public sample, or a visible skip."""
    place = SHARED.joinpath(*parts)
    if not place.exists():
        pytest.skip(f"no public sample at {place}")
    return place


def same(ours: Any, theirs: Any) -> float:
    """The largest difference in pixels, which is asserted to be at most `TOLERANCE`."""
    difference = float(np.abs(np.asarray(ours) - np.asarray(theirs)).max())
    assert difference <= TOLERANCE
    return difference
