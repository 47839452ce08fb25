"""What can be shown of a camera's view, by name, and how it is painted.

rgb, depth, accumulation    of the radiance
clip, dino                  embeddings and dense features in the colours of one basis for the scene
relevancy_i                 of phrase i, propagated along the surface, in the display's range
raw_relevancy_i             of phrase i as language has it along each pixel's ray
centred_i                   2 r - 1 on the map's range 0..1, so that all below the tie is darkest
composited_i                relevancy over the colours where it is above a threshold
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from lerf.errors import QueryError
from lerf.rendering.colour_maps import (
    TIE,
    Legend,
    Range,
    centred,
    map_colours,
    normalised,
    percentile_limits,
    stretch,
)

PLAIN = ("rgb", "depth", "accumulation", "clip", "dino")
OF_PHRASES = ("relevancy", "centred", "composited", "raw_relevancy")
"""Kinds of outputs of a phrase."""
Picture = Float[Tensor, "height width 3"]


@dataclass(frozen=True)
class Display:
    """How things are shown."""

    output: str = "rgb"
    """Name of an output."""
    normalise: bool = False
    """Stretch the colours of relevancy over the values that the picture has."""
    colormap: str = "turbo"
    range: Range = "raw"
    above: float = TIE
    """Raw relevancy from which `composited_i` shows relevancy."""
    opacity: float = 1.0
    """Of relevancy over colour in `composited_i`."""

    @property
    def phrase(self) -> int | None:
        """Which phrase the output is about; None when it is not about one."""
        return parse(self.output)[1]


@dataclass(frozen=True)
class ViewMaps:
    """What was rendered of a view, as far as outputs ask for it."""

    colour: Float[Tensor, "height width 3"]
    depth: Float[Tensor, "height width"]
    """Along the optical axis, capture units; NaN where nothing stands."""
    accumulation: Float[Tensor, "height width"]
    relevancy: Mapping[int, Float[Tensor, "height width"]] = field(default_factory=dict)
    """By number of the phrase, 0..1."""
    raw_relevancy: Mapping[int, Float[Tensor, "height width"]] = field(default_factory=dict)
    """As language has it, before it is propagated along the surface."""
    features: Mapping[str, Float[Tensor, "height width 3"]] = field(default_factory=dict)
    """Pictures of `clip` and `dino` (`rendering.pca`)."""
    highest: Mapping[int, float] = field(default_factory=dict)
    """Relevancy that the top of the colours stands for, by phrase, so that equal colours mean equal things in every
    view; of a phrase without, the highest of the view."""
    depth_range: tuple[float, float] | None = None
    """Depths at the ends of the colour map; by default the 1st and 99th percentile of the view."""


def names(phrases: int, language: bool = True, dense: bool = True) -> tuple[str, ...]:
    """All outputs that there are, the plain ones first."""
    plain = tuple(name for name in PLAIN if (language or name != "clip") and (dense or name != "dino"))
    return plain + tuple(f"{kind}_{number}" for number in range(phrases) for kind in OF_PHRASES)


def parse(name: str) -> tuple[str, int | None]:
    """The kind of an output, and the number of its phrase or None.

    Raises:
        QueryError: when no output is named like that.
    """
    match = re.fullmatch(rf"({'|'.join(OF_PHRASES)})_(\d+)", name)
    if match:
        return match[1], int(match[2])
    if name not in PLAIN:
        raise QueryError(f"There is no output {name}; known are {', '.join(names(1))}.")
    return name, None


def paint(name: str, maps: ViewMaps, display: Display | None = None) -> tuple[Picture, Legend | None]:
    """The picture of an output, and what its colours mean; None for pictures whose colours are colours.

    Raises:
        QueryError: when no output is named like that.
    """
    display = display or Display()
    kind, phrase = parse(name)
    if kind == "depth":
        low, high = maps.depth_range or percentile_limits(maps.depth)
        legend = Legend("depth", low, high, display.colormap, "units")
        return map_colours(stretch(maps.depth, low, high), display.colormap), legend
    if kind == "accumulation":
        grey = maps.accumulation.detach().float().cpu()[..., None].expand(-1, -1, 3)
        return grey, Legend("accumulation", 0.0, 1.0, "gray")
    if kind in ("clip", "dino"):
        return maps.features[kind], None
    if phrase is None:
        return maps.colour, None
    found = maps.raw_relevancy if kind == "raw_relevancy" else maps.relevancy
    raw, highest = found[phrase].detach().float().cpu(), maps.highest.get(phrase)
    if kind == "centred":
        return map_colours(centred(raw), display.colormap), Legend("relevancy, centred", 0.0, 1.0, display.colormap)
    if kind in ("relevancy", "raw_relevancy"):
        return relevancy_colours(raw, display, highest)
    shown, legend = relevancy_colours(raw, _composited(display), highest)
    return composite(maps.colour.detach().float().cpu(), shown, raw, display), legend


def _composited(display: Display) -> Display:
    """Composited relevancy is stretched from the tie unless the display asks for another range."""
    if display.range != "raw" or display.normalise:
        return display
    return Display(display.output, display.normalise, display.colormap, "normalised", display.above, display.opacity)


def relevancy_colours(
    raw: Float[Tensor, "*shape"], display: Display, highest: float | None = None
) -> tuple[Float[Tensor, "*shape 3"], Legend]:
    """Colours of raw relevancy in the range of the display.

    Args:
        raw: 0..1.
        display: the range, the colour map, and whether the values' own extremes are the ends of the map.
        highest: raw relevancy at the top of the range `normalised`; that of `raw` when not given.
    """
    titles = {"raw": "relevancy", "centred": "relevancy, centred", "normalised": "relevancy, from the tie"}
    title, colormap = titles[display.range], display.colormap
    if display.normalise and raw.numel():
        values = centred(raw) if display.range == "centred" else raw
        low, high = float(values.min()), float(values.max())
        return map_colours(stretch(values, low, high), colormap), Legend(title, low, high, colormap)
    if display.range == "raw":
        return map_colours(raw, colormap), Legend(title, 0.0, 1.0, colormap)
    if display.range == "centred":
        return map_colours(raw, colormap), Legend(title, -1.0, 1.0, colormap)
    top = (float(raw.max()) if raw.numel() else TIE) if highest is None else highest
    return map_colours(normalised(raw, top), colormap), Legend(title, TIE, max(top, TIE + 1e-3), colormap)


def composite(
    colour: Float[Tensor, "*shape 3"],
    relevant: Float[Tensor, "*shape 3"],
    raw: Float[Tensor, "*shape"],
    display: Display,
) -> Float[Tensor, "*shape 3"]:
    """Relevancy's colours over the scene's, where relevancy is above the display's threshold."""
    cover = torch.where(raw > display.above, display.opacity, 0.0)[..., None]
    return colour * (1.0 - cover) + relevant * cover
