"""Intrinsics of transforms.json: what the top and a frame state together, and what no camera here can do."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import msgspec

from lerf.errors import SceneError
from lerf.scenes.listing import LENS_NAMES, Optics, checked_size
from lerf.scenes.readers.transforms_keys import CENTRE, GROUPS, SIZE

PERSPECTIVE_MODELS = ("OPENCV", "PINHOLE", "SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL", "FULL_OPENCV")
"""All of them are OPENCV with some coefficients zero."""
FISHEYE_MODELS = ("OPENCV_FISHEYE", "RADIAL_FISHEYE", "SIMPLE_RADIAL_FISHEYE")
"""Likewise of OPENCV_FISHEYE."""
ANGLE_TOLERANCE = 0.01
"""Share by which a focal length and a viewing angle of one frame may differ before that is told."""


class Lens(msgspec.Struct, kw_only=True):
    """Keys of intrinsics, which may stand on top and in a frame; null is as good as absent."""

    camera_model: str | None = None
    is_fisheye: bool | None = None
    latlong: bool | None = None
    equirectangular: bool | None = None
    orthographic: bool | None = None
    fl_x: float | None = None
    fl_y: float | None = None
    camera_angle_x: float | None = None
    camera_angle_y: float | None = None
    x_fov: float | None = None
    y_fov: float | None = None
    w: float | None = None
    h: float | None = None
    cx: float | None = None
    cy: float | None = None
    k1: float | None = None
    k2: float | None = None
    k3: float | None = None
    k4: float | None = None
    k5: float | None = None
    k6: float | None = None
    p1: float | None = None
    p2: float | None = None
    s1: float | None = None
    s2: float | None = None
    s3: float | None = None
    s4: float | None = None
    distortion_params: list[float] | None = None
    ftheta_p0: float | None = None
    ftheta_p1: float | None = None
    ftheta_p2: float | None = None
    ftheta_p3: float | None = None
    ftheta_p4: float | None = None
    rolling_shutter: list[float] | None = None


def merged(top: Lens, frame: Lens) -> dict[str, Any]:
    """What a frame states, and the top where it states nothing of a group."""
    values = {}
    for group in GROUPS:
        owner = frame if any(getattr(frame, key) is not None for key in group) else top
        values.update({key: getattr(owner, key) for key in group})
    return values


def optics_of(values: dict[str, Any], name: str) -> Optics:
    """Intrinsics from the values of `merged`; `name` is the photo's, for errors.

    Raises:
        SceneError: a camera model, or a part of one, that is not supported; contradictions; an impossible size.
    """
    fisheye = _is_fisheye(values, name)
    for key, reason in _beyond(values, fisheye):
        raise SceneError(
            f"Photo {name} has {key}, {reason}, which is not supported: undistort the photos to PINHOLE, or use OPENCV "
            "or OPENCV_FISHEYE."
        )
    fx, fy = values["fl_x"], values["fl_y"]
    angle_x, angle_y = (_angle(values, axis) for axis in "xy")
    width, height = values["w"], values["h"]
    return Optics(
        size=None if width is None or height is None else checked_size(width, height, name),
        focal=None if fx is None and fy is None else (fy if fx is None else fx, fx if fy is None else fy),
        angles=None if angle_x is None and angle_y is None else (angle_x, angle_y),
        centre=(values["cx"], values["cy"]),
        distortion=_coefficients(values, fisheye, name),  # type: ignore[arg-type]
        fisheye=fisheye,
    )


def doubts(values: dict[str, Any], top: Lens, file: str) -> Iterator[str]:
    """What to tell of intrinsics that are used in part.

    Args:
        values: as `merged` gives them.
        top: what the file states for all frames.
        file: name of the pose file.
    """
    for pair, instead in ((SIZE, "the photos' own size is used"), (CENTRE, "the middle of the photo stands in for it")):
        there, lacking = pair if values[pair[1]] is None else pair[::-1]
        if values[there] is not None and values[lacking] is None and getattr(top, lacking) is None:
            yield f"{file} gives {there} without {lacking}: {instead}."
    for focal, angle, side in (("fl_x", "x", "w"), ("fl_y", "y", "h")):
        length, radians, pixels = values[focal], _angle(values, angle), values[side]
        if length is None or radians is None or pixels is None or not 0 < radians < math.pi or not length > 0:
            continue
        if abs(0.5 * pixels / math.tan(0.5 * radians) / length - 1) > ANGLE_TOLERANCE:
            yield f"{file} gives {focal} and a viewing angle that contradict each other: {focal} is used."


def _is_fisheye(values: dict[str, Any], name: str) -> bool:
    model, told = values["camera_model"], values["is_fisheye"]
    if model is None:
        return bool(told)
    if model not in (*PERSPECTIVE_MODELS, *FISHEYE_MODELS):
        raise SceneError(
            f"Photo {name} has the camera model {model}, which is not supported: undistort the photos to PINHOLE, or "
            "use OPENCV or OPENCV_FISHEYE."
        )
    if told is not None and told != (model in FISHEYE_MODELS):
        raise SceneError(
            f"Photo {name} has the camera model {model} and is_fisheye {str(told).lower()}, which contradict each "
            "other: remove the wrong one."
        )
    return model in FISHEYE_MODELS


def _beyond(values: dict[str, Any], fisheye: bool) -> Iterator[tuple[str, str]]:
    """Keys whose values no camera here can do, and what they are."""
    kinds = {
        "k5": "a fraction of polynomials" if not fisheye else "a longer polynomial",
        "k6": "a fraction of polynomials" if not fisheye else "a longer polynomial",
        **dict.fromkeys(("s1", "s2", "s3", "s4"), "a thin prism"),
        **dict.fromkeys((f"ftheta_p{number}" for number in range(5)), "an F-theta lens"),
        **dict.fromkeys(("latlong", "equirectangular"), "a panorama"),
        "orthographic": "rays that do not meet",
    }
    if values["camera_model"] == "FULL_OPENCV":
        kinds["k4"] = "a fraction of polynomials"
    if fisheye:
        kinds |= dict.fromkeys(("p1", "p2"), "a fisheye's tangential distortion")
    yield from ((key, kind) for key, kind in kinds.items() if values[key])
    if any(values["rolling_shutter"] or ()):
        yield "rolling_shutter", "a camera that moves while a photo is taken"


def _coefficients(values: dict[str, Any], fisheye: bool, name: str) -> tuple[float, ...]:
    """k1, k2, k3, k4, p1, p2, stated one by one or as nerfstudio's `distortion_params`, which has this order."""
    stated = tuple(float(values[key] or 0.0) for key in LENS_NAMES)
    listed = values["distortion_params"] or []
    if not any(listed):
        return stated
    fits = len(listed) == len(LENS_NAMES) and not (fisheye and any(listed[4:]))
    if not fits or (any(stated) and stated != tuple(listed)):
        raise SceneError(
            f"Photo {name} has distortion_params that cannot be used: state k1, k2, k3, k4, p1 and p2 in their place."
        )
    return tuple(listed)


def _angle(values: dict[str, Any], axis: str) -> float | None:
    """The viewing angle along an axis in radians: `camera_angle_x`, or instant-ngp's `x_fov` in degrees."""
    if values[f"camera_angle_{axis}"] is not None:
        return values[f"camera_angle_{axis}"]  # type: ignore[no-any-return]
    degrees = values[f"{axis}_fov"]
    return None if degrees is None else math.radians(degrees)
