"""Pictures of what language holds: embeddings and dense features in the colours of one basis for the scene."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from lerf.language.protocol import LanguageSource, Latent, coarse, middle_scale
from lerf.rendering.pca import PcaBasis, fit_pca_basis

BASIS_POINTS = 5000
"""Points of the surface, about, that a basis is fitted on."""


def feature_names(language: LanguageSource) -> tuple[str, ...]:
    """Names of the outputs that a language can show."""
    return ("clip", "dino") if language.dense_width else ("clip",)


@torch.no_grad()
def surface_features(
    language: LanguageSource, latent: Latent, name: str, points: int | None = None
) -> Float[Tensor, "points channels"]:
    """Embeddings at the middle of the scales (`clip`) or dense features (`dino`) of the surface's points.

    Args:
        language: that made the latent.
        latent: of the surface.
        name: one of `feature_names`.
        points: about how many, evenly spaced; by default all.
    """
    some = latent if points is None else coarse(latent, points)
    middle, parts = middle_scale(language), []
    for start in range(0, len(some), language.rays_at_once):
        part = some[start : start + language.rays_at_once]
        parts.append(language.dense(part) if name == "dino" else language.embed(part, middle))
    return torch.cat(parts)


def feature_bases(language: LanguageSource, latent: Latent) -> dict[str, PcaBasis]:
    """For each of `feature_names` the colours of the scene, fitted on what the training photos see."""
    return {
        name: fit_pca_basis(surface_features(language, latent, name, BASIS_POINTS).cpu())
        for name in feature_names(language)
    }
