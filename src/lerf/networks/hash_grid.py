"""A trainable multi-resolution hash grid."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lerf import kernels
from lerf.kernels.layout import GridLayout
from lerf.kernels.types import GradientSink


class HashGrid(nn.Module):
    """Table of features over the unit cube (Müller et al. 2022), read by trilinear interpolation on every level."""

    def __init__(self, layout: GridLayout, spread: float = 1e-4) -> None:
        """Entries start uniform in [-spread, spread], from torch's global generator."""
        super().__init__()
        self.layout = layout
        self.sink: GradientSink | None = None
        """Where the table's gradient is collected for an optimiser that asked for it."""
        self.table = nn.Parameter(torch.empty(layout.entries, layout.features).uniform_(-spread, spread))

    def forward(self, points: Float[Tensor, "points 3"]) -> Float[Tensor, "points width"]:
        """Encoding of points in the unit cube; see `kernels.reference.hash_encode`."""
        return kernels.hash_encode(points, self.table, self.layout, self.sink)

    def composite(
        self, points: Float[Tensor, "rays samples 3"], weights: Float[Tensor, "rays samples"]
    ) -> Float[Tensor, "rays width"]:
        """Encodings of samples, summed along each ray; see `kernels.reference.encode_composite`."""
        return kernels.encode_composite(points, weights, self.table, self.layout, self.sink)
