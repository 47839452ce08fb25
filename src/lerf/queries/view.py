"""What a camera sees, kept between phrases: where light stops in each pixel, and the language's features there."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, fields

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lerf.fields.language import LanguageField, LightStops
from lerf.queries.lifted import Language, trained_field
from lerf.rays.bundle import RadianceSource, RayBundle
from lerf.rays.cameras import CameraTable
from lerf.rendering.image import view_rays
from lerf.rendering.stops import stops_and_matter

BUDGET = 256_000_000
"""Bytes of views that are kept; one that is larger is traced again for every phrase."""


@dataclass(frozen=True)
class ViewPart:
    """Some consecutive pixels of a view. Either features or stops are there, whichever the estimator reads."""

    positions: Float[Tensor, "rays 3"]
    """Where half of the light has stopped, normalised frame."""
    matter: Bool[Tensor, " rays"]
    """Whether the light meets anything."""
    features: Float[Tensor, "rays features"] | None
    """Grid features composited along rays: the deferred estimator's."""
    stops: LightStops | None

    def embed(self, language: Language, scale: Float[Tensor, " rays"]) -> Float[Tensor, "rays width"]:
        """Rendered unit embeddings at physical scales, normalised units."""
        if self.features is not None:
            return trained_field(language).embed(self.features, scale)
        assert self.stops is not None
        return language.render_at_scale(self.stops, scale)

    @property
    def size(self) -> int:
        """Bytes."""
        held = [self.positions, self.matter]
        held += [] if self.features is None else [self.features]
        held += [] if self.stops is None else [getattr(self.stops, field.name) for field in fields(LightStops)]
        return sum(tensor.numel() * tensor.element_size() for tensor in held)


class ViewMemory:
    """The views looked at last, within `budget` bytes."""

    def __init__(self, budget: int = BUDGET) -> None:
        self.budget = budget
        self._kept: OrderedDict[bytes, list[ViewPart]] = OrderedDict()

    def parts(self, source: RadianceSource, language: Language, cameras: CameraTable, index: int) -> Iterator[ViewPart]:
        """The parts of a view in order, remembered or traced."""
        key = _key(cameras, index)
        if key in self._kept:
            self._kept.move_to_end(key)
            yield from self._kept[key]
            return
        parts: list[ViewPart] | None = []
        used = 0
        for rays in view_rays(cameras, index):
            part = _trace(source, language, rays)
            used += part.size
            if parts is not None:
                parts.append(part)
                if used > self.budget:
                    parts = None
            yield part
        if parts is not None:
            self._kept[key] = parts
            while sum(part.size for kept in self._kept.values() for part in kept) > self.budget:
                self._kept.popitem(last=False)


def _key(cameras: CameraTable, index: int) -> bytes:
    """Everything that decides a camera's rays."""
    held = (
        cameras.positions, cameras.rotations, cameras.focal, cameras.centre, cameras.sizes, cameras.lens,
        cameras.fisheye,
    )  # fmt: skip
    return b"".join(tensor[index].cpu().contiguous().numpy().tobytes() for tensor in held)


@torch.no_grad()
def _trace(source: RadianceSource, language: Language, rays: RayBundle) -> ViewPart:
    stops, matter = stops_and_matter(source, rays, language.config.samples)
    if isinstance(language, LanguageField) and language.config.estimator == "deferred":
        return ViewPart(stops.median_position, matter, language.ray_features(stops), None)
    return ViewPart(stops.median_position, matter, None, stops)
