"""A small drawn scene whose geometry is known.

Two spheres and two boxes stand on a chequered floor before a wall, photographed on an arc. Colours are Lambert-shaded
and softly textured, so that there is something to match at every scale. Units and axes: +z is up, the floor is z = 0,
the wall is y = 1.4, the solids lie about half a unit from the origin.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float, Int
from PIL import Image

from lerf.errors import ConfigError
from lerf.files import write_atomically

FLOOR, WALL = -1, -2
"""Owners of hits that are no solid."""
WALL_Y = 1.4
LIGHT = np.array([0.35, -0.6, 0.72]) / np.linalg.norm([0.35, -0.6, 0.72])
"""Direction towards the lamp."""
AMBIENT = 0.5
CENTRE = np.array([0.0, 0.0, 0.25])
"""What every camera looks at."""
DISTANCE, FIELD_OF_VIEW = 2.0, np.deg2rad(50.0)


@dataclass(frozen=True)
class Solid:
    """A sphere, or a box along the axes."""

    name: str
    """Colour and kind, for example "red sphere"."""
    kind: Literal["sphere", "box"]
    centre: tuple[float, float, float]
    half: tuple[float, float, float]
    """Half of the sides; a sphere's radius three times."""
    colour: tuple[float, float, float]


@dataclass(frozen=True)
class Hits:
    """Where rays first meet the scene."""

    distance: Float[np.ndarray, " rays"]
    """Along unit directions; infinite where a ray meets nothing."""
    owner: Int[np.ndarray, " rays"]
    """Index of the solid, `FLOOR` or `WALL`; `WALL` too where a ray meets nothing."""
    colour: Float[np.ndarray, "rays 3"]
    """0..1."""


SOLIDS = (
    Solid("red sphere", "sphere", (-0.6, -0.15, 0.3), (0.3, 0.3, 0.3), (0.85, 0.10, 0.08)),
    Solid("blue box", "box", (0.6, 0.1, 0.3), (0.22, 0.22, 0.3), (0.10, 0.20, 0.85)),
    Solid("yellow sphere", "sphere", (0.1, -0.5, 0.18), (0.18, 0.18, 0.18), (0.90, 0.80, 0.10)),
    Solid("green box", "box", (-0.1, 0.3, 0.25), (0.2, 0.2, 0.25), (0.10, 0.65, 0.15)),
)


class GeneratedScene:
    """The scene itself: what rays see, and its solids."""

    def __init__(self, seed: int = 0) -> None:
        """`seed` draws the textures and moves the solids a little."""
        random = np.random.default_rng(seed)
        shifts = random.uniform(-0.04, 0.04, (len(SOLIDS), 2))
        self.solids = tuple(
            Solid(s.name, s.kind, (s.centre[0] + x, s.centre[1] + y, s.centre[2]), s.half, s.colour)
            for s, (x, y) in zip(SOLIDS, shifts.tolist(), strict=True)
        )
        # A texture is a sum of plane waves of several lengths, different for each solid, floor and wall.
        count = len(SOLIDS) + 2
        directions = random.normal(size=(count, 8, 3))
        directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
        self._waves = directions * np.geomspace(4.0, 40.0, 8)[:, None]
        self._phases = random.uniform(0, 2 * np.pi, (count, 8))

    def trace(self, origins: Float[np.ndarray, "rays 3"], directions: Float[np.ndarray, "rays 3"]) -> Hits:
        """First hits of rays with unit directions."""
        with np.errstate(divide="ignore", invalid="ignore"):
            surfaces = [
                _plane(origins, directions, 2, 0.0),
                _plane(origins, directions, 1, WALL_Y),
                *(_sphere(s, origins, directions) if s.kind == "sphere" else _box(s, origins, directions)
                  for s in self.solids),
            ]  # fmt: skip
        distances = np.stack(surfaces)
        nearest = distances.argmin(0)
        distance = distances[nearest, np.arange(len(origins))]
        owner = np.where(nearest == 0, FLOOR, np.where(nearest == 1, WALL, nearest - 2))
        owner = np.where(np.isfinite(distance), owner, WALL)
        points = origins + directions * np.where(np.isfinite(distance), distance, 50.0)[:, None]
        return Hits(distance, owner, self._shade(points, owner))

    def _shade(self, points: np.ndarray, owner: np.ndarray) -> np.ndarray:
        base = np.empty_like(points)
        normal = np.zeros_like(points)
        texture = np.empty(len(points))
        for label in (FLOOR, WALL, *range(len(self.solids))):
            here = owner == label
            p = points[here]
            texture[here] = np.cos(p @ self._waves[label].T + self._phases[label]).mean(-1)
            if label == FLOOR:
                dark = (np.floor(p[:, 0] / 0.3) + np.floor(p[:, 1] / 0.3)) % 2 == 1
                base[here] = np.where(dark[:, None], [0.42, 0.40, 0.38], [0.74, 0.72, 0.68])
                normal[here] = (0, 0, 1)
            elif label == WALL:
                base[here] = (0.66, 0.66, 0.70)
                normal[here] = (0, -1, 0)
            else:
                solid = self.solids[label]
                base[here] = solid.colour
                local = (p - solid.centre) / solid.half
                if solid.kind == "box":
                    face = np.abs(local).argmax(-1)
                    local = np.where(np.arange(3) == face[:, None], np.sign(local), 0.0)
                normal[here] = local / np.linalg.norm(local, axis=-1, keepdims=True)
        light = AMBIENT + (1 - AMBIENT) * np.clip(normal @ LIGHT, 0, None)
        return np.clip(base * (light * (1 + texture))[:, None], 0, 1)


