"""A trained LERF: query it, render it, read relevancy at points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from lerf.encoders.protocols import ImageTextEncoder
from lerf.errors import QueryError
from lerf.geometry.camera import Camera
from lerf.geometry.camera_table import CameraTable
from lerf.geometry.traced_rays import TracedRays
from lerf.language.protocol import LanguageSource, middle_scale
from lerf.queries.answer import AnswerSettings, PhraseAnswer, answer_steps
from lerf.queries.maps import NearCache, feature_map, raw_relevancy_maps, relevancy_maps
from lerf.queries.photo_cameras import PhotoCameras
from lerf.queries.phrases import Phrases, embed_phrases
from lerf.queries.result import QueryDefaults, QueryResult, View
from lerf.queries.scales import choose_scales, relevancy_at
from lerf.queries.surface import Surface
from lerf.radiance.protocol import Radiance
from lerf.rendering.view_cache import ViewCache
from lerf.run.open_run import IndexUse
from lerf.run.surfaces import Surfaces
from lerf.scenes.scene import Scene
from lerf.steps import Steps, finish


class Model:
    """Radiance, language, photos and encoder of one run. Positions, scales and extents are in the capture frame."""

    def __init__(
        self,
        scene: Scene,
        radiance: Radiance,
        language: LanguageSource,
        encoder: ImageTextEncoder,
        *,
        defaults: QueryDefaults,
        device: str = "cpu",
        folder: Path | None = None,
    ) -> None:
        """`folder` is where the run's surface and a baked index are looked for."""
        self.scene, self.radiance, self.language, self.encoder = scene, radiance, language, encoder
        self.defaults, self.device, self.folder = defaults, device, folder
        self.photos = PhotoCameras.of(scene, device)
        self.views, self.near = ViewCache(radiance, language), NearCache(radiance)
        self.surfaces = Surfaces(radiance, language, encoder, self.photos, folder)

    @property
    def cameras(self) -> CameraTable:
        """The photos' cameras in the normalised frame."""
        return self.photos.table

    @property
    def surface(self) -> Surface:
        """Points of the surface that the photos see, as the run's language reads them; traced at the first query."""
        return self.surfaces.of_language

    def phrases(
        self, texts: str | Sequence[str], canonical: Sequence[str] | None = None, temperature: float | None = None,
        exclusive: bool = False,
    ) -> Phrases:  # fmt: skip
        """Embed phrases, and canonical ones that they must beat, by default the run's; exclusive ones beat each other.

        Raises:
            QueryError: an empty phrase, no canonical phrase, or a temperature that is not positive.
        """
        negatives = self.defaults.canonical if canonical is None else canonical
        factor = self.defaults.temperature if temperature is None else temperature
        return embed_phrases(self.encoder, texts, negatives, factor, self.device, exclusive, self.surfaces.search)

    def query(
        self,
        texts: str | Sequence[str],
        *,
        canonical: Sequence[str] | None = None,
        temperature: float | None = None,
        threshold: float | None = None,
        scale: float | None = None,
        index: IndexUse = "auto",
        compare: bool = False,
        exclusive: bool = False,
    ) -> QueryResult:
        """Where in the scene phrases are, if they are.

        Args:
            texts: one phrase or several.
            canonical: phrases to beat, instead of the run's.
            temperature: factor on cosines, instead of the encoder's.
            threshold: relevancy from which a phrase counts as present, instead of the encoder's.
            scale: tile height in capture units for all phrases, instead of the best one.
            index: whether the baked index answers (`lerf bake`): where a fresh one is there, always, or never.
            compare: with an index, also ask the field how far each answer is from its own.
            exclusive: every place answers only the phrase that leads there.

        Raises:
            QueryError: an empty phrase or a setting out of range.
            RunError: an index is required and there is none, or none of this state of the run.
        """
        phrases = self.phrases(texts, canonical, temperature, exclusive)
        limit = self.defaults.threshold if threshold is None else threshold
        found = finish(self.answer(phrases, limit, None if scale is None else [scale] * len(phrases), index))
        told = self.surfaces.note(index, phrases, found if compare else None)
        settings = self.encoder.name, phrases.canonical_texts, phrases.temperature, limit
        return QueryResult(*settings, tuple(own.answer for own in found), told, exclusive)

    def answer(
        self, phrases: Phrases, threshold: float | None = None, scales: Sequence[float | None] | None = None,
        index: IndexUse = "auto",
    ) -> Steps[list[PhraseAnswer]]:  # fmt: skip
        """`queries.answer.answer_steps` of this run; the scales of phrases are in capture units.

        Raises:
            QueryError: a threshold or scale out of range.
            RunError: as `query`.
        """
        limit = self.defaults.threshold if threshold is None else threshold
        if not 0.0 <= limit <= 1.0:
            raise QueryError(f"The threshold must lie in 0..1, not {limit}.")
        inside = tuple(None if scale is None else self.photos.normalised_scale(scale) for scale in scales or ())
        surface = yield from self.surfaces.open_steps(index)
        return (yield from answer_steps(surface, phrases, self.photos, AnswerSettings(limit, inside)))

    def render(
        self,
        camera: Camera | int,
        query: str | Sequence[str] | None = None,
        *,
        canonical: Sequence[str] | None = None, temperature: float | None = None,
        scale: float | None = None, exclusive: bool = False,
    ) -> View:  # fmt: skip
        """Colour, depth and the relevancy of phrases seen by a camera.

        Args:
            camera: index of a photo, or a camera in the capture frame.
            query: phrases whose relevancy is wanted.
            canonical, temperature, exclusive: as in `query`.
            scale: as in `query`; by default each phrase's scale is chosen once for the whole scene.
        """
        cameras, index = self.photos.row_of(camera)
        picture, unit = finish(self.radiance.render(cameras, index)), self.photos.unit
        view = View(replace(picture, depth=picture.depth / unit), {}, {})
        if query is None:
            return view
        phrases = self.phrases(query, canonical, temperature, exclusive)
        scales = self.scales(phrases, scale)
        maps = self.relevancy_maps(cameras, index, phrases, scales, picture.depth)
        told = dict(zip(phrases.texts, (value / unit for value in scales), strict=True))
        return replace(view, relevancy=dict(zip(phrases.texts, maps, strict=True)), scales=told)

    def relevancy_maps(
        self, cameras: CameraTable, index: int, phrases: Phrases, scales: Sequence[float],
        depth: Float[Tensor, "height width"] | None = None, raw: bool = False,
    ) -> Float[Tensor, "phrases height width"]:  # fmt: skip
        """Relevancy of phrases at their scales over a picture, whose depth may be known (both in normalised units); or
        raw, before anything is propagated."""
        if raw:
            return finish(raw_relevancy_maps(self.views, cameras, index, phrases, scales))
        near = finish(self.near.near(surface := self.surfaces.open(), cameras, index, depth))
        return finish(relevancy_maps(surface, near, cameras.sizes_on_host[index], phrases, scales))

    def scales(self, phrases: Phrases, scale: float | None = None) -> list[float]:
        """The scale of each phrase in normalised units: one given in capture units, or that of its answer."""
        if scale is not None:
            return [self.photos.normalised_scale(scale)] * len(phrases)
        return finish(choose_scales(self.surfaces.open("auto").scale_search, phrases))

    def render_features(
        self, camera: Camera | int, scale: float | None = None, dense: bool = False
    ) -> Float[Tensor, "height width channels"]:
        """Rendered unit embeddings at a scale in capture units, by default the middle of those seen in training; or
        dense features.

        Raises:
            QueryError: dense features are asked for and the run has none.
        """
        wanted = middle_scale(self.language) if scale is None else self.photos.normalised_scale(scale)
        return finish(feature_map(self.views, *self.photos.row_of(camera), None if dense else wanted))

    @torch.no_grad()
    def relevancy_at(
        self, points: Float[np.ndarray, "points 3"] | Float[Tensor, "points 3"], query: str, scale: float
    ) -> Float[Tensor, " points"]:
        """Raw relevancy of a phrase at points of the capture frame and a scale in capture units, 0..1.

        Each point answers at the closest scale that photos supervised there, and with 0 where there was none; it need
        not lie on a surface.
        """
        array = np.asarray(points.cpu() if isinstance(points, Tensor) else points, dtype=np.float64)
        rays = TracedRays.at_points(self.photos.normalised_points(array).to(self.device))
        latent = self.language.encode(rays)
        return relevancy_at(self.language, latent, self.phrases(query), self.photos.normalised_scale(scale))[0]
