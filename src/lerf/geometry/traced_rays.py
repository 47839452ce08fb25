"""Rays with the samples at which their light stops: what language, surfaces, pictures and cells are read along."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lerf.geometry.rays import RayBundle


@dataclass(frozen=True)
class TracedRays:
    """The heaviest samples of rays under a radiance, without gradients to it."""

    positions: Float[Tensor, "rays samples 3"]
    """Normalised frame, not contracted."""
    weights: Float[Tensor, "rays samples"]
    """Summing to one along each ray."""
    depths: Float[Tensor, "rays samples"]
    """Along the optical axis, normalised units."""
    hit: Bool[Tensor, " rays"]
    """Whether at least half of the ray's light stops. The samples of other rays lie nowhere in particular."""
    median_depth: Float[Tensor, " rays"]
    """Depth at which half of the light that stops has stopped; a mean would lie between the two sides of an edge."""
    median_position: Float[Tensor, "rays 3"]
    """The point at that depth."""
    primitives: Int[Tensor, "rays samples"] | None = None
    """Which thing of the radiance each sample is, such as the Gaussian of a splat; -1 for a sample without weight.
    None where samples are of no things."""

    def __len__(self) -> int:
        return len(self.hit)

    @property
    def tensors(self) -> dict[str, Tensor]:
        """All tensors that there are, by name."""
        named = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: tensor for name, tensor in named.items() if tensor is not None}

    def __getitem__(self, index: slice | Tensor) -> TracedRays:
        """Some of the rays, by slice, index or mask."""
        if isinstance(index, Tensor) and index.dtype == torch.bool:
            # Once, not for each tensor: to count what a mask leaves is to wait for a GPU.
            index = index.nonzero().squeeze(-1)
        return TracedRays(**{name: tensor[index] for name, tensor in self.tensors.items()})

    @staticmethod
    def joined(parts: Sequence[TracedRays]) -> TracedRays:
        """The rays of all parts, one part after the other."""
        return TracedRays(**{name: torch.cat([part.tensors[name] for part in parts]) for name in parts[0].tensors})

    @staticmethod
    def at_points(points: Float[Tensor, "points 3"]) -> TracedRays:
        """A ray of one sample for each point of the normalised frame, all of whose light stops there, seen from 1
        away."""
        ones = torch.ones(len(points), 1, device=points.device)
        hit = torch.ones(len(points), dtype=torch.bool, device=points.device)
        return TracedRays(points[:, None], ones, ones, hit, ones[:, 0], points)


Choose = Callable[[Tensor, int], tuple[Tensor, Tensor]]


def _topk(weights: Float[Tensor, "rays samples"], count: int) -> tuple[Tensor, Tensor]:
    values, order = weights.topk(count, dim=-1)
    return values, order


@dataclass(frozen=True)
class RaySamples:
    """All samples along rays with the weights that a radiance gives them."""

    positions: Float[Tensor, "rays samples 3"]
    """Normalised frame, not contracted."""
    distances: Float[Tensor, "rays samples"]
    """Along the ray from its origin, ascending."""
    weights: Float[Tensor, "rays samples"]
    """Share of the ray's light that stops at the sample; their sum is at most 1."""

    def traced(self, rays: RayBundle, heaviest: int, choose: Choose = _topk) -> TracedRays:
        """The rays with their `heaviest` samples, whose weights are divided by their sum.

        The others hold a few per cent of the light and most of the cost. `choose` gives the largest of each row.
        """
        median = self.distances.gather(-1, median_sample(self.weights))
        weights, order = choose(self.weights, min(heaviest, self.weights.shape[1]))
        # A ray that meets nothing still needs a finite mean.
        weights = weights + 1e-8
        return TracedRays(
            positions=self.positions.gather(1, order[..., None].expand(-1, -1, 3)),
            weights=weights / weights.sum(-1, keepdim=True),
            depths=self.distances.gather(-1, order) * rays.axis_cosine[:, None],
            hit=self.weights.sum(-1) >= 0.5,
            median_depth=median.squeeze(-1) * rays.axis_cosine,
            median_position=rays.origins + rays.directions * median,
        )


def median_sample(weights: Float[Tensor, "rays samples"]) -> Int[Tensor, "rays 1"]:
    """Index of the sample at which half of the light that stops along a ray has stopped."""
    total = torch.cumsum(weights, dim=-1)
    return (total < 0.5 * total[:, -1:]).sum(-1, keepdim=True).clamp(max=total.shape[1] - 1)
