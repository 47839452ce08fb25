"""One phrase on one view: the first of a scene, the first of a view, and the next.

A view's relevancy is that of the surface where its pixels look: the first phrase of a view renders its depth, the next
does not."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from lerf import kernels
from lerf.encoders.protocols import EncoderDefaults
from lerf.errors import LerfWarning
from lerf.geometry.rays import RayBundle
from lerf.geometry.similarity import Similarity
from lerf.language.deferred import DeferredLanguage
from lerf.language.field import LanguageField
from lerf.language.protocol import candidate_scales
from lerf.model import Model
from lerf.queries.maps import NearCache
from lerf.queries.relevancy import relevancy
from lerf.queries.result import QueryDefaults
from lerf.radiance.hash_grid.field import RadianceField
from lerf.radiance.hash_grid.radiance import HashGridRadiance
from lerf.scenes.scene import Photo, Scene
from speed import floors, scenery
from speed.machine import Rates
from speed.measure import Row, Work, compare, row, timed
from speed.plain import plainly
from speed.sizes import Sizes

FIRST, NEXT = 200.0, 500.0


class RandomWords:
    """An encoder of texts whose embeddings mean nothing."""

    name, fingerprint, input_size = "random-words", "none", 8
    defaults = EncoderDefaults((0.1,), 10.0, 0.5)

    def __init__(self, width: int) -> None:
        self.width = width

    def encode_text(self, phrases: Sequence[str]) -> torch.Tensor:
        """Unit vectors."""
        return scenery.unit(len(phrases), self.width, seed=len("".join(phrases)))

    def encode_tiles(self, tiles: torch.Tensor) -> torch.Tensor:
        """Unit vectors."""
        return scenery.unit(len(tiles), self.width)


def model_of(sizes: Sizes, view: tuple[int, int] | None = None) -> Model:
    """A run that was never trained, photographed by the ring."""
    width, height = view or sizes.view
    cameras = [scenery.camera(2 * np.pi * k / scenery.PHOTOS, width, height) for k in range(scenery.PHOTOS)]
    photos = tuple(Photo(f"{k}.jpg", Path(f"{k}.jpg"), camera, (width, height)) for k, camera in enumerate(cameras))
    scene = Scene(Path(), photos, tuple(range(len(photos))), (), Similarity.identity())
    radiance, language = scenery.radiance_field(sizes).eval(), scenery.language_field(sizes).eval()
    defaults = QueryDefaults(("object", "things", "stuff", "texture"), 10.0, 0.5)
    model = Model(
        scene, HashGridRadiance(radiance), DeferredLanguage(language), RandomWords(sizes.width), defaults=defaults
    )
    # The surface belongs to a run, as its fields do; there are no photos that could tell its things apart.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LerfWarning)
        assert len(model.surface)
    return model


def query_on(model: Model, phrases: int = 1, *, new_scene: bool = False, new_view: bool = True) -> Work:
    """The scale at which each phrase answers in the scene, of 30, then the whole view at it.

    `new_view` forgets the view, `new_scene` what earlier phrases left of the scales.
    """

    turns = itertools.count()

    def ask() -> torch.Tensor:
        if new_view:
            model.near = NearCache(model.radiance)
        if new_scene:
            vars(model.surface).pop("scale_search", None)
        # A surface remembers phrases: they are others every time.
        turn = "o" * next(turns)
        asked = model.phrases([f"phrase {number}{turn}" for number in range(phrases)])
        return model.relevancy_maps(model.cameras, 0, asked, model.scales(asked))

    return ask


@torch.no_grad()
def sweep_every_sample(radiance: RadianceField, field: LanguageField, model: Model, rays: RayBundle) -> torch.Tensor:
    """The authors' query: the head at every sample and each of 30 scales, the best of which is kept."""
    phrases = model.phrases("phrase 0")
    traced = radiance.sample_rays(rays).traced(rays, field.config.samples)
    count, samples = traced.weights.shape
    features = field.features(traced.positions.reshape(-1, 3))
    best = torch.zeros(count)
    for scale in candidate_scales(field.scale_range):
        phi = field.embed(features, scale.expand(len(features)))
        embedding = F.normalize(kernels.composite(traced.weights, phi.view(count, samples, -1)), dim=-1)
        found = relevancy(embedding, phrases.queries, phrases.canonical, phrases.temperature)[0]
        best = torch.maximum(best, found)
    return best


def rows(sizes: Sizes, rates: Rates) -> Iterator[Row]:
    """Rays a second against the sweep at every sample in plain torch, and the floor of the next phrase."""
    model = model_of(sizes)
    width, height = sizes.view
    pixels = torch.rand(sizes.reference_rays, 2) * torch.tensor([float(width), float(height)])
    rays = model.cameras.rays(torch.zeros(sizes.reference_rays, dtype=torch.long), pixels)
    radiance, field = model.radiance.field, model.language.field  # type: ignore[attr-defined]
    reference = plainly(lambda: sweep_every_sample(radiance, field, model, rays))
    shares = (float(width * height), float(sizes.reference_rays))
    work = f"one phrase, 30 scales, {width}x{height}; the reference on {sizes.reference_rays} of the rays"
    scene, first, following = "first query in a scene", "first query on a view", "next query on the same view"
    # In this order each round: the scene's first leaves its scales, the view's first the view.
    asked = {
        scene: query_on(model, new_scene=True),
        first: query_on(model),
        following: query_on(model, new_view=False),
    }
    yield from compare(
        "query", work, asked, reference, sizes.slow_repeats, shares=shares, targets={first: FIRST, following: NEXT}
    )
    c, layout = sizes.language, field.grid.layout
    folded = (layout.width + 1, *[c.hidden] * c.layers, min(c.hidden + 1, sizes.width) + 5)
    count = floors.dense(len(model.surface), folded)
    values = [value / count.floor(rates) for value in timed(query_on(model, new_view=False), sizes.slow_repeats)]
    yield row("floor", following, f"{work}; limit: {count.limit(rates)}", values, "x floor")
