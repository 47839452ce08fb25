"""Pictures of one camera, made in steps: colour first, language only where an output needs it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from jaxtyping import Float
from torch import Tensor

from lerf.geometry.camera import Camera
from lerf.geometry.camera_table import CameraTable
from lerf.queries.maps import near_pixels, raw_relevancy_maps, relevancy_maps
from lerf.queries.near import Near
from lerf.queries.phrases import Phrases
from lerf.queries.surface import Surface
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
    """Relevancy by phrase and settings."""
    raw: dict[Any, Float[Tensor, "_height _width"]] = field(default_factory=dict)
    """Raw relevancy of the phrase that it was asked for last."""
    near: Near | None = None
    """The surface's points next to what its pixels show, once relevancy was asked for."""
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


def score(surface: Surface, frame: Frame, phrases: Phrases, scales: Sequence[float], key: Any) -> Steps[None]:
    """Relevancy of phrases at their scales (normalised units), kept in the frame under (key, text, scale).

    Where the pixels read the surface is found out once a frame.
    """
    wanted = {(key, text, scale): row for row, (text, scale) in enumerate(zip(phrases.texts, scales, strict=True))}
    # Only what this picture is asked now is kept: one map a phrase, not one for every scale that was ever tried.
    frame.scored = {name: value for name, value in frame.scored.items() if name in wanted}
    if wanted.keys() <= frame.scored.keys():
        return
    if frame.near is None:
        frame.near = yield from near_pixels(surface, frame.cameras, 0, frame.picture.depth)
    maps = yield from relevancy_maps(surface, frame.near, frame.size, phrases, scales)
    frame.scored.update(zip(wanted, maps, strict=True))


def score_raw(views: ViewCache, frame: Frame, phrases: Phrases, row: int, scale: float, key: Any) -> Steps[None]:
    """Raw relevancy of one of the phrases at its scale, kept in the frame under ("raw", key, text, scale); of exclusive
    phrases it is that of the phrase alone."""
    name = ("raw", key, phrases.texts[row], scale)
    if name not in frame.raw:
        alone = replace(phrases.chosen([row]), exclusive=False)
        maps = yield from raw_relevancy_maps(views, frame.cameras, 0, alone, [scale])
        frame.raw = {name: maps[0]}
