"""What a query is answered from: points of the scene's surface with what language read there, and their graph."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lerf.devices import in_parts
from lerf.errors import RunError
from lerf.geometry.contraction import contract
from lerf.geometry.extent import robust_diagonal
from lerf.geometry.traced_rays import TracedRays
from lerf.language.cell_language import CellLanguage
from lerf.language.protocol import LanguageSource, Latent
from lerf.queries.known_relevancy import KnownRelevancy
from lerf.queries.near import PointReader
from lerf.queries.one_thing import ThingViews, likelihoods
from lerf.queries.propagation import Neighbours, SurfaceGraph
from lerf.queries.scales import ScaleSearch
from lerf.radiance.surface import TracedSurface
from lerf.steps import Steps, finish

JOIN_SHARE = 0.02
"""Side of the cells that join points into instances, as a share of the points' robust diagonal."""

SMALLEST = 1e-5
"""Of these cells, contracted frame: a surface may be a single point."""

DepthMaps = dict[int, Float[Tensor, "_rows _columns"]]


@dataclass(frozen=True)
class Surface:
    """The points that answer, whatever they came from: rays of the photos, or cells of an index as rays of one
    sample."""

    rays: TracedRays
    language: LanguageSource
    latent: Latent
    """What the language has read along the rays."""
    graph: SurfaceGraph
    """Of the points in the contracted frame."""
    depth_maps: DepthMaps
    """Median depth on a raster of each training photo, normalised units; NaN where nothing stands."""
    least_cell: float = 0.0
    """Points are not joined by smaller cells than this, contracted frame."""

    def __len__(self) -> int:
        return len(self.rays)

    @property
    def positions(self) -> Float[Tensor, "points 3"]:
        """Normalised frame."""
        return self.rays.median_position

    @cached_property
    def contracted(self) -> Float[Tensor, "points 3"]:
        """The points in the contracted frame."""
        return contract(self.positions)

    @cached_property
    def answering(self) -> Bool[Tensor, " points"]:
        """Points that can answer: those somewhere finite where photos supervised language.

        Raises:
            RunError: there is none, or the language has no scales to ask at.
        """
        again = "train the run again in a new folder, with more --steps"
        if len(self) == 0 or not bool((finite := self.positions.isfinite().all(dim=-1)).any()):
            raise RunError(f"The radiance shows no surface in any training photo, so that nothing can answer; {again}.")
        if not bool((found := finite & self.latent.supported).any()):
            raise RunError(f"No training photo supervised language anywhere on the surface; {again}.")
        if not bool((self.language.scales.isfinite() & (self.language.scales > 0)).all()):
            raise RunError(f"The language has scales that are no lengths, so that nothing can be asked of it; {again}.")
        return found

    @cached_property
    def join_size(self) -> float:
        """Side of the cells of the contracted frame that join points into instances."""
        return max(JOIN_SHARE * robust_diagonal(self.contracted), self.least_cell, SMALLEST)

    @cached_property
    def reader(self) -> PointReader:
        """What the points say of places between them, no further than the cells that join points are large."""
        return PointReader(self.contracted, self.join_size)

    @cached_property
    def known(self) -> KnownRelevancy:
        """Relevancy of the phrases asked last."""
        return KnownRelevancy()

    @cached_property
    def scale_search(self) -> ScaleSearch:
        """What scales are chosen on."""
        return ScaleSearch(self.language, self.latent)


def surface_of_rays(traced: TracedSurface, language: LanguageSource) -> Surface:
    """The surface that photos see, with what a language reads there; which points are of one thing, no photo tells."""
    return finish(steps_of_rays(traced, language))


def steps_of_rays(traced: TracedSurface, language: LanguageSource, views: ThingViews | None = None) -> Steps[Surface]:
    """The surface that photos see, with what a language reads there; a step is one of `views`, the photos that tell
    which points are of one thing."""
    latent = language.for_many_phrases(language.encode(traced.rays))
    graph = yield from _graph(traced.rays.median_position, language, latent, traced.depth_maps, views)
    return Surface(traced.rays, language, latent, graph, traced.depth_maps)


def surface_of_cells(language: CellLanguage, depth_maps: DepthMaps) -> Surface:
    """The cells of an index as a surface: each is a ray that stops in it."""
    return finish(steps_of_cells(language, depth_maps))


def steps_of_cells(language: CellLanguage, depth_maps: DepthMaps, views: ThingViews | None = None) -> Steps[Surface]:
    """The cells of an index as a surface; steps as in `steps_of_rays`."""
    positions, latent = language.index.positions, language.encode_cells()
    graph = yield from _graph(positions, language, latent, depth_maps, views)
    rays = TracedRays.at_points(positions)
    return Surface(rays, language, latent, graph, depth_maps, language.index.provenance.cell_size)


def _graph(
    positions: Float[Tensor, "points 3"],
    language: LanguageSource,
    latent: Latent,
    depth_maps: DepthMaps,
    views: ThingViews | None,
) -> Steps[SurfaceGraph]:
    """The graph of points of the normalised frame."""
    neighbours, told = Neighbours.of(contract(positions)), None
    if views is not None:
        told = yield from likelihoods(positions, depth_maps, neighbours, views)
    return SurfaceGraph.between(neighbours, dense_features(language, latent), told)


def dense_features(language: LanguageSource, latent: Latent) -> Float[Tensor, "rays dense"] | None:
    """Dense features along all rays of a surface, on the CPU; None where the language has none."""
    if not language.dense_width:
        return None
    device = latent.low.device
    parts = in_parts(len(latent), language.rays_at_once, device, lambda part: language.dense(latent[part]).cpu())
    return torch.cat(list(parts))
