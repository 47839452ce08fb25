"""Pictures of one camera, made in steps: colour first, language only where an output needs it."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lerf.geometry.camera import Camera
from lerf.geometry.camera_table import CameraTable
from lerf.geometry.rays import RadianceSource, RayBundle
from lerf.language.field import LanguageField, LightStops
from lerf.language.lifted import Language, deferred_field, trained_field
from lerf.queries.phrases import Phrases
from lerf.queries.relevancy import relevancy
from lerf.radiance.hash_grid.field import RadianceField
from lerf.rendering.image import ColourPicture, render_rays, view_rays
from lerf.rendering.view_cache import stops_of_picture

CHUNK = {"cpu": 2400}
"""Rays of one step by kind of device: some 50 ms on two cores, so that a page never waits long for another's step."""
LARGE_CHUNK = 1 << 16
MOVING_SAMPLES = 24
"""Samples along a ray while the camera moves."""


@dataclass(frozen=True)
class Seen:
    """What language needs to know of a picture's rays, a chunk of them."""

    stops: LightStops
    matter: Bool[Tensor, " rays"]
    features: Float[Tensor, "rays features"] | None
    """Composited grid features, for the deferred estimator."""

    @property
    def bytes(self) -> int:
        """Memory held."""
        tensors = [*self.stops.tensors.values(), self.matter, self.features]
        return sum(t.numel() * t.element_size() for t in tensors if t is not None)


@dataclass
class Frame:
    """A picture of one camera, with what was found out about it so far."""

    camera: Camera
    """Normalised frame."""
    picture: ColourPicture
    seen: list[Seen] | None = None
    """In order of the pixels; None until an output needed it, or again when memory was needed elsewhere."""
    scored: dict[Any, Float[Tensor, "height width"]] = field(default_factory=dict)
    """Raw relevancy by phrase and settings."""
    features: dict[str, Float[Tensor, "height width 3"]] = field(default_factory=dict)
    """Pictures of the embeddings (`clip`) and of the dense features (`dino`)."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.camera.width, self.camera.height

    @property
    def bytes(self) -> int:
        """Memory held for language."""
        return sum(part.bytes for part in self.seen or [])


def chunk_of(device: str) -> int:
    """Rays of one step."""
    return CHUNK.get(device, LARGE_CHUNK)


def rays_of(camera: Camera, device: str) -> list[RayBundle]:
    """The rays of a camera of the normalised frame, a list of steps."""
    table = CameraTable.from_cameras([camera], device=device, are_photos=False)
    return list(view_rays(table, 0, chunk_of(device)))


def render_frame(radiance: RadianceField, camera: Camera, device: str, samples: int) -> Generator[None, None, Frame]:
    """Colour, depth and accumulation of a camera of the normalised frame; a step is a chunk of rays."""
    parts = []
    for rays in rays_of(camera, device):
        parts.append(render_rays(radiance, rays, samples))
        yield
    colour, depth, accumulation = (torch.cat(part) for part in zip(*parts, strict=True))
    shape = (camera.height, camera.width)
    return Frame(camera, ColourPicture(colour.view(*shape, 3), depth.view(shape), accumulation.view(shape)))


def see(source: RadianceSource, language: Language, frame: Frame, device: str) -> Generator[None, None, list[Seen]]:
    """Where the light of a picture's rays stops, kept in the frame for the next phrase."""
    if frame.seen is None:
        field, parts = deferred_field(language), []
        for rays in rays_of(frame.camera, device):
            stops, matter = stops_of_picture(source, language, rays)
            features = None if field is None else field.ray_features(stops)
            parts.append(Seen(stops, matter, features))
            yield
        frame.seen = parts
    return frame.seen


def embed(language: Language, seen: Seen, scale: float) -> tuple[Tensor, Tensor]:
    """Embeddings of a chunk at one scale, or the closest one supervised, and where any was."""
    asked = torch.full((len(seen.matter),), scale, device=seen.matter.device)
    at, known = language.bounds.nearest_supervised(seen.stops.median_position, asked)
    if seen.features is not None and isinstance(language, LanguageField):
        return language.embed(seen.features, at), known
    return language.render_at_scale(seen.stops, at), known


def score(
    language: Language, frame: Frame, seen: Sequence[Seen], phrases: Phrases, scales: Sequence[float], key: Any
) -> Generator[None, None, None]:
    """Relevancy of phrases at their scales (normalised units), kept in the frame under (key, text, scale)."""
    width, height = frame.size
    wanted = {
        (key, text, scale): row for row, (text, scale) in enumerate(zip(phrases.texts, scales, strict=True))
    }  # fmt: skip
    # Only what this picture is asked now is kept: one map a phrase, not one for every scale that was ever tried.
    frame.scored = {name: value for name, value in frame.scored.items() if name in wanted}
    missing = {name: row for name, row in wanted.items() if name not in frame.scored}
    for scale in dict.fromkeys(name[2] for name in missing):
        names = [name for name in missing if name[2] == scale]
        queries = phrases.queries[[missing[name] for name in names]]
        parts = []
        for chunk in seen:
            embedding, known = embed(language, chunk, scale)
            found = relevancy(embedding, queries, phrases.canonical, phrases.temperature)
            parts.append(found * (known & chunk.matter))
            yield
        maps = torch.cat(parts, dim=1).view(len(names), height, width)
        frame.scored.update(zip(names, maps, strict=True))


def feature_maps(
    language: Language, seen: Sequence[Seen], frame: Frame, scale: float, dense: bool
) -> Generator[None, None, Tensor]:
    """Rendered embeddings at a scale in normalised units, or dense features: [height, width, channels]."""
    width, height = frame.size
    parts = []
    for chunk in seen:
        if dense:
            parts.append(trained_field(language).render_dense(chunk.stops))
        else:
            parts.append(embed(language, chunk, scale)[0])
        yield
    return torch.cat(parts).view(height, width, -1)
