"""Pictures of one camera, made in steps: colour first, language only where an output needs it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from jaxtyping import Float
from torch import Tensor

from lerf.geometry.camera import Camera
from lerf.geometry.camera_table import CameraTable
from lerf.queries.maps import relevancy_maps
from lerf.queries.phrases import Phrases
from lerf.radiance.protocol import ColourPicture, Radiance
from lerf.rendering.view_cache import ViewCache
from lerf.steps import Steps

MOVING_SAMPLES = 24
"""Samples along a ray while the camera moves."""


@dataclass
class Frame:
    """A picture of one camera, with what was found out about it so far."""

    camera: Camera
    """Normalised frame."""
    picture: ColourPicture
    scored: dict[Any, Float[Tensor, "_height _width"]] = field(default_factory=dict)
    """Raw relevancy by phrase and settings."""
    features: dict[str, Float[Tensor, "_height _width 3"]] = field(default_factory=dict)
    """Pictures of the embeddings (`clip`) and of the dense features (`dino`)."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.camera.width, self.camera.height

    @cached_property
    def cameras(self) -> CameraTable:
        """The camera alone in a table."""
        device = self.picture.colour.device
        return CameraTable.from_cameras([self.camera], device=device, are_photos=False)


def render_frame(radiance: Radiance, camera: Camera, device: str, samples: int | None) -> Steps[Frame]:
    """Colour, depth and accumulation of a camera of the normalised frame."""
    table = CameraTable.from_cameras([camera], device=device, are_photos=False)
    return Frame(camera, (yield from radiance.render(table, 0, samples)))


def score(views: ViewCache, frame: Frame, phrases: Phrases, scales: Sequence[float], key: Any) -> Steps[None]:
    """Relevancy of phrases at their scales (normalised units), kept in the frame under (key, text, scale)."""
    wanted = {(key, text, scale): row for row, (text, scale) in enumerate(zip(phrases.texts, scales, strict=True))}
    # Only what this picture is asked now is kept: one map a phrase, not one for every scale that was ever tried.
    frame.scored = {name: value for name, value in frame.scored.items() if name in wanted}
    missing = {name: row for name, row in wanted.items() if name not in frame.scored}
    if missing:
        if phrases.exclusive:  # each depends on all
            missing = wanted
        rows = list(missing.values())
        chosen, at = phrases.chosen(rows), [scales[row] for row in rows]
        maps = yield from relevancy_maps(views, frame.cameras, 0, chosen, at)
        frame.scored.update(zip(missing, maps, strict=True))
