"""The spheres of `analytic.py` as Gaussians: flat ones that lie on every surface in its colour."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
from analytic import AnalyticCapture
from jaxtyping import Float

from lerf.geometry.harmonics import CONSTANT
from lerf.splats.splats import Splats, new_splats

SPACING = 0.11
"""Between Gaussians, capture units; the spheres have radii of 1 to 1.4."""


def splat_of(capture: AnalyticCapture, spacing: float = SPACING) -> Splats:
    """Gaussians in the capture frame; the last column says whose they are: the number of a sphere, or -1."""
    parts = []
    up = np.array([0.0, 0.0, 1.0])
    for number, sphere in enumerate(capture.spheres):
        normals = _directions(round(4 * np.pi * sphere.radius**2 / spacing**2))
        light = 0.7 + 0.3 * (normals @ up)
        parts.append((sphere.centre + sphere.radius * normals, normals, light[:, None] * sphere.colour, number))
    radius = capture.floor.radius
    grid = np.stack(np.meshgrid(*[np.arange(-radius, radius, spacing)] * 2), -1).reshape(-1, 2)
    grid = grid[np.hypot(*grid.T) < radius - spacing]
    floor = np.column_stack([grid, np.zeros(len(grid))]) + capture.floor.centre
    parts.append((floor, np.broadcast_to(up, floor.shape), np.full(floor.shape, 0.6), -1))
    means, normals, colours = (np.concatenate([part[at] for part in parts]) for at in range(3))
    owners = np.concatenate([np.full(len(part[0]), part[3]) for part in parts])
    flat = np.log([0.7 * spacing, 0.7 * spacing, 0.05 * spacing])
    splats = new_splats(
        means, np.broadcast_to(flat, means.shape), _upright(normals), np.full(len(means), 4.0),
        ((colours - 0.5) / CONSTANT)[:, None], normals,
    )  # fmt: skip
    return splats.with_columns({"owner": owners.astype(np.int32)})


def write_capture(capture: AnalyticCapture, folder: Path) -> Path:
    """The photos of the spheres with their cameras as a transforms.json, in a new folder."""
    folder.mkdir()
    frames = []
    for photo in capture.scene.photos:
        (folder / "images").mkdir(exist_ok=True)
        shutil.copy(photo.path, folder / photo.name)
        pose = np.vstack([photo.camera.camera_to_world, [0, 0, 0, 1]])
        frames.append({"file_path": photo.name, "transform_matrix": pose.tolist()})
    camera = capture.scene.photos[0].camera
    lens = {"fl_x": camera.fx, "fl_y": camera.fy, "cx": camera.cx, "cy": camera.cy}
    sizes = {"w": camera.width, "h": camera.height, "camera_model": "PINHOLE"}
    (folder / "transforms.json").write_text(json.dumps({**lens, **sizes, "frames": frames}))
    return folder


def _directions(count: int) -> Float[np.ndarray, "n 3"]:
    """Evenly over the sphere: a Fibonacci lattice."""
    height = (2 * np.arange(count) + 1) / count - 1
    angle = np.pi * (1 + 5**0.5) * np.arange(count)
    level = np.sqrt(1 - height**2)
    return np.stack([level * np.cos(angle), level * np.sin(angle), height], -1)


def _upright(normals: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 4"]:
    """Quaternions that turn +z to the normals: the half-way vector between the two, as a turn."""
    w = 1 + normals[:, 2]
    turn = np.column_stack([w, -normals[:, 1], normals[:, 0], np.zeros(len(normals))])
    turn[w < 1e-9] = 0, 1, 0, 0
    return turn
