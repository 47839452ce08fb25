"""Calibrations in Metashape's XML.

Formulas, from the manual of Metashape Professional (appendix "Camera models", frame and fisheye cameras), with x and y
on the plane at distance 1, x right and y down, and for a fisheye both times angle / radius:

    x' = x (1 + K1 r^2 + K2 r^4 + K3 r^6 + K4 r^8) + (P1 (r^2 + 2 x^2) + 2 P2 x y) (1 + P3 r^2 + P4 r^4)
    y' = y (1 + K1 r^2 + K2 r^4 + K3 r^6 + K4 r^8) + (P2 (r^2 + 2 y^2) + 2 P1 x y) (1 + P3 r^2 + P4 r^4)
    u = width / 2 + cx + x' f + x' B1 + y' B2,    v = height / 2 + cy + y' f

The centre of the first pixel is (0.5, 0.5). So P1 and P2 are OpenCV's p2 and p1, and fx = f + B1. What the lenses here
do not have, the skew B2, P3 and P4, and a fisheye's P1 and P2, is left out where it moves no point of the picture by
more than `LARGEST_SHIFT` of its longer side, and told.

Older files have fx, fy, skew, and cx and cy from the picture's corner; P1 and P2 are then OpenCV's (manual of Agisoft
Lens 0.4, "Camera model").
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from lerf.errors import SceneError
from lerf.geometry.camera import Distortion
from lerf.scenes.listing import Optics, checked_size
from lerf.scenes.photos import Size
from lerf.scenes.readers.radial import LARGEST_SHIFT, TOLD_SHIFT
from lerf.scenes.readers.text_lines import AGAIN, finite

FRAME, FISHEYES = "frame", ("fisheye", "equidistant_fisheye")
"""Types of cameras; the second is called by its full name since 2.0."""
UNDISTORT = "export the cameras from Metashape as a COLMAP model, which has undistorted photos"
CLASSES = ("adjusted", "initial")
"""Of calibrations, the better first."""
TERMS = ("k1", "k2", "k3", "k4", "p1", "p2", "p3", "p4", "b1", "b2", "cx", "cy")


@dataclass
class LeftOut:
    """What calibrations have that cannot be expressed, gathered over the sensors of a file."""

    sensors: int = 0
    terms: tuple[str, ...] = ()
    pixels: float = 0.0
    side: int = 0

    def notes(self, path: Path) -> list[str]:
        """What to tell of it."""
        if not self.sensors:
            return []
        return [
            f"{', '.join(self.terms)} of {self.sensors} cameras in {path} cannot be expressed and are left out: that "
            f"moves points by up to {self.pixels:.2g} of {self.side} pixels. To have them exact, {UNDISTORT}."
        ]


def optics_of(sensor: ElementTree.Element, path: Path, left_out: LeftOut) -> Optics:
    """One sensor's intrinsics: its adjusted calibration, else its initial one.

    Raises:
        SceneError: it has none, or one that is damaged or cannot be expressed.
    """
    label = str(sensor.get("label") or sensor.get("id"))[:60]
    calibration = _calibration(sensor)
    if calibration is None:
        raise SceneError(f"Camera {label} in {path} has no calibration: align the photos again, then {AGAIN}.")
    kind = str(calibration.get("type") or sensor.get("type") or FRAME)
    if kind != FRAME and kind not in FISHEYES:
        raise SceneError(f"Camera {label} in {path} is of type {kind[:40]}, which is not supported: {UNDISTORT}.")
    try:
        size = _size(calibration, sensor, path)
        focal, centre, values = _numbers(calibration, size)
    except ValueError:
        raise SceneError(f"Camera {label} in {path} has a calibration that is not numbers: {AGAIN}.") from None
    fisheye = kind != FRAME
    _leave_out(values, focal, centre, size, fisheye, left_out, f"Camera {label} in {path}")
    shift = (0.0, 0.0) if fisheye else (values["p2"], values["p1"])
    distortion: Distortion = (values["k1"], values["k2"], values["k3"], values["k4"], *shift)
    return Optics(size, focal, centre=centre, distortion=distortion, fisheye=fisheye)


def _calibration(sensor: ElementTree.Element) -> ElementTree.Element | None:
    """The best calibration that has a focal length."""
    found = [one for one in sensor.findall("calibration") if one.find("f") is not None or one.find("fx") is not None]
    found.sort(key=lambda one: CLASSES.index(one.get("class", "")) if one.get("class") in CLASSES else len(CLASSES))
    return found[0] if found else None


def _size(calibration: ElementTree.Element, sensor: ElementTree.Element, path: Path) -> Size:
    """
    Raises:
        ValueError: it is not stated in numbers.
    """
    stated = calibration.find("resolution")
    stated = sensor.find("resolution") if stated is None else stated
    if stated is None:
        raise ValueError("no resolution")
    return checked_size(finite(stated.get("width", "")), finite(stated.get("height", "")), f"of {path}")


def _numbers(
    calibration: ElementTree.Element, size: Size
) -> tuple[tuple[float, float], tuple[float, float], dict[str, float]]:
    """fx and fy, the principal point from the corner, and the other terms as the manual's formulas have them.

    Raises:
        ValueError: one is no number.
    """
    stated = {
        child.tag: finite(child.text or "") for child in calibration if child.tag in (*TERMS, "f", "fx", "fy", "skew")
    }
    values = {name: stated.get(name, 0.0) for name in TERMS}
    if "fx" in stated:
        focal = stated["fx"], stated.get("fy", stated["fx"])
        values |= {"p1": values["p2"], "p2": values["p1"], "b2": stated.get("skew", 0.0)}
        return focal, (stated.get("cx", size[0] / 2), stated.get("cy", size[1] / 2)), values
    focal = stated["f"] + values["b1"], stated["f"]
    return focal, (size[0] / 2 + values["cx"], size[1] / 2 + values["cy"]), values


def _leave_out(
    values: dict[str, float], focal: tuple[float, float], centre: tuple[float, float], size: Size, fisheye: bool,
    left_out: LeftOut, what: str,
) -> None:  # fmt: skip
    """Note how far the terms that are left out move points of the picture.

    Raises:
        SceneError: too far.
    """
    if not min(focal) > 0:
        return  # what checks all intrinsics says so
    across, down = (max(abs(at), abs(side - at)) for at, side in zip(centre, size, strict=True))
    radius = math.hypot(across / focal[0], down / focal[1])
    tangential = 3 * math.hypot(values["p1"], values["p2"]) * radius**2 * max(focal)
    skew = abs(values["b2"]) * down / focal[1]
    bent = tangential * (1.0 if fisheye else abs(values["p3"]) * radius**2 + abs(values["p4"]) * radius**4)
    names = ("p1", "p2") if fisheye else ("p3", "p4")
    terms = tuple(name for name in (*(names if bent else ()), *(("b2",) if skew else ())) if values[name])
    shift = (skew + bent) / max(size)
    if not shift <= LARGEST_SHIFT:
        given = ", ".join(f"{name} = {values[name]:g}" for name in terms)
        raise SceneError(f"{what} has {given}, which is not supported: {UNDISTORT}.")
    if shift > TOLD_SHIFT:
        left_out.sensors += 1
        left_out.terms = tuple(dict.fromkeys((*left_out.terms, *terms)))
        if skew + bent > left_out.pixels:
            left_out.pixels, left_out.side = skew + bent, max(size)
