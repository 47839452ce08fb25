"""Encoders that cost nothing and whose answers can be computed by hand."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from lerf.encoders.protocols import EncoderDefaults, FeatureGrid


class MeanColour:
    """Embeds a tile as its mean colour, not normalised; counts its calls."""

    name, width, input_size, fingerprint = "mean-colour", 3, 8, "0" * 64
    defaults = EncoderDefaults((0.25, 0.5), temperature=10.0, threshold=0.5)

    def __init__(self) -> None:
        self.calls = 0

    def encode_text(self, phrases) -> Float[Tensor, "phrases 3"]:
        return torch.zeros(len(phrases), 3)

    def encode_tiles(self, tiles: Float[Tensor, "tiles 3 size size"]) -> Float[Tensor, "tiles 3"]:
        self.calls += 1
        return tiles.mean(dim=(2, 3))


class DenseMeanColour(MeanColour):
    def encode_photo_at(self, photo: Float[Tensor, "3 height width"], tile_ratio: float) -> FeatureGrid:
        self.calls += 1
        side = max(1, round(tile_ratio * photo.shape[1] / 2))
        pooled = F.avg_pool2d(photo[None], side, ceil_mode=True)[0].permute(1, 2, 0)
        return FeatureGrid(pooled.contiguous(), side / 2, side / 2, float(side), float(side))


class OnlyMap:
    name, width, fingerprint = "only-map", 3, "1" * 64

    def encode_photo(self, photo: Float[Tensor, "3 height width"]) -> FeatureGrid:
        return FeatureGrid(photo.permute(1, 2, 0).contiguous(), 0.5, 0.5, 1.0, 1.0)
