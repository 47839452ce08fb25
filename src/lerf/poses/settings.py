"""How poses are solved."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal

from tyro.conf import arg

from lerf.errors import ConfigError
from lerf.ranges import Range, Repeated, Words
from lerf.run.checks import check_fields
from lerf.run.settings import optional

Factor = Annotated[float, Range(1e-6, 1e6)]
MeasuredDistance = tuple[Words, Words, Factor]
"""Two photos, by name, and how far apart they were taken."""
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
    mapper: Literal["auto", "incremental", "global"] = "auto"
    """Place photos one after another, or all at once (faster with many photos); auto: the first, and where it leaves
    out many also the second."""
    camera_model: Annotated[CameraModel | None, optional()] = None
    """Lens of every camera; by default opencv, and simple-radial for a camera with fewer than 12 photos."""
    features: Annotated[int, Range(256, 32_768)] = 4096
    """Points looked for in a photo, at most."""
    longest_side: Annotated[int, Range(320, 8192)] = 1600
    """Pixels to which a photo is reduced while points are looked for."""
    scale: Annotated[Factor | None, optional("FACTOR")] = None
    """Factor on the solved distances: capture units a solved unit. The unit is arbitrary without it or --distance."""
    distance: Annotated[tuple[MeasuredDistance, ...], Repeated(), arg(metavar="PHOTO_A PHOTO_B METRES")] = ()
    """Distance between the places where two photos were taken; of several the median scale is used."""
    seed: Annotated[int, Range(0, 2**31 - 1)] = 0
    """Everything that is drawn follows from it."""

    def __post_init__(self) -> None:
        check_fields(self)
        if self.scale is not None and self.distance:
            raise ConfigError("--scale and --distance both say how long a unit is: leave one out.")

    def to_plain(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            **{field.name: getattr(self, field.name) for field in fields(PosesSettings)},
            "distance": [list(one) for one in self.distance],
        }

    def deciding(self) -> dict[str, Any]:
        """Those that decide what is found and matched, by option; the others may change when that is done."""
        plain = self.to_plain()
        return {f"--{name}": value for name, value in plain.items() if name not in ("scale", "distance", "mapper")}
