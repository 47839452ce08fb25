"""What every capture format comes down to: a list of shots, checked by the same rules whatever their file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from lerf.errors import SceneError
from lerf.geometry import bounds
from lerf.geometry import distortion as lenses
from lerf.geometry.camera import NO_DISTORTION, Camera, Distortion
from lerf.scenes.photos import Size

LENS_NAMES = ("k1", "k2", "k3", "k4", "p1", "p2")
"""The numbers of `Distortion`, as files call them."""


@dataclass(frozen=True)
class Optics:
    """Intrinsics as a file states them: in pixels of `size`, or as viewing angles that hold for any size."""

    size: Size | None
    """Width and height that the numbers below refer to; None: the photo's own."""
    focal: tuple[float, float] | None
    """Pixels; None when only angles are given."""
    angles: tuple[float | None, float | None] | None = None
    """Full horizontal and vertical viewing angle in radians; with one of them pixels are square."""
    centre: tuple[float | None, float | None] = (None, None)
    """Pixels; None: the middle of the picture."""
    distortion: Distortion = NO_DISTORTION
    fisheye: bool = False

    def camera(self, size: Size, pose: Float[np.ndarray, "3 4"], name: str) -> Camera:
        """The camera for the picture of `size` that these intrinsics refer to; `name` is the photo's, for errors.

        Raises:
            SceneError: when a number is not finite or out of the bounds of `lerf.geometry.bounds`, or the distortion
                cannot be undone within the picture.
        """
        width, height = self.size or size
        if self.focal is not None:
            fx, fy = self.focal
        elif self.angles is not None:
            along = [
                None if angle is None else _focal_from_angle(angle, pixels, name)
                for angle, pixels in zip(self.angles, (width, height), strict=True)
            ]
            fx, fy = (along[0] or along[1] or 0.0, along[1] or along[0] or 0.0)
        else:
            raise SceneError(f"Photo {name} has no focal length: give fl_x and fl_y, or camera_angle_x.")
        cx = width / 2 if self.centre[0] is None else self.centre[0]
        cy = height / 2 if self.centre[1] is None else self.centre[1]
        problem = _problem(width, height, fx, fy, cx, cy, self.distortion, self.fisheye)
        if problem is not None:
            raise SceneError(problem.format(name=name))
        return Camera(width, height, fx, fy, cx, cy, pose, self.distortion, self.fisheye)


@dataclass(frozen=True)
class Shot:
    """One photo as a format's reader lists it, before its file is looked at."""

    name: str
    """Path relative to the capture, forward slashes."""
    path: Path
    pose: Any
    """Camera to world, OpenGL axes, capture frame: 3x4 or 4x4 numbers, which `pose_checks.check_poses` looks at."""
    optics: Optics
    mask_path: Path | None = None


Missing = Literal["refuse", "skip"]
"""What to do about photos that are not there, or whose pose cannot be used."""
Split = tuple[tuple[int, ...], tuple[int, ...]]
"""Indices of the photos to train on and of those held out."""


@dataclass(frozen=True)
class Listing:
    """What a reader finds in the files of a format, before any photo is looked at."""

    root: Path
    """The capture's folder; folders named like images_4 are looked for under it."""
    shots: Sequence[Shot]
    """In the order of the scene's photos."""
    split: Split | None
    """None: every 8th photo is held out, see `held_out`."""
    metadata: dict[str, Any]
    """Kept in the scene: `format`, and what the file says about its own coordinates; plain JSON values."""
    notes: Sequence[str] = ()
    """What was found and not used, repaired, guessed or left out; see `Scene.notes`."""
    points_path: Path | None = None
    """The file of the capture's 3D points, which the format's reader reads; None where there is none."""


def checked_size(width: int | float, height: int | float, name: str) -> Size:
    """Width and height as whole numbers.

    Raises:
        SceneError: when either is not a positive whole number.
    """
    for value in (width, height):
        if not (math.isfinite(value) and 1 <= value <= bounds.LARGEST_SIDE and value == int(value)):
            raise SceneError(
                f"The picture size of photo {name} is {width:g} x {height:g}: give whole numbers of pixels, 1 to "
                f"{bounds.LARGEST_SIDE}."
            )
    return int(width), int(height)


