"""A trained field whose head runs at every sample, as in the paper, as a `LanguageSource`."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from lerf.geometry.traced_rays import TracedRays
from lerf.language.field import LanguageField
from lerf.language.field_language import HEADS_AT_ONCE, FieldLanguage
from lerf.language.protocol import Latent


class PerSampleLanguage(FieldLanguage):
    """Implements `LanguageSource` for a field with the estimator `per-sample`.

    Its latent are the rays themselves: the features of all samples would be many times larger.
    """

    def __init__(self, field: LanguageField) -> None:
        super().__init__(field)
        self.kept_code = field.width
        self.picture_samples: tuple[int, int | None] = (field.config.samples, None)
        self.rays_at_once = HEADS_AT_ONCE // field.config.samples

    @torch.no_grad()
    def encode(self, rays: TracedRays) -> Latent:
        """See `LanguageSource.encode`."""
        return Latent(rays.tensors, *self.supported(rays))

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
    return TracedRays(**latent.tensors)
