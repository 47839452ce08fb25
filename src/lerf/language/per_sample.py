"""A trained field whose head runs at every sample, as in the paper, as a `LanguageSource`."""

from __future__ import annotations

from dataclasses import fields
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from lerf.geometry.traced_rays import TracedRays
from lerf.language.deferred import HEADS_AT_ONCE
from lerf.language.field import LanguageField
from lerf.language.protocol import Latent, candidate_scales, coarse


class PerSampleLanguage:
    """Implements `LanguageSource` for a field with the estimator `per-sample`.

    Its latent are the rays themselves: the features of all samples would be many times larger.
    """

    def __init__(self, field: LanguageField) -> None:
        self.field = field
        self.width = field.width
        self.dense_width = 0 if field.dense_head is None else int(field.dense_head[-1].out_features)  # type: ignore[arg-type]
        self.samples = field.config.samples
        self.kept_code = field.width
        self.picture_samples: tuple[int, int | None] = (field.config.samples, None)
        self.rays_at_once = HEADS_AT_ONCE // field.config.samples

    @cached_property
    def scales(self) -> Float[Tensor, " scales"]:
        """See `LanguageSource.scales`."""
        return candidate_scales(self.field.scale_range)

    @torch.no_grad()
    def supported(self, rays: TracedRays) -> tuple[Float[Tensor, " rays"], Float[Tensor, " rays"]]:
        """See `LanguageSource.supported`."""
        return self.field.bounds.supported(rays.median_position)

    @torch.no_grad()
    def encode(self, rays: TracedRays) -> Latent:
        """See `LanguageSource.encode`."""
        return Latent(rays.tensors, *self.supported(rays))

    def for_many_phrases(self, latent: Latent) -> Latent:
        """See `LanguageSource.for_many_phrases`: there is nothing to add."""
        return latent

    def scale_latent(self, latent: Latent) -> Latent:
        """See `LanguageSource.scale_latent`: some of the rays."""
        return coarse(latent)

    @torch.no_grad()
    def cosines(self, latent: Latent, texts: Float[Tensor, "texts width"], scale: float) -> Float[Tensor, "texts rays"]:
        """See `LanguageSource.cosines`."""
        return texts @ self.embed(latent, scale).T

    def codes(self, latent: Latent, scale: float) -> Float[Tensor, "rays code"]:
        """See `LanguageSource.codes`: the embeddings, as there is nothing shorter."""
        return self.embed(latent, scale)

    def project(self, texts: Float[Tensor, "texts width"]) -> Float[Tensor, "texts code"]:
        """See `LanguageSource.project`."""
        return texts

    @torch.no_grad()
    def embed(self, latent: Latent, scale: float) -> Float[Tensor, "rays width"]:
        """See `LanguageSource.embed`."""
        rays = _rays(latent)
        scales = latent.nearest_scale(scale)[:, None].expand(-1, rays.weights.shape[1])
        return self.field.composite_embeddings(rays, self._features(rays), scales)

    @torch.no_grad()
    def dense(self, latent: Latent) -> Float[Tensor, "rays dense"]:
        """See `LanguageSource.dense`."""
        rays = _rays(latent)
        return self.field.composite_dense(rays, self._features(rays))

    def _features(self, rays: TracedRays) -> Float[Tensor, "points features"]:
        return self.field.features(rays.positions.reshape(-1, 3))


def _rays(latent: Latent) -> TracedRays:
    return TracedRays(**{field.name: latent.tensors[field.name] for field in fields(TracedRays)})
