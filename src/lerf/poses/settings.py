"""How poses are solved."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal

from lerf.ranges import Range
from lerf.run.checks import check_fields
from lerf.run.settings import optional

Factor = Annotated[float, Range(1e-6, 1e6)]
CameraModel = Literal["pinhole", "simple-radial", "opencv", "opencv-fisheye"]
COLMAP_MODELS: dict[str, str] = {
    "pinhole": "PINHOLE",
    "simple-radial": "SIMPLE_RADIAL",
    "opencv": "OPENCV",
    "opencv-fisheye": "OPENCV_FISHEYE",
}
"""COLMAP's names of the camera models."""


@dataclass(frozen=True, kw_only=True)
class PosesSettings:
    """Settings of `lerf poses`."""

    frames: Annotated[int, Range(3, 10_000)] = 150
    """Frames to take from each video: the sharpest of as many intervals."""
    matching: Literal["auto", "exhaustive", "sequential", "retrieval"] = "auto"
    """Which photos are compared: all with all (auto up to 150 photos), neighbours in time and loops (auto for videos),
    or those that look alike (auto beyond)."""
    mapper: Literal["incremental", "global"] = "incremental"
    """Place photos one after another, or all at once (faster with many photos, needs good overlap)."""
    camera_model: Annotated[CameraModel | None, optional()] = None
    """Lens of every camera; by default opencv, and simple-radial for a camera with fewer than 12 photos."""
    features: Annotated[int, Range(256, 32_768)] = 4096
    """Points looked for in a photo, at most."""
    longest_side: Annotated[int, Range(320, 8192)] = 1600
    """Pixels to which a photo is reduced while points are looked for."""
    scale: Annotated[Factor | None, optional("FACTOR")] = None
    """Factor on the solved distances; without it the unit is arbitrary."""
    seed: Annotated[int, Range(0, 2**31 - 1)] = 0
    """Everything that is drawn follows from it."""

    def __post_init__(self) -> None:
        check_fields(self)

    def to_plain(self) -> dict[str, Any]:
        """As JSON values."""
        return {field.name: getattr(self, field.name) for field in fields(PosesSettings)}
