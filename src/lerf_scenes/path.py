"""Where photos are taken from: along a path, as with a hand-held phone, or at random for training pictures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from lerf_scenes.composition import Composition


@dataclass(frozen=True)
class Camera:
    """A pinhole camera with its principal point in the middle of the picture and square pixels."""

    pose: Float[np.ndarray, "4 4"]
    """Camera to scene; x right, y up, looking along -z."""
    fov: float
    """Horizontal field of view in degrees."""


def looking(position: Float[np.ndarray, " 3"], target: Float[np.ndarray, " 3"], roll: float = 0.0) -> np.ndarray:
    """Camera-to-scene matrix of an upright camera that looks at a point, then rolled by some degrees."""
    back = position - target
    back = back / np.linalg.norm(back)
    right = np.cross([0.0, 0.0, 1.0], back)
    right /= np.linalg.norm(right)
    up = np.cross(back, right)
    c, s = np.cos(np.deg2rad(roll)), np.sin(np.deg2rad(roll))
    pose = np.eye(4)
    pose[:3, 0], pose[:3, 1], pose[:3, 2], pose[:3, 3] = c * right + s * up, c * up - s * right, back, position
    return pose


def capture_cameras(
    composition: Composition, views: int, held_out: int
) -> tuple[tuple[Camera, ...], tuple[Camera, ...]]:
    """Cameras of a capture along a path, and held-out ones between them, some centimetres beside the path."""
    rng = np.random.default_rng([composition.seed, 4])
    table = composition.setting == "table"
    fov = float(rng.uniform(57, 63))
    sweep = np.deg2rad(rng.uniform(250, 360) if table else rng.uniform(95, 110))
    start = rng.uniform(0, 2 * np.pi) if table else -np.pi / 2 - sweep / 2
    rounds = int(rng.integers(2, 4)) if views >= 24 else 1
    phases = rng.uniform(0, 2 * np.pi, 6)
    reach = max(composition.half[0], composition.half[1])
    low, high = ((0.38, 0.72) if table else (0.22, 0.62)) if composition.setting != "shelf" else (-0.15, 0.35)
    distance = reach + (0.55 if table else 0.50)
    jitter = rng.normal(size=(views + held_out, 8))

    def camera(time: float, noise: np.ndarray, aside: float) -> Camera:
        lap, along = divmod(min(time, 1 - 1e-9) * rounds, 1.0)
        along = along if lap % 2 == 0 else 1 - along
        angle = start + sweep * along + 0.02 * noise[0]
        share = 0.5 if rounds == 1 else lap / (rounds - 1)
        height = low + (high - low) * share + 0.05 * np.sin(9 * time + phases[0]) + aside * np.sign(noise[1]) * 0.06
        far = distance * (1 + 0.07 * np.sin(13 * time + phases[1])) - 0.12 * share + aside * np.sign(noise[2]) * 0.07
        middle = np.array(composition.middle)
        position = middle + np.array([far * np.cos(angle), far * np.sin(angle), height + 0.01 * noise[3]])
        drift = [0.07 * np.sin(7 * time + phases[2]), 0.05 * np.sin(8 * time + phases[3]), 0.0]
        target = middle + drift + 0.02 * noise[4:7]
        if composition.setting == "shelf":
            target[2] = middle[2] + 0.25 * (position[2] - middle[2])
        return Camera(looking(position, target, 1.5 * noise[7]), fov)

    taken = tuple(camera((k + 0.5) / views, jitter[k], 0.0) for k in range(views))
    # Held-out cameras are half-way between two neighbours on the path.
    between = [round((k + 0.5) * views / max(held_out, 1)) / views for k in range(held_out)]
    return taken, tuple(camera(t, n, 1.0) for t, n in zip(between, jitter[views:], strict=True))


def training_cameras(composition: Composition, rng: np.random.Generator, count: int) -> tuple[Camera, ...]:
    """Cameras around a scene at random distances and heights, looking at one of the objects or the middle."""
    objects = composition.objects
    reach = max(composition.half[0], composition.half[1])
    cameras = []
    for _ in range(count):
        target = np.array(composition.middle)
        if objects and rng.random() < 0.7:
            chosen = objects[int(rng.integers(len(objects)))]
            mix = rng.uniform(0.4, 1.0)
            target = (1 - mix) * target + mix * (np.array(chosen.position) + np.array([0, 0, 0.05]))
        angle = rng.uniform(0, 2 * np.pi) if composition.setting == "table" else np.deg2rad(-90 + rng.uniform(-52, 52))
        far = rng.uniform(reach + 0.05, reach + 0.75)
        height = rng.uniform(0.18, 0.95)
        if composition.setting == "shelf":
            height = rng.uniform(-0.3, 0.5)
            target = target + np.array([0, 0, 0.1 * height])
        base = np.array([composition.middle[0], composition.middle[1], 0.0]) + 0.3 * (target - composition.middle)
        position = np.array([base[0] + far * np.cos(angle), base[1] + far * np.sin(angle), height])
        cameras.append(Camera(looking(position, target, float(rng.normal(scale=4))), float(rng.uniform(48, 68))))
    return tuple(cameras)