def held_out(names: Sequence[str]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The default split, as (train, test) indices in the order of `names`.

    Every 8th photo in the order of sorted names is held out: 0, 8, 16, ... With fewer than four photos none is, since
    each of them is needed to learn from.
    """
    if len(names) < 4:
        return tuple(range(len(names))), ()
    order = sorted(range(len(names)), key=lambda index: names[index])
    test = tuple(sorted(order[::8]))
    chosen = set(test)
    return tuple(index for index in range(len(names)) if index not in chosen), test


def _focal_from_angle(angle: float, pixels: int, name: str) -> float:
    if not 0 < angle < math.pi:
        raise SceneError(
            f"The viewing angle of photo {name} is {angle:g} radians: give one between 0 and pi, or the focal length."
        )
    return 0.5 * pixels / math.tan(0.5 * angle)


@lru_cache(maxsize=4096)
def _problem(
    width: int, height: int, fx: float, fy: float, cx: float, cy: float, distortion: Distortion, fisheye: bool
) -> str | None:
    """What makes intrinsics impossible, as an error with the place of the photo's name; None where nothing does.

    Most captures have one camera for all photos, which is then looked at once.
    """
    longest = max(width, height)
    least, most = bounds.SHORTEST_FOCAL * longest, bounds.LONGEST_FOCAL * longest
    if not (least <= fx <= most and least <= fy <= most):
        return (
            f"The focal length of photo {{name}} is {fx:g} x {fy:g} pixels: give a positive number for both axes, "
            f"{least:g} to {most:g} for this size."
        )
    middle, far = (width / 2, height / 2), bounds.FARTHEST_CENTRE * longest
    if not (abs(cx - middle[0]) <= far and abs(cy - middle[1]) <= far):
        return (
            f"The principal point of photo {{name}} is ({cx:g}, {cy:g}), far from its {width}x{height} pixels: "
            "estimate its camera again."
        )
    stated = ", ".join(f"{name} {value:g}" for name, value in zip(LENS_NAMES, distortion, strict=True) if value)
    wrong = f"The distortion of photo {{name}} ({stated}) cannot be undone within the picture: estimate it again."
    corner = math.hypot(max(abs(cx), abs(width - cx)) / fx, max(abs(cy), abs(height - cy)) / fy)
    radial, shift = max(map(abs, distortion[:4])), max(map(abs, distortion[4:])) * corner
    # The largest of numbers with a NaN among them may be any of them.
    if math.isnan(sum(distortion)) or not (radial <= bounds.LARGEST_RADIAL and shift <= bounds.LARGEST_TANGENTIAL):
        return wrong
    if not any(distortion):
        return None
    lens = lenses.lens_of(distortion, fisheye)
    if lens[7] * min(fx, fy) < bounds.NEAREST_FOLD * min(width, height):
        return wrong
    # Little tangential distortion over the picture leaves no residue; to look at each of 100,000 lenses takes minutes.
    if fisheye or shift < bounds.HARMLESS_TANGENTIAL:
        return None
    return None if _residue((width, height), (fx, fy), (cx, cy), lens) <= bounds.LARGEST_RESIDUE else wrong


def _residue(size: Size, focal: tuple[float, float], centre: tuple[float, float], lens: lenses.Lens) -> float:
    """How far a point of the border lands from itself when distortion is undone and done again, over the longer side.

    Not zero where a picture reaches past the fold of its lens, see `lerf.geometry.distortion`.
    """
    along, low, high = np.linspace(0, 1, 9), np.zeros(9), np.ones(9)
    x = (size[0] * np.concatenate([along, along, low, high]) - centre[0]) / focal[0]
    y = (size[1] * np.concatenate([low, high, along, along]) - centre[1]) / focal[1]
    again = lenses.distort_plane(*lenses.undistort_plane(x, y, lens), lens)
    return float(np.hypot((again[0] - x) * focal[0], (again[1] - y) * focal[1]).max() / max(size))