def write_generated_scene(
    folder: str | os.PathLike[str], views: int = 24, width: int = 96, height: int = 72, seed: int = 0
) -> GeneratedScene:
    """Write `transforms.json` and `images/0000.png`, ... and return what they show. The same arguments, the same files.

    Cameras stand on an arc of 100 degrees in two rows, one above the other, and look at the solids. Pixels are means of
    2x2 rays.

    Raises:
        ConfigError: fewer than two views, or pictures under 8x8 pixels.
        StorageError: the folder cannot be written.
    """
    if views < 2 or min(width, height) < 8:
        raise ConfigError(f"A generated scene needs 2 views of 8x8 pixels or more, not {views} of {width}x{height}.")
    folder, scene = Path(folder), GeneratedScene(seed)
    focal = 0.5 * width / np.tan(0.5 * FIELD_OF_VIEW)
    x, y = np.meshgrid((np.arange(2 * width) + 0.5) / 2, (np.arange(2 * height) + 0.5) / 2)
    local = np.stack([(x - width / 2) / focal, (height / 2 - y) / focal, -np.ones_like(x)], -1).reshape(-1, 3)
    local /= np.linalg.norm(local, axis=-1, keepdims=True)
    frames = []
    for number in range(views):
        pose = _pose(number, views)
        directions = local @ pose[:3, :3].T
        colour = scene.trace(np.broadcast_to(pose[:3, 3], directions.shape), directions).colour
        fine = colour.reshape(height, 2, width, 2, 3)
        picture = Image.fromarray(np.rint(255 * fine.mean((1, 3))).astype(np.uint8))
        name = f"images/{number:04d}.png"
        write_atomically(folder / name, lambda file, picture=picture: picture.save(file, format="PNG"))  # type: ignore[misc]
        frames.append({"file_path": name, "transform_matrix": pose.tolist()})
    document = {
        "camera_model": "OPENCV", "w": width, "h": height, "fl_x": focal, "fl_y": focal, "cx": width / 2,
        "cy": height / 2, "k1": 0.0, "k2": 0.0, "p1": 0.0, "p2": 0.0, "frames": frames,
    }  # fmt: skip
    text = json.dumps(document, indent=1)
    write_atomically(folder / "transforms.json", lambda file: file.write(text.encode()))
    return scene


def _pose(number: int, views: int) -> np.ndarray:
    """Camera to world, 4x4, OpenGL axes; neighbours in number stand in different rows."""
    azimuth = np.deg2rad(100.0) * (number / (views - 1) - 0.5)
    elevation = np.deg2rad((18.0, 38.0)[number % 2])
    away = np.array(
        [np.sin(azimuth) * np.cos(elevation), -np.cos(azimuth) * np.cos(elevation), np.sin(elevation)]
    )  # from the solids to the camera, which is also the camera's backward axis
    right = np.cross([0.0, 0.0, 1.0], away)
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3] = np.column_stack([right, np.cross(away, right), away, CENTRE + DISTANCE * away])
    return pose


def _plane(origins: np.ndarray, directions: np.ndarray, axis: int, place: float) -> np.ndarray:
    distance = (place - origins[:, axis]) / directions[:, axis]
    return np.where(distance > 1e-9, distance, np.inf)


def _sphere(solid: Solid, origins: np.ndarray, directions: np.ndarray) -> np.ndarray:
    away = origins - solid.centre
    along = (away * directions).sum(-1)
    distance = -along - np.sqrt(along**2 - (away * away).sum(-1) + solid.half[0] ** 2)
    return np.where(distance > 1e-9, distance, np.inf)


def _box(solid: Solid, origins: np.ndarray, directions: np.ndarray) -> np.ndarray:
    first = (np.array(solid.centre) - solid.half - origins) / directions
    second = (np.array(solid.centre) + solid.half - origins) / directions
    enter, leave = np.minimum(first, second).max(-1), np.maximum(first, second).min(-1)
    return np.where((enter > 1e-9) & (enter <= leave), enter, np.inf)
