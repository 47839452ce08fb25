"""Whether poses are rotations and positions: what is repaired, what is refused, what is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from lerf.errors import SceneError
from lerf.geometry import bounds
from lerf.geometry.similarity import outlying_positions

SHEAR_TOLERANCE = 0.05
"""A pose's three axes may differ in length, and lean on each other, by this share before it is refused."""
TOLD_SHEAR = 1e-3
"""... and by this share before the repair is told: the rounding of text files is less."""
TOLD_SCALE = 1e-3
"""The length of axes may differ from 1 by this share before it is told."""


@dataclass(frozen=True)
class CheckedPoses:
    """Poses of many photos after their check."""

    poses: Float[np.ndarray, "photos 3 4"]
    """Rotations are exact; zeros where there is a problem."""
    problems: dict[int, str]
    """By index, what makes a pose unusable, in a sentence with what to do."""
    notes: tuple[str, ...]
    """What was repaired."""


def check_poses(matrices: Sequence[Any], names: Sequence[str], what: str = "photo") -> CheckedPoses:
    """Take 3x4 or 4x4 camera-to-world matrices as poses whose rotation is exact.

    A uniform scale of the axes is dropped, and deviations from a rotation of up to `SHEAR_TOLERANCE` are repaired by
    taking the nearest rotation, U V^T of the singular value decomposition (the polar decomposition's); both are told
    where they are more than rounding. A mirrored pose is a problem: whether the camera's axes or the world were
    mirrored cannot be seen from poses.

    Args:
        matrices: as a file has them.
        names: of the photos, for messages.
        what: they are poses of, for messages.
    """
    stacked = _stacked(matrices)
    problems: dict[int, str] = {}
    if stacked is None:
        singles = [_problem_of_one(matrix, name, what) for matrix, name in zip(matrices, names, strict=True)]
        problems = {index: problem for index, problem in enumerate(singles) if problem is not None}
        sound = [index for index in range(len(singles)) if index not in problems]
        stacked = np.zeros((len(singles), 3, 4))
        if sound:
            stacked[sound] = np.stack([np.array(matrices[index], np.float64)[:3] for index in sound])
    else:
        sound = list(range(len(stacked)))
    u, lengths, vt = np.linalg.svd(stacked[:, :3, :3])
    determinants = np.linalg.det(stacked[:, :3, :3])
    turned = _rotates(lengths, determinants)
    all_mirrored = len(sound) > 1 and all(determinants[index] < 0 for index in sound)
    for index in sound:
        if not turned[index]:
            problems[index] = _not_a_rotation(names[index], what, len(sound) if all_mirrored else 0)
    poses = np.concatenate([u @ vt, stacked[:, :3, 3:]], 2)
    poses[list(problems)] = 0
    good = [index for index in sound if index not in problems]
    return CheckedPoses(poses, problems, tuple(_repairs(lengths[good], [names[index] for index in good], what)))


def checked_poses(
    matrices: Sequence[Any], names: Sequence[str], what: str = "photo"
) -> Float[np.ndarray, "photos 3 4"]:
    """The poses of `check_poses`.

    Raises:
        SceneError: one of them cannot be used.
    """
    checked = check_poses(matrices, names, what)
    if checked.problems:
        raise SceneError(checked.problems[min(checked.problems)])
    return checked.poses


def outlier_notes(names: Sequence[str], positions: Float[np.ndarray, "photos 3"]) -> list[str]:
    """What to tell of photos that stand far from all others, see `outlying_positions`.

    Raises:
        SceneError: one stands so far away that its rays cannot be computed.
    """
    outliers = outlying_positions(positions)
    if len(outliers) == 0:
        return []
    away = np.linalg.norm(positions - np.median(positions, axis=0), axis=1)
    usual, shown = float(np.median(away)), [f"{names[index]} ({away[index]:.3g})" for index in outliers[:3]]
    worst = int(outliers[away[outliers].argmax()])
    if away[worst] > bounds.FARTHEST_OUTLIER * usual:
        raise SceneError(
            f"Photo {names[worst]} stands {away[worst]:.3g} from the middle of all photos, where {usual:.3g} is usual: "
            "estimate its pose again or remove the photo."
        )
    more = f" and {len(outliers) - 3} more" if len(outliers) > 3 else ""
    return [
        f"Far from all other photos, whose usual distance from their middle is {usual:.3g}: {', '.join(shown)}{more}. "
        "The scene's centre and scale are those of the others; check these poses or remove the photos."
    ]


