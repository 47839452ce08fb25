"""Rays, and how many of them are worked on at once."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lerf.devices import free_bytes


@dataclass(frozen=True)
class RayBundle:
    """Rays in the normalised frame."""

    origins: Float[Tensor, "rays 3"]
    directions: Float[Tensor, "rays 3"]
    """Unit length."""
    axis_cosine: Float[Tensor, " rays"]
    """Cosine between the ray and the camera's optical axis: depth = distance * axis_cosine."""
    photo: Int[Tensor, " rays"]
    """Index of the photo that a ray came from, -1 for a camera that is not a photo's."""

    def __len__(self) -> int:
        return len(self.origins)

    def __getitem__(self, index: slice | Tensor) -> RayBundle:
        return RayBundle(self.origins[index], self.directions[index], self.axis_cosine[index], self.photo[index])


LEAST_RAYS, MOST_RAYS = 1 << 12, 1 << 16
"""Rays of a pass on a GPU: fewer leave it idle, more gain nothing."""
RAY_BYTES = 100_000
"""What a pass takes for a ray of the presets made for GPUs, at most."""
PASS_SHARE = 0.5
"""Of a GPU's free memory, what a pass may take."""


def rays_at_once(device: torch.device | str, samples: int | None = None) -> int:
    """Rays of one pass without gradients: on a CPU so few that what is computed of their samples is no larger than the
    memory that the allocator keeps, since fresh pages cost more than the arithmetic; elsewhere many, on a GPU as many
    as its free memory holds.

    `samples` are those of a ray; rays of less than 16 go together in larger numbers.
    """
    if torch.device(device).type != "cpu":
        free = free_bytes(device)
        return MOST_RAYS if free is None else max(LEAST_RAYS, min(MOST_RAYS, int(PASS_SHARE * free / RAY_BYTES)))
    return 2048 if samples is None else max(2048, 32768 // samples)
