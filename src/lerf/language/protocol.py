"""What language must offer, whether it is a trained field or an index of cells: all that queries see of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lerf.geometry.traced_rays import TracedRays


@dataclass(frozen=True)
class Latent:
    """What a language source has read along rays, before any phrase and scale."""

    tensors: dict[str, Tensor]
    """By name, rays along the first axis; the source that made them alone reads them."""
    low: Float[Tensor, " rays"]
    """Smallest scale supervised where each ray stops, normalised units."""
    high: Float[Tensor, " rays"]
    """Largest one; smaller than `low` where no photo supervised any."""

    def __len__(self) -> int:
        return len(self.low)

    def __getitem__(self, index: slice | Tensor) -> Latent:
        """Of some of the rays, by slice, index or mask."""
        tensors = {name: tensor[index] for name, tensor in self.tensors.items()}
        return Latent(tensors, self.low[index], self.high[index])

    @property
    def supported(self) -> Bool[Tensor, " rays"]:
        """Whether photos supervised any scale there."""
        return self.low <= self.high

    def nearest_scale(self, scale: float) -> Float[Tensor, " rays"]:
        """The supervised scale of each ray that is closest to `scale`; `scale` itself where there is none.

        A distant wall and a near cup were seen in tiles of different heights: asked about one scale, each answers at
        the closest that it knows. Normalised units.
        """
        wanted = torch.full_like(self.low, scale)
        return torch.where(self.supported, torch.minimum(torch.maximum(wanted, self.low), self.high), wanted)

    @property
    def bytes(self) -> int:
        """Memory held."""
        held = [*self.tensors.values(), self.low, self.high]
        return sum(tensor.numel() * tensor.element_size() for tensor in held)


@runtime_checkable
class LanguageSource(Protocol):
    """Unit embeddings along traced rays at physical scales. Nothing has gradients; scales are in normalised units.

    A ray that is asked about a scale which no photo supervised there answers at the closest one that was.
    """

    @property
    def width(self) -> int:
        """Length of an embedding."""
        ...

    @property
    def dense_width(self) -> int:
        """Length of a dense feature; 0 where there are none."""
        ...

    @property
    def scales(self) -> Float[Tensor, " scales"]:
        """Scales at which a phrase is tried, increasing."""
        ...

    @property
    def samples(self) -> int:
        """Heaviest samples of a ray that it reads."""
        ...

    @property
    def picture_samples(self) -> tuple[int, int | None]:
        """Of a picture's rays, the heaviest samples that it reads, and the samples that need be traced for them; None
        for as many as the radiance takes by itself."""
        ...

    @property
    def kept_code(self) -> int:
        """Length of `codes` where these are worth keeping between phrases, because they cost much more to compute than
        to read; 0 where they are not."""
        ...

    @property
    def rays_at_once(self) -> int:
        """Rays of one call that bound the memory."""
        ...

    def supported(self, rays: TracedRays) -> tuple[Float[Tensor, " rays"], Float[Tensor, " rays"]]:
        """Smallest and largest scale supervised where each ray stops; the first is larger where there is none."""
        ...

    def encode(self, rays: TracedRays) -> Latent:
        """What the calls below need of rays, computed once for all phrases and scales."""
        ...

    def for_many_phrases(self, latent: Latent) -> Latent:
        """The latent with whatever is worth computing once where many phrases will be asked."""
        ...

    def scale_latent(self, latent: Latent) -> Latent:
        """Of a surface's latent, what the scale of a phrase is chosen on: enough of the surface, and no more."""
        ...

    def cosines(self, latent: Latent, texts: Float[Tensor, "texts width"], scale: float) -> Float[Tensor, "texts rays"]:
        """Cosines of the embeddings at a scale with texts of unit length."""
        ...

    def codes(self, latent: Latent, scale: float) -> Float[Tensor, "rays code"]:
        """Short forms of the embeddings: `codes @ project(texts).T` are the cosines, whatever the texts."""
        ...

    def project(self, texts: Float[Tensor, "texts width"]) -> Float[Tensor, "texts code"]:
        """Texts of unit length as `codes` meet them."""
        ...

    def embed(self, latent: Latent, scale: float) -> Float[Tensor, "rays width"]:
        """Unit embeddings at a scale."""
        ...

    def dense(self, latent: Latent) -> Float[Tensor, "rays dense"]:
        """Dense features.

        Raises:
            QueryError: when there are none (`dense_width` is 0).
        """
        ...


COARSE = 12_000
"""Rays, about, of a surface on which a field's scales are chosen."""


def coarse(latent: Latent, rays: int = COARSE) -> Latent:
    """About so many rays of a latent, evenly spaced."""
    return latent[slice(0, None, max(1, len(latent) // rays))]


def candidate_scales(scale_range: tuple[float, float], count: int = 30) -> Float[Tensor, " scales"]:
    """Scales evenly spaced in their logarithm over a range, both ends included."""
    low, high = scale_range
    return torch.logspace(torch.tensor(low).log10().item(), torch.tensor(high).log10().item(), count)


def middle_scale(language: LanguageSource) -> float:
    """The middle of the scales in their logarithm, normalised units."""
    return (float(language.scales[0]) * float(language.scales[-1])) ** 0.5
