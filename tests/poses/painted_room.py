"""A corner of a room painted with noise, photographed on an arc: much to match, poses known exactly."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

WIDTH, HEIGHT, FOCAL = 320, 240, 300.0
_TEXELS = 96
"""Texels along two units of a wall."""


def camera_to_world(angle: float) -> Float[np.ndarray, "3 4"]:
    """A camera 2.2 away from the room's corner, which it looks at, OpenGL axes, +z up."""
    position = np.array([1.5 + 1.6 * np.cos(angle), 1.5 + 1.6 * np.sin(angle), 1.1 + 0.2 * np.sin(3 * angle)])
    back = position - [0.4, 0.4, 0.5]
    back /= np.linalg.norm(back)
    right = np.cross([0.0, 0.0, 1.0], back)
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(back, right), back, position], axis=1)


def photograph(pose: Float[np.ndarray, "3 4"], width: int = WIDTH, height: int = HEIGHT) -> UInt8[np.ndarray, "h w 3"]:
    """What a pinhole camera sees of the planes x = 0, y = 0 and z = 0, four samples a pixel."""
    rows, columns = np.mgrid[0 : 2 * height, 0 : 2 * width] / 2.0 + 0.25
    focal = FOCAL * width / WIDTH
    local = np.stack([(columns - width / 2) / focal, -(rows - height / 2) / focal, -np.ones_like(rows)], axis=-1)
    directions = local @ pose[:, :3].T
    with np.errstate(divide="ignore"):
        distances = np.where(directions < 0, -pose[:, 3] / directions, np.inf)
    plane, distance = distances.argmin(-1), distances.min(-1)
    points = pose[:, 3] + np.where(np.isfinite(distance), distance, 0.0)[..., None] * directions
    picture = np.zeros((2 * height, 2 * width, 3))
    for axis in range(3):
        across = np.delete(points, axis, axis=-1) * (_TEXELS / 2.0)
        here = (plane == axis) & np.isfinite(distance)
        x, y = (np.clip(across[..., number], 0, 4 * _TEXELS - 2) for number in (0, 1))
        picture[here] = _painting(axis)[y.astype(int), x.astype(int)][here]
    return picture.reshape(height, 2, width, 2, 3).mean((1, 3)).round().astype(np.uint8)


def write_photos(folder: Path, count: int) -> Path:
    """`count` photos as PNG, and `truth.json` with their poses; returns the folder of the photos."""
    photos = folder / "my photos"
    photos.mkdir(parents=True)
    poses = {}
    for number, angle in enumerate(np.linspace(-0.5, 2.0, count).tolist()):
        poses[f"{number:02d}.png"] = camera_to_world(angle).tolist()
        Image.fromarray(photograph(camera_to_world(angle))).save(photos / f"{number:02d}.png")
    (folder / "truth.json").write_text(json.dumps(poses))
    return photos


def _painting(axis: int) -> UInt8[np.ndarray, "rows columns 3"]:
    generator = np.random.default_rng(axis)
    layers = [
        np.asarray(
            Image.fromarray(generator.integers(0, 255, (side, side, 3), np.uint8)).resize(
                (4 * _TEXELS, 4 * _TEXELS), Image.Resampling.BICUBIC
            ),
            np.float64,
        )
        for side in (_TEXELS // 4, _TEXELS, 4 * _TEXELS)
    ]
    return (0.4 * layers[0] + 0.4 * layers[1] + 0.2 * layers[2]).astype(np.uint8)
