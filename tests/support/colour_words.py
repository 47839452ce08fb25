"""Encoders that know a handful of colour words: tiny, exact, and right about what a drawn scene shows.

They are found through entry points like anybody's plug-in: `colour_words-1.0.dist-info` lies beside this file.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from lerf.encoders.protocols import EncoderDefaults, FeatureGrid

HUES = {"red": 0.0, "yellow": 60.0, "green": 120.0, "blue": 240.0, "purple": 300.0}
"""Degrees; the last axis of the space is for everything without colour."""


def colours(photo):
    """[..., 3, height, width] in 0..1 to the share of each word in each pixel, [..., words + 1, height, width]."""
    high, low = photo.amax(-3), photo.amin(-3)
    spread = high - low
    saturated = ((spread / high.clamp(min=1e-3) - 0.25) / 0.25).clamp(0, 1)
    red, green, blue = ((photo - low[..., None, :, :]) / spread[..., None, :, :].clamp(min=1e-6)).unbind(-3)
    hue = torch.rad2deg(torch.atan2(3**0.5 * (green - blue), 2 * red - green - blue)) % 360
    away = torch.stack([((hue - centre + 180) % 360 - 180).abs() for centre in HUES.values()], -3)
    words = (1 - away / 50).clamp(0, 1) * saturated[..., None, :, :]
    return torch.cat([words, (1 - saturated)[..., None, :, :]], -3)


class TileWords:
    """Implements `ImageTextEncoder`: a tile is the mean of its pixels' colour words."""

    name = "tile-words"
    width = len(HUES) + 1
    input_size = 8
    fingerprint = "0" * 63 + "1"
    defaults = EncoderDefaults(tile_ratios=(0.1, 0.2, 0.3), temperature=5.0, threshold=0.85)

    def encode_text(self, phrases):
        words = [*HUES, None]
        rows = [[float(word in phrase.split()) for word in words] for phrase in phrases]
        # Any other phrase means something grey of no particular colour.
        rows = [row if any(row) else [0.3] * len(HUES) + [1.0] for row in rows]
        return F.normalize(torch.tensor(rows), dim=-1)

    def encode_tiles(self, tiles):
        return F.normalize(colours(tiles).mean((-2, -1)), dim=-1)


class ColourWords(TileWords):
    """Implements `DenseImageTextEncoder` too."""

    name = "colour-words"
    fingerprint = "0" * 63 + "2"

    def encode_photo_at(self, photo, tile_ratio):
        side = max(1, round(tile_ratio * photo.shape[1]))
        step = max(1, side // 3)
        means = F.avg_pool2d(colours(photo)[None], side, step)[0]
        cells = F.normalize(means, dim=0).permute(1, 2, 0).contiguous()
        return FeatureGrid(cells, side / 2, side / 2, float(step), float(step))


class ColourMap:
    """Implements `DenseEncoder`: the photo itself, a quarter as fine."""

    name = "colour-map"
    width = 3
    fingerprint = "0" * 63 + "3"

    def encode_photo(self, photo):
        return FeatureGrid(F.avg_pool2d(photo[None], 4)[0].permute(1, 2, 0).contiguous(), 2.0, 2.0, 4.0, 4.0)


def load(weights=None, offline=False, device="cpu"):
    return ColourWords()


def load_tiles_only(weights=None, offline=False, device="cpu"):
    return TileWords()


def load_map(weights=None, offline=False, device="cpu"):
    return ColourMap()
