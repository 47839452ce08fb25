"""What both estimators of a trained field share as `LanguageSource`s."""

from __future__ import annotations

from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from lerf.geometry.traced_rays import TracedRays
from lerf.language.field import LanguageField
from lerf.language.protocol import Latent, candidate_scales, coarse

HEADS_AT_ONCE = 32768
"""Evaluations of a head in one call: bounds the memory."""


class FieldLanguage:
    """The part of `LanguageSource` that does not depend on the estimator."""

    def __init__(self, field: LanguageField) -> None:
        self.field = field
        self.width = field.width
        self.dense_width = 0 if field.dense_head is None else int(field.dense_head[-1].out_features)  # type: ignore[arg-type]
        self.samples = field.config.samples

    @cached_property
    def scales(self) -> Float[Tensor, " scales"]:
        """See `LanguageSource.scales`."""
        return candidate_scales(self.field.scale_range)

    @torch.no_grad()
    def supported(self, rays: TracedRays) -> tuple[Float[Tensor, " rays"], Float[Tensor, " rays"]]:
        """See `LanguageSource.supported`."""
        return self.field.bounds.supported(rays.median_position)

    def for_many_phrases(self, latent: Latent) -> Latent:
        """See `LanguageSource.for_many_phrases`: there is nothing to add."""
        return latent

    def scale_latent(self, latent: Latent) -> Latent:
        """See `LanguageSource.scale_latent`: some of the rays."""
        return coarse(latent)
