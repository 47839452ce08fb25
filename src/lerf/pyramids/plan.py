"""How photos become embeddings: by what mode of an encoder, at which heights of tiles."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float16, UInt8
from torch import Tensor

from lerf.devices import in_single_precision
from lerf.encoders.protocols import (
    DenseEncoder,
    DenseImageTextEncoder,
    FeatureGrid,
    ImageTextEncoder,
    PyramidEncoder,
)
from lerf.errors import ConfigError, EncoderError
from lerf.pyramids.records import FORMAT, Level, Levels
from lerf.pyramids.tiles import STRIDE_RATIO, Border, encode_level

Mode = Literal["dense", "tiles", "map"]


@dataclass(frozen=True)
class PyramidOptions:
    """What the caller may choose about pyramids; None leaves it to the encoder."""

    mode: Mode | None = None
    """`dense` (one pass a level), `tiles` (tile by tile) or `map` (the one map of a dense encoder)."""
    tile_ratios: Sequence[float] | None = None
    """Heights of tiles over the photo's height."""
    border: Border = "edge"
    """Treatment of tiles that stick out of the photo; only in mode `tiles`."""


DEFAULT_OPTIONS = PyramidOptions()
"""All is left to the encoder."""


@dataclass(frozen=True)
class Plan:
    """How photos become embeddings: what decides their bytes, and so the name of their folder."""

    encoder: ImageTextEncoder | DenseEncoder
    mode: Mode
    tile_ratios: tuple[float, ...]
    border: Border

    @property
    def options(self) -> PyramidOptions:
        """What gives this plan again with the same encoder."""
        return PyramidOptions(self.mode, self.tile_ratios, self.border)

    @property
    def settings(self) -> dict[str, Any]:
        """What goes into the key of the folder."""
        settings: dict[str, Any] = {
            "format": FORMAT,
            "encoder": self.encoder.name,
            "fingerprint": self.encoder.fingerprint,
            "precision": getattr(self.encoder, "precision", "float32"),
            "width": self.encoder.width,
            "mode": self.mode,
            "tile_ratios": list(self.tile_ratios),
        }
        if self.mode == "tiles":
            return settings | {"border": self.border, "stride_ratio": STRIDE_RATIO}
        dense = dense_fingerprint(self.encoder, self.mode)
        return settings | ({} if dense is None else {"dense": dense})

    def embed(
        self, pixels: UInt8[np.ndarray, "height width 3"], device: str = "cpu"
    ) -> tuple[Float16[np.ndarray, "cells channels"], Levels]:
        """Embeddings of one photo, level after level, and where their cells lie."""
        image = torch.from_numpy(pixels).to(device).permute(2, 0, 1).float() / 255.0
        with in_single_precision():
            grids = self._grids(image)
        array = torch.cat([grid.features.flatten(0, 1) for grid in grids]).to(torch.float16).cpu().numpy()
        return array, tuple(
            Level(ratio, *grid.features.shape[:2], *map(float, (grid.x0, grid.y0, grid.dx, grid.dy)))
            for ratio, grid in zip(self.tile_ratios, grids, strict=True)
        )

    def _grids(self, image: Tensor) -> Sequence[FeatureGrid]:
        encoder: Any = self.encoder
        if self.mode == "map":
            return [encoder.encode_photo(image)]
        if self.mode == "tiles":
            return [encode_level(image, encoder, ratio, self.border) for ratio in self.tile_ratios]
        if isinstance(encoder, PyramidEncoder):
            return encoder.encode_photo_levels(image, self.tile_ratios)
        return [encoder.encode_photo_at(image, ratio) for ratio in self.tile_ratios]


def dense_fingerprint(encoder: ImageTextEncoder | DenseEncoder, mode: Mode) -> str | None:
    """What else than an encoder's identity decides its dense features; None where nothing does."""
    return getattr(encoder, "dense_fingerprint", None) if mode == "dense" else None


Compute = Callable[[Plan, Iterator[tuple[int, np.ndarray]]], Iterator[tuple[int, np.ndarray, Levels]]]
"""Embeds photos that come as (index, pixels), and gives back (index, embeddings, levels) in any order."""


def make_plan(encoder: ImageTextEncoder | DenseEncoder, options: PyramidOptions = DEFAULT_OPTIONS) -> Plan:
    """The plan of an encoder and what the caller overrides.

    Raises:
        EncoderError: the encoder does not offer the mode.
        ConfigError: a tile ratio is out of range.
    """
    mode = mode_in_use(encoder, options.mode)
    if mode == "map":
        return Plan(encoder, mode, (0.0,), options.border)
    ratios = tuple(sorted(options.tile_ratios or encoder.defaults.tile_ratios))  # type: ignore[union-attr]
    if not all(0.0 < ratio <= 1.0 for ratio in ratios):
        raise ConfigError(f"Tile ratios must lie in (0, 1], not {ratios}.")
    return Plan(encoder, mode, ratios, options.border)


def mode_in_use(encoder: ImageTextEncoder | DenseEncoder, mode: Mode | None) -> Mode:
    """`mode`, or what the encoder says of itself where that is None, or what it does best.

    Raises:
        EncoderError: the encoder does not offer `mode`.
    """
    offered: list[Mode] = []
    if isinstance(encoder, DenseImageTextEncoder):
        offered.append("dense")
    if isinstance(encoder, ImageTextEncoder):
        offered.append("tiles")
        offered.sort(key=lambda one: one != encoder.defaults.features)
    elif isinstance(encoder, DenseEncoder):
        offered.append("map")
    if not offered or (mode is not None and mode not in offered):
        raise EncoderError(f"The encoder '{encoder.name}' cannot make features '{mode}'; it offers {offered}.")
    return mode or offered[0]
