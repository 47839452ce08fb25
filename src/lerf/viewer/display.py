"""From what was rendered to what is shown: outputs, ranges, colour maps and the legend."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Literal, get_args

import matplotlib
import numpy as np
from jaxtyping import Float, Float32, UInt8

from lerf.errors import QueryError

Range = Literal["raw", "centred", "normalised"]
"""What relevancy is shown as: itself in 0..1; 2 r - 1 with the tie at 0; stretched from 0.5 to the scene's highest."""
RANGES: tuple[Range, ...] = get_args(Range)
COLORMAPS = ("turbo", "viridis", "magma", "inferno", "cividis", "gray")
PLAIN = ("rgb", "depth", "accumulation", "clip", "dino")
TIE = 0.5
"""Raw relevancy of what is as close to the phrase as to the nearest canonical phrase."""


@dataclass(frozen=True)
class Display:
    """How a page wants things shown."""

    output: str = "rgb"
    """One of `PLAIN`, or `relevancy_i` or `composited_i` for phrase i."""
    normalise: bool = False
    """Stretch the colours over the values that the picture has."""
    colormap: str = "turbo"
    range: Range = "normalised"
    above: float = TIE
    """Raw relevancy from which `composited_i` shows relevancy."""
    opacity: float = 0.8
    """Of relevancy over colour in `composited_i` and on the points."""

    @property
    def phrase(self) -> int | None:
        """Which phrase is shown; None when the output is not about one."""
        match = re.fullmatch(r"(?:relevancy|composited)_(\d+)", self.output)
        return int(match[1]) if match else None

    @property
    def composited(self) -> bool:
        """Whether relevancy lies over the colours."""
        return self.output.startswith("composited_")


@dataclass(frozen=True)
class Legend:
    """What the colours of a picture mean."""

    title: str
    low: float
    high: float
    colormap: str
    unit: str = ""


def outputs(phrases: int, language: bool, dense: bool) -> tuple[str, ...]:
    """What can be chosen, the plain outputs first."""
    plain = tuple(name for name in PLAIN if (language or name != "clip") and (dense or name != "dino"))
    return plain + tuple(f"{kind}_{i}" for i in range(phrases) for kind in ("relevancy", "composited"))


@cache
def color_table(name: str) -> Float32[np.ndarray, "256 3"]:
    """RGB of a colour map in 0..1.

    Raises:
        QueryError: when there is no such map.
    """
    if name not in COLORMAPS:
        raise QueryError(f"There is no colour map {name}; choose one of {', '.join(COLORMAPS)}.")
    return matplotlib.colormaps[name](np.arange(256))[:, :3].astype(np.float32)


def colours_of(
    values: Float[np.ndarray, "*shape"], low: float, high: float, colormap: str
) -> Float32[np.ndarray, "*shape 3"]:
    """Colours of values, `low` at one end of the map and `high` at the other; NaN is black."""
    stretched = (values - low) / max(high - low, 1e-9)
    known = np.isfinite(stretched)
    place = (np.clip(np.where(known, stretched, 0.0), 0.0, 1.0) * 255.999).astype(np.int64)
    return np.where(known[..., None], color_table(colormap)[place], np.float32(0.0)).astype(np.float32)


def relevancy_colours(
    raw: Float[np.ndarray, "*shape"], display: Display, highest: float
) -> tuple[Float32[np.ndarray, "*shape 3"], Legend]:
    """Colours of raw relevancy in the range asked for.

    Args:
        raw: 0..1.
        display: the range, the colour map, and whether the picture's own values set the ends.
        highest: raw relevancy anywhere in the scene, so that equal colours mean equal things in every view.
    """
    values = 2.0 * raw - 1.0 if display.range == "centred" else raw
    if display.normalise and values.size:
        low, high = float(values.min()), float(values.max())
    elif display.range == "raw":
        low, high = 0.0, 1.0
    elif display.range == "centred":
        low, high = -1.0, 1.0
    else:
        low, high = TIE, max(highest, TIE + 1e-3)
    titles = {"raw": "relevancy", "centred": "relevancy, centred", "normalised": "relevancy, from the tie"}
    legend = Legend(titles[display.range], low, high, display.colormap)
    return colours_of(values, low, high, display.colormap), legend


def composite(
    colour: Float[np.ndarray, "*shape 3"],
    relevant: Float[np.ndarray, "*shape 3"],
    raw: Float[np.ndarray, "*shape"],
    display: Display,
) -> Float32[np.ndarray, "*shape 3"]:
    """Relevancy's colours over the scene's, where relevancy is above the threshold."""
    cover = np.where(raw > display.above, np.float32(display.opacity), np.float32(0.0))[..., None]
    return (colour * (1.0 - cover) + relevant * cover).astype(np.float32)


def depth_colours(
    depth: Float[np.ndarray, "height width"], colormap: str, near: float | None = None, far: float | None = None
) -> tuple[Float32[np.ndarray, "height width 3"], Legend]:
    """Depth in capture units; the ends are the 1st and 99th percentile unless given, black is where nothing stands."""
    finite = depth[np.isfinite(depth)]
    low = float(np.percentile(finite, 1.0)) if near is None and finite.size else near or 0.0
    high = float(np.percentile(finite, 99.0)) if far is None and finite.size else far or 1.0
    return colours_of(depth, low, high, colormap), Legend("depth", low, high, colormap, "units")


def to_bytes(picture: Float[np.ndarray, "*shape 3"]) -> UInt8[np.ndarray, "*shape 3"]:
    """8-bit RGB."""
    return np.rint(np.clip(picture, 0.0, 1.0) * 255.0).astype(np.uint8)
