"""COLMAP's camera models, by content: each is used whose coefficients the lenses here express.

A model with more terms than these is the simpler model when the terms are zero, as RealityScan writes FULL_OPENCV for
ideal cameras. Names, numbers and order of parameters are those of COLMAP's documentation,
https://colmap.github.io/cameras.html.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lerf.errors import SceneError
from lerf.scenes.listing import Optics, checked_size


@dataclass(frozen=True)
class CameraModel:
    """One camera model of COLMAP."""

    name: str
    parameters: tuple[str, ...]
    """Names, in the order of the files."""
    terms: tuple[str, ...] = ()
    """Which of them are k1, k2, k3, k4, p1, p2 of `lerf.geometry.distortion`, in this order; "" for none."""
    fisheye: bool = False
    idle: tuple[str, ...] = ()
    """Parameters without a meaning once all that are neither `terms` nor these are zero."""


def _model(name: str, parameters: str, terms: str = "", fisheye: bool = False, idle: str = "") -> CameraModel:
    places = tuple("" if term == "-" else term for term in terms.split())
    return CameraModel(name, tuple(parameters.split()), places, fisheye, tuple(idle.split()))


MODELS = (
    _model("SIMPLE_PINHOLE", "f cx cy"),
    _model("PINHOLE", "fx fy cx cy"),
    _model("SIMPLE_RADIAL", "f cx cy k", "k"),
    _model("RADIAL", "f cx cy k1 k2", "k1 k2"),
    _model("OPENCV", "fx fy cx cy k1 k2 p1 p2", "k1 k2 - - p1 p2"),
    _model("OPENCV_FISHEYE", "fx fy cx cy k1 k2 k3 k4", "k1 k2 k3 k4", True),
    # k4, k5 and k6 are coefficients of a denominator.
    _model("FULL_OPENCV", "fx fy cx cy k1 k2 p1 p2 k3 k4 k5 k6", "k1 k2 k3 - p1 p2"),
    _model("FOV", "fx fy cx cy omega"),
    _model("SIMPLE_RADIAL_FISHEYE", "f cx cy k", "k", True),
    _model("RADIAL_FISHEYE", "f cx cy k1 k2", "k1 k2", True),
    _model("THIN_PRISM_FISHEYE", "fx fy cx cy k1 k2 p1 p2 k3 k4 sx1 sy1", "k1 k2 k3 k4", True),
    _model("RAD_TAN_THIN_PRISM_FISHEYE", "fx fy cx cy k0 k1 k2 k3 k4 k5 p0 p1 s0 s1 s2 s3", "k0 k1 k2 k3", True),
    _model("SIMPLE_DIVISION", "f cx cy k"),
    _model("DIVISION", "fx fy cx cy k"),
    _model("SIMPLE_FISHEYE", "f cx cy", fisheye=True),
    _model("FISHEYE", "fx fy cx cy", fisheye=True),
    _model("EUCM", "fx fy cx cy alpha beta", idle="beta"),
    _model("EQUIRECTANGULAR", "w h"),
    _model("BROWN_CONRADY", "f cx cy k1 k2 k3 p1 p2", "k1 k2 k3 - p1 p2"),
)
"""The position is the number that binary files use."""
_BY_NAME = {model.name: model for model in MODELS}
_PINHOLE = ("f", "fx", "fy", "cx", "cy")
UNDISTORT = "undistort the photos with `colmap image_undistorter` and give its output folder"


def model_named(name: str, where: Path) -> CameraModel:
    """A model by its name.

    Raises:
        SceneError: when COLMAP has none of this name.
    """
    if name not in _BY_NAME:
        raise SceneError(f"{where} uses the camera model {name}, which is not known: {UNDISTORT}.")
    return _BY_NAME[name]


def model_numbered(number: int, where: Path) -> CameraModel:
    """A model by its number in binary files.

    Raises:
        SceneError: when COLMAP has none of this number.
    """
    if not 0 <= number < len(MODELS):
        raise SceneError(f"{where} uses the camera model number {number}, which is not known: {UNDISTORT}.")
    return MODELS[number]


def optics_of(model: CameraModel, width: int, height: int, values: Sequence[float], where: Path) -> Optics:
    """A camera as intrinsics.

    Raises:
        SceneError: a wrong number of parameters or an impossible size; or a lens that cannot be expressed, with the
            parameters that are in the way.
    """
    if len(values) != len(model.parameters):
        raise SceneError(
            f"A {model.name} camera in {where} needs {len(model.parameters)} parameters "
            f"({', '.join(model.parameters)}), not {len(values)}: export the model again."
        )
    given = dict(zip(model.parameters, values, strict=True))
    if "cx" not in given:
        raise SceneError(
            f"{where} uses the camera model {model.name}, which is not supported: cut perspective photos out of the "
            "panoramas, with `colmap panorama_sfm` or another program."
        )
    known = {*_PINHOLE, *model.terms, *model.idle}
    rest = [f"{name} = {value:g}" for name, value in given.items() if name not in known and value != 0]
    if rest:
        raise SceneError(
            f"{where} uses the camera model {model.name} with {', '.join(rest)}, which is not supported: {UNDISTORT}."
        )
    size = checked_size(width, height, f"of camera in {where}")
    focal = (given["f"], given["f"]) if "f" in given else (given["fx"], given["fy"])
    k1, k2, k3, k4, p1, p2 = (*(given.get(term, 0.0) for term in model.terms), *[0.0] * 6)[:6]
    return Optics(
        size,
        focal,
        centre=(given["cx"], given["cy"]),
        distortion=(k1, k2, k3, k4, p1, p2),
        fisheye=model.fisheye,
    )
