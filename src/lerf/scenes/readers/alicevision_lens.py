"""Intrinsics of AliceVision's files, of every version.

From AliceVision's source (src/aliceVision/sfmDataIO/jsonIO.cpp, camera/IntrinsicScaleOffset.cpp,
camera/Distortion*.cpp, camera/Equidistant.cpp, camera/cameraCommon.hpp):

- Before 1.2 the focal length is `pxFocalLength`, one number in pixels; in 1.2.0 and 1.2.1 two; then `focalLength` in
  millimetres on a sensor of `sensorWidth`, over the picture's width, with `pixelRatio`: until 1.2.4 fx / fy, until
  1.2.10 fy / fx, and from 1.2.11 fy / fx with the focal length that of y.
- `principalPoint` is in pixels, until 1.2.0 from the picture's corner and since then from its middle.
- The centre of a pixel has whole coordinates (camera/cameraUndistortImage.hpp samples the photo there), so that half a
  pixel is added here.
- radialk1, radialk3 and brown (k1, k2, k3, t1, t2) are OpenCV's k1, k2, k3, p1, p2; radialk3pt is divided by 1 + k1 +
  k2 + k3, which the focal length takes; fisheye is OpenCV's fisheye, fisheye1 the FOV model. Of an equidistant camera
  the angle is divided by half the field of view, twice the focal length over the sensor's shorter side.

The names of the types until 1.2.7 say both what the camera and what its distortion is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from lerf.errors import SceneError
from lerf.geometry.camera import Distortion
from lerf.scenes.listing import Optics, checked_size
from lerf.scenes.photos import Size
from lerf.scenes.readers.text_lines import AGAIN, finite, integer

Text = str | int | float
UNDISTORT = "undistort the photos with Meshroom's PrepareDenseScene and pose these again"
OLD_TYPES = {
    "pinhole": ("pinhole", "none"),
    "radial1": ("pinhole", "radialk1"),
    "radial3": ("pinhole", "radialk3"),
    "brown": ("pinhole", "brown"),
    "fisheye4": ("pinhole", "fisheye"),
    "fisheye": ("pinhole", "fisheye"),
    "fisheye1": ("pinhole", "fisheye1"),
    "equidistant": ("equidistant", "none"),
    "equidistant_r3": ("equidistant", "radialk3pt"),
}
"""Type until 1.2.7 -> type and distortion since."""
PARAMETERS = {"none": 0, "radialk1": 1, "radialk3": 3, "radialk3pt": 3, "brown": 5, "fisheye": 4, "fisheye1": 1}


class Intrinsic(msgspec.Struct, rename="camel"):
    """One camera."""

    intrinsic_id: Text
    width: Text
    height: Text
    type: str = "pinhole"
    sensor_width: Text = "36"
    sensor_height: Text = "24"
    px_focal_length: Text | list[Text] | None = None
    focal_length: Text | None = None
    pixel_ratio: Text = "1"
    principal_point: list[Text] | str = ""
    distortion_type: str | None = None
    undistortion_type: str = "none"
    distortion_params: list[Text] | str = ""


@dataclass(frozen=True, order=True)
class Version:
    """Of a file."""

    major: int
    minor: int
    revision: int

    @staticmethod
    def of(numbers: Sequence[Text], path: Path) -> Version:
        """
        Raises:
            SceneError: it is not three numbers.
        """
        try:
            major, minor, revision = (integer(str(number)) for number in numbers)
        except ValueError:
            raise SceneError(f"{path} does not state its version in three numbers: {AGAIN}.") from None
        return Version(major, minor, revision)


def optics_of(intrinsic: Intrinsic, version: Version, path: Path) -> Optics:
    """One camera as intrinsics.

    Raises:
        SceneError: a number that is none, or a lens that cannot be expressed.
    """
    where = f"{path} has a camera {intrinsic.intrinsic_id}"
    kind, bend = _types(intrinsic, version)
    if kind not in ("pinhole", "equidistant") or bend not in PARAMETERS or intrinsic.undistortion_type != "none":
        parts = [part for part in (bend, intrinsic.undistortion_type) if part != "none"]
        raise SceneError(f"{where} of type {kind} {' '.join(parts)}, which is not supported: {UNDISTORT}.")
    try:
        size = checked_size(finite(str(intrinsic.width)), finite(str(intrinsic.height)), f"of {path}")
        x, y = (finite(str(value)) for value in intrinsic.principal_point)
        terms = [finite(str(value)) for value in intrinsic.distortion_params]
        if len(terms) != PARAMETERS[bend]:
            terms = [0.0] * PARAMETERS[bend]  # as AliceVision does
        focal = _focal(intrinsic, version, size)
        if kind == "equidistant":
            sensor = finite(str(intrinsic.sensor_width)), finite(str(intrinsic.sensor_height))
            focal, terms = _equidistant(focal, terms, sensor, size)
        elif bend == "radialk3pt":
            focal = _divided(focal, terms)
    except (ValueError, ZeroDivisionError, OverflowError):
        raise SceneError(f"{where} whose intrinsics are not numbers that can be: {AGAIN}.") from None
    if bend == "fisheye1" and terms[0]:
        raise SceneError(f"{where} with the distortion fisheye1, which is not supported: {UNDISTORT}.")
    if version >= Version(1, 2, 1):
        x, y = x + size[0] / 2, y + size[1] / 2
    fisheye = kind == "equidistant" or bend == "fisheye"
    return Optics(size, focal, centre=(x + 0.5, y + 0.5), distortion=_distortion(bend, terms), fisheye=fisheye)


def _types(intrinsic: Intrinsic, version: Version) -> tuple[str, str]:
    kind = intrinsic.type.lower()
    if version >= Version(1, 2, 8):
        return kind, (intrinsic.distortion_type or "none").lower()
    return OLD_TYPES.get(kind, (kind, "none"))


def _focal(intrinsic: Intrinsic, version: Version, size: Size) -> tuple[float, float]:
    """fx and fy in pixels.

    Raises:
        ValueError: there is no number.
    """
    if version < Version(1, 2, 2):
        stated = intrinsic.px_focal_length
        both = [finite(str(value)) for value in (stated if isinstance(stated, list) else [stated])]
        return both[0], both[-1]
    focal = finite(str(intrinsic.focal_length)) / finite(str(intrinsic.sensor_width)) * size[0]
    ratio = finite(str(intrinsic.pixel_ratio))
    if version < Version(1, 2, 5):
        return focal, focal / ratio
    return (focal, focal * ratio) if version < Version(1, 2, 11) else (focal / ratio, focal)


def _equidistant(
    focal: tuple[float, float], terms: list[float], sensor: tuple[float, float], size: Size
) -> tuple[tuple[float, float], list[float]]:
    """Focal lengths and terms of an equidistant camera for angles in radians."""
    millimetres = focal[0] * sensor[0] / max(size)
    half = 0.5 * min(sensor) / millimetres
    fx, fy = _divided(focal, terms) if terms else focal
    return (fx / half, fy / half), [term / half ** (2 * power) for power, term in enumerate(terms, 1)]


def _divided(focal: tuple[float, float], terms: Sequence[float]) -> tuple[float, float]:
    whole = 1 + sum(terms)
    return focal[0] / whole, focal[1] / whole


def _distortion(bend: str, terms: Sequence[float]) -> Distortion:
    if bend == "fisheye1":
        return 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    if bend == "brown":
        k1, k2, k3, p1, p2 = terms
        return k1, k2, k3, 0.0, p1, p2
    k1, k2, k3, k4 = (*terms, 0.0, 0.0, 0.0, 0.0)[:4]
    return k1, k2, k3, k4, 0.0, 0.0