def repeated_notes(poses: Float[np.ndarray, "photos 3 4"]) -> list[str]:
    """What to tell where photos share their poses, as films of a few cameras that stand do, cut into frames."""
    places = len({pose.tobytes() for pose in poses})
    if 2 * places > len(poses):
        return []
    return [
        f"{len(poses)} photos were taken from {places} places, several at each: the scene is taken to stand still, and "
        "of what moves between them a mixture is learnt. Keep the photos of one moment."
    ]


def _stacked(matrices: Sequence[Any]) -> Float[np.ndarray, "photos 3 4"] | None:
    """The upper three rows of all matrices, at once for captures of 100,000 photos; None where one is malformed."""
    try:
        stacked = np.array(matrices, np.float64)
    except (TypeError, ValueError, OverflowError):
        return None
    if stacked.shape[1:] not in ((3, 4), (4, 4)) or not (np.abs(stacked) <= bounds.LARGEST_COORDINATE).all():
        return None
    if stacked.shape[1] == 4 and not np.allclose(stacked[:, 3], [0, 0, 0, 1], atol=1e-6):
        return None
    return stacked[:, :3]


def _problem_of_one(matrix: Any, name: str, what: str) -> str | None:
    """What makes a matrix no pose, but for its rotation."""
    try:
        pose = np.array(matrix, np.float64)
    except (TypeError, ValueError, OverflowError):
        pose = np.empty(0)
    if pose.shape not in ((3, 4), (4, 4)):
        return f"The pose of {what} {name} is not a 4x4 matrix of numbers: write four rows of four."
    if not np.isfinite(pose).all():
        return f"The pose of {what} {name} contains NaN or infinity: estimate it again or remove it."
    largest = float(np.abs(pose).max())
    if largest > bounds.LARGEST_COORDINATE:
        return (
            f"The pose of {what} {name} holds the number {largest:g}, where {bounds.LARGEST_COORDINATE:g} is the "
            "largest that can be: estimate it again or remove it."
        )
    if pose.shape[0] == 4 and not np.allclose(pose[3], [0, 0, 0, 1], atol=1e-6):
        return f"The pose of {what} {name} does not end in the row 0 0 0 1: write camera-to-world matrices."
    return None


def _not_a_rotation(name: str, what: str, mirrored: int) -> str:
    """
    Args:
        mirrored: how many poses there are, where all are mirrored; else 0.
    """
    if mirrored:
        return (
            f"The poses of all {mirrored} {what}s are mirrored, as where one axis was turned round without a second: "
            "export the capture with right-handed axes."
        )
    return (
        f"The pose of {what} {name} is not a rotation (singular, sheared or mirrored): estimate it again or remove it."
    )


def _rotates(lengths: Float[np.ndarray, "*matrices 3"], determinant: Any) -> Any:
    """Whether matrices with these singular values and determinants are rotations up to scale and rounding."""
    return (lengths[..., 2] > (1 - SHEAR_TOLERANCE) * lengths[..., 0]) & (determinant > 0)


def _repairs(lengths: Float[np.ndarray, "photos 3"], names: Sequence[str], what: str) -> list[str]:
    """What to tell of poses that were not rotations, from the lengths of their axes."""
    notes = []
    scales = lengths.mean(1)
    scaled = np.flatnonzero(np.abs(scales - 1) > TOLD_SCALE)
    if len(scaled):
        low, high = scales[scaled].min(), scales[scaled].max()
        length = f"{low:.4g}" if high - low <= TOLD_SCALE * high else f"{low:.4g} to {high:.4g}"
        notes.append(
            f"The axes of {len(scaled)} of {len(names)} poses, that of {what} {names[scaled[0]]} for one, are {length} "
            "long where 1 is right: the rotation is used, and positions as they are."
        )
    leaning = np.flatnonzero(lengths[:, 2] < (1 - TOLD_SHEAR) * lengths[:, 0])
    if len(leaning):
        notes.append(
            f"{len(leaning)} of {len(names)} poses, that of {what} {names[leaning[0]]} for one, are not exact: the "
            "nearest rotations are used."
        )
    return notes
