"""Options of `lerf features`; `feature_pictures.py` does it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from lerf.apps.checks import check_apart, check_cache, check_file, check_folder, check_ray, only_with
from lerf.apps.options import CaptureOptions, Command, DeviceOption, EncoderOptions
from lerf.ranges import PositiveShare, Words
from lerf.run.settings import check_border, check_ratios, optional


@dataclass(frozen=True, kw_only=True)
class Features(Command, DeviceOption, EncoderOptions, CaptureOptions):
    """Compute the features that training will learn from, and write them as pictures in the colours of one basis."""

    data: Annotated[Path, Positional, arg(metavar="CAPTURE")]
    """Capture: a folder with transforms.json, Blender's transforms_train.json or a COLMAP model."""
    output: Path
    """Folder for the pictures and features.json; the features themselves go to the cache."""
    encoder: Annotated[Words | None, optional("ENCODER")] = None
    """Image-text encoder; by default that of the default preset."""
    dense: Annotated[Words, arg(metavar="ENCODER")] = "none"
    """Dense regulariser, or none."""
    features: Annotated[Literal["tiles", "dense"] | None, optional()] = None
    """Pyramid tile by tile, or by passes over the whole photo; by default what lerf train would do on this device."""
    border: Literal["edge", "zero"] = "edge"
    """Only with --features tiles, what they see beyond the photo: its edge continued, or black as the authors' code."""
    tile_ratios: Annotated[tuple[PositiveShare, ...] | None, optional("RATIO [RATIO ...]")] = None
    """Tile heights over the photo's height; by default the encoder's own."""
    views: Annotated[tuple[str, ...] | None, optional("NAME [NAME ...]")] = None
    """Pictures of these training photos only, by name; features are computed of all."""
    pictures: bool = True
    """Write pictures."""
    ray: Annotated[tuple[str, ...] | None, optional("[ADDRESS]")] = None
    """Spread the work over a Ray cluster: its address, or nothing for one on this machine (pip install 'lerf[ray]')."""

    def check(self) -> None:
        check_border(self.features, self.border)
        check_ratios(self.tile_ratios)
        only_with(self, ("views",), self.pictures, "for pictures; leave --no-pictures out")
        check_ray(self.ray)
        check_apart(self.output, self.data, "output")
        check_folder(self.output, "output")
        check_file(self.output / "features.json", "output")
        check_cache()
