"""What phrases are answered from while nerfstudio trains or shows: the scene's surface at some step.

The scale of a phrase is chosen once on the surface, for all views: chosen in each view it would flicker in a film.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lerf.geometry.rays import RayBundle, rays_at_once
from lerf.geometry.traced_rays import TracedRays
from lerf.language.field import LanguageField
from lerf.language.protocol import LanguageSource, middle_scale
from lerf.queries.phrases import Phrases
from lerf.queries.refined import relevancy_of_surface
from lerf.queries.scales import choose_scales
from lerf.queries.surface import Surface, surface_of_rays
from lerf.radiance.hash_grid.field import RadianceField
from lerf.radiance.surface import TracedSurface
from lerf.rendering.features import feature_bases
from lerf.rendering.pca import PcaBasis, apply_pca_basis
from lerf.run.open_run import source_of
from lerf.steps import finish


@dataclass
class Answers:
    """The surface, the colours of features, and the scales of the phrases asked so far."""

    surface: Surface
    bases: dict[str, PcaBasis]
    _scales: dict[tuple[object, ...], list[float]] = field(default_factory=dict)

    @staticmethod
    def of(radiance: RadianceField, language: LanguageField, rays: Iterable[RayBundle]) -> Answers | None:
        """From the rays of the training photos' rasters; None where none meets anything that language was learnt of."""
        source = source_of(language)
        traced, photos = zip(*_traced(radiance, source, rays), strict=True)
        hits = TracedRays.joined(traced)
        if len(hits) == 0 or not bool(source.encode(hits).supported.any()):
            return None
        surface = surface_of_rays(TracedSurface(hits, torch.cat(photos), {}), source)
        return Answers(surface, feature_bases(source, surface.latent))

    def scales(self, phrases: Phrases) -> list[float]:
        """The scale of each phrase in normalised units, chosen on the surface."""
        key = (phrases.texts, phrases.canonical_texts, phrases.temperature)
        if key not in self._scales:
            self._scales[key] = finish(choose_scales(self.surface.scale_search, phrases))
        return self._scales[key]


def _traced(
    radiance: RadianceField, source: LanguageSource, rays: Iterable[RayBundle]
) -> Iterable[tuple[TracedRays, Int[Tensor, " rays"]]]:
    for of_photo in rays:
        traced = radiance.sample_rays(of_photo).traced(of_photo, source.samples)
        yield traced[traced.hit], of_photo.photo[traced.hit]


@torch.no_grad()
def read_view(
    radiance: RadianceField,
    language: LanguageField,
    answers: Answers,
    rays: RayBundle,
    points: Float[Tensor, "rays 3"],
    phrases: Phrases | None,
    scales: list[float],
) -> dict[str, Float[Tensor, "rays channels"]]:
    """Outputs of language along rays: `clip` and `dino` as colours, and the `relevancy_i` of phrases.

    Relevancy is that of the surface, which every camera reads where it looks (`queries.maps`).

    Args:
        radiance, language: the fields.
        answers: whose surface and colours are used.
        rays: of a view, in any order.
        points: where they stop, normalised frame; not finite where nothing stands.
        phrases: None for no relevancy.
        scales: of the phrases, normalised units.
    """
    source, surface = source_of(language), answers.surface
    heaviest, samples = source.picture_samples
    middle, parts = middle_scale(source), []
    of_points = None if phrases is None else finish(relevancy_of_surface(surface, phrases, scales)).refined
    for start in range(0, len(rays), size := rays_at_once(rays.origins.device, samples)):
        some = rays[start : start + size]
        traced = radiance.sample_rays(some, samples).traced(some, heaviest)
        latent = source.encode(traced)
        found = {"clip": _colours(answers.bases["clip"], source.embed(latent, middle), traced.hit)}
        if "dino" in answers.bases:
            found["dino"] = _colours(answers.bases["dino"], source.dense(latent), traced.hit)
        if of_points is not None:
            relevancy = surface.reader.near(points[start : start + size]).read(of_points)
            found |= {f"relevancy_{row}": own[:, None] for row, own in enumerate(relevancy)}
        parts.append(found)
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def _colours(basis: PcaBasis, features: Float[Tensor, "rays width"], hit: Tensor) -> Float[Tensor, "rays 3"]:
    """Features in the colours of a basis, black where nothing stands."""
    return apply_pca_basis(basis, features[None])[0].to(hit.device) * hit[:, None]
