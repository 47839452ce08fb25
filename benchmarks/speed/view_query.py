"""One phrase on one view: the first, and the next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from lerf import kernels
from lerf.encoders.protocols import EncoderDefaults
from lerf.geometry.rays import RayBundle
from lerf.geometry.similarity import Similarity
from lerf.model import Model
from lerf.queries.relevancy import relevancy
from lerf.queries.scales import candidate_scales
from lerf.rendering.stops import stops_and_matter
from lerf.rendering.view_cache import ViewMemory
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
    return Model(
        scene, scenery.radiance_field(sizes), scenery.language_field(sizes), RandomWords(sizes.width),
        canonical=("object", "things", "stuff", "texture"), temperature=10.0, threshold=0.5,
    )  # fmt: skip


def query_on(model: Model, phrases: int = 1, fresh: bool = True) -> Work:
    """Scale by a sweep over 30, then the whole view at it; `fresh` forgets the view first."""

    def ask() -> torch.Tensor:
        if fresh:
            model.views = ViewMemory()
        asked = model.phrases([f"phrase {number}" for number in range(phrases)])
        scales = model.choose_view_scales(model.cameras, 0, asked)
        return model.relevancy_maps(model.cameras, 0, asked, scales)

    return ask


@torch.no_grad()
def sweep_every_sample(model: Model, rays: RayBundle) -> torch.Tensor:
    """The authors' query: the head at every sample and each of 30 scales, the best of which is kept."""
    field, phrases = model.language, model.phrases("phrase 0")
    stops, _ = stops_and_matter(model.source, rays, field.config.samples)
    count, samples = stops.weights.shape
    features = field.features(stops.positions.reshape(-1, 3))  # type: ignore[union-attr]
    best = torch.zeros(count)
    for scale in candidate_scales(field.scale_range):
        phi = field.embed(features, scale.expand(len(features)))  # type: ignore[union-attr]
        embedding = F.normalize(kernels.composite(stops.weights, phi.view(count, samples, -1)), dim=-1)
        found = relevancy(embedding, phrases.queries, phrases.canonical, phrases.temperature)[0]
        best = torch.maximum(best, found)
    return best


def rows(sizes: Sizes, rates: Rates) -> Iterator[Row]:
    """Rays a second against the sweep at every sample in plain torch, and the floor of the next phrase."""
    model = model_of(sizes)
    width, height = sizes.view
    pixels = torch.rand(sizes.reference_rays, 2) * torch.tensor([float(width), float(height)])
    rays = model.cameras.rays(torch.zeros(sizes.reference_rays, dtype=torch.long), pixels)
    reference = plainly(lambda: sweep_every_sample(model, rays))
    shares = (float(width * height), float(sizes.reference_rays))
    work = f"one phrase, 30 scales, {width}x{height}; the reference on {sizes.reference_rays} of the rays"
    first, following = "first query on a view", "next query on the same view"
    # The first comes first in each round and leaves the view to the next.
    yield from compare(
        "query", work, {first: query_on(model), following: query_on(model, fresh=False)}, reference,
        sizes.slow_repeats, shares=shares, targets={first: FIRST, following: NEXT},
    )  # fmt: skip
    c, layout = sizes.language, model.language.grid.layout  # type: ignore[union-attr]
    folded = (layout.width + 1, *[c.hidden] * c.layers, min(c.hidden + 1, sizes.width) + 5)
    count = floors.dense(width * height, folded)
    values = [value / count.floor(rates) for value in timed(query_on(model, fresh=False), sizes.slow_repeats)]
    yield row("floor", following, f"{work}; limit: {count.limit(rates)}", values, "x floor")
