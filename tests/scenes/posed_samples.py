"""What tests of readers share: public pose files with photos of the stated names, and this project's projection."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
from PIL import Image

from lerf.geometry.camera import Camera

SAMPLES = Path(__file__).parents[2].parent / "shared/data/real/poses"
LARGEST_ERROR = 1e-6
"""Pixels of the photo's full size by which a projection may differ from the tool's formula."""


def sample(name: str) -> Path:
    """A folder of public pose files, or a visible skip."""
    folder = SAMPLES / name
    if not folder.is_dir():
        pytest.skip(f"the pose files of {name} are not at {folder}")
    return folder


def with_photos(name: str, folder: Path, photos: Iterable[str], size: tuple[int, int]) -> Path:
    """A copy of a sample in `folder`, with a photo of a twentieth of `size` for each name; see `write_small`."""
    shutil.copytree(sample(name), folder, dirs_exist_ok=True)
    write_small(folder, photos, (max(1, round(size[0] / 20)), max(1, round(size[1] / 20))))
    return folder


def write_small(folder: Path, photos: Iterable[str], size: tuple[int, int]) -> None:
    """One plain picture of `size` under many names, as links to one file of each kind."""
    first: dict[str, Path] = {}
    for photo in photos:
        path = folder / photo
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix not in first:
            Image.new("RGB", size, (90, 120, 140)).save(path)
            first[path.suffix] = path
        elif not path.exists():
            os.link(first[path.suffix], path)


def stated_name(file_path: str) -> str:
    """The file name at the end of a path that may be of Windows."""
    return PurePosixPath(file_path.replace("\\", "/")).name


def project(camera: Camera, points: np.ndarray) -> np.ndarray:
    """Where this project's camera sees points of the capture frame: [points, column and row], corner at 0."""
    local = (points - camera.camera_to_world[:, 3]) @ camera.camera_to_world[:, :3]
    plane = np.stack([local[:, 0], -local[:, 1]], 1) / -local[:, 2:]
    return camera.distort(plane) * [camera.fx, camera.fy] + [camera.cx, camera.cy]


def points_before(camera_to_world: np.ndarray, seed: int = 0) -> np.ndarray:
    """Twenty points of the world that a camera with OpenGL axes sees, near and far."""
    generator = np.random.default_rng(seed)
    local = np.column_stack([generator.uniform(-0.3, 0.3, (20, 2)), -np.ones(20)]) * generator.uniform(0.5, 8, (20, 1))
    return local @ np.asarray(camera_to_world)[:3, :3].T + np.asarray(camera_to_world)[:3, 3]


def at_full_size(camera: Camera, size: tuple[int, int]) -> Camera:
    """The camera of a small photo as it is for the photo's full size, which pose files are about."""
    return camera.scaled_to(*size)
