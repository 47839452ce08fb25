"""Sizes of the hash-grid radiance field; without torch, as the command line reads them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Literal

from lerf.ranges import Cells, Few, PositiveShare, Range, Samples, Share, Width

CUT_OUT_FAR = 3.0
"""Distance of the last sample in a scene whose photos are cut out, normalised units."""


Distance = Annotated[float, Range(0, 1_000_000, above=True)]
"""Normalised units."""


@dataclass(frozen=True)
class RadianceConfig:
    """Sizes of the radiance field and of the sampling along its rays."""

    levels: Few = 10
    """Levels of the hash grid."""
    features: Few = 2
    """Features of a level."""
    log2_entries: Annotated[int, Range(1, 30)] = 17
    """Binary logarithm of the largest number of entries of a level."""
    coarsest: Cells = 16
    """Cells of the coarsest level along an axis of the contracted cube."""
    finest: Cells = 1536
    """Cells of the finest level."""
    hidden: Width = 32
    """Width of the hidden layer of the density network."""
    geometry: Width = 7
    """Features that the density network hands to the colour network."""
    colour_hidden: Width = 32
    """Width of the two hidden layers of the colour network."""
    shading: Literal["deferred", "per-sample"] = "deferred"
    """Colour network once per ray on composited features, or at every sample as in nerfacto."""
    samples: Samples = 16
    """Samples along a ray."""
    render_samples: Samples = 64
    """Samples along a ray when pictures are rendered: three of eight look for the surface, half show it."""
    bins: Annotated[int, Range(1, 1 << 13)] = 96
    """Intervals in which the density grid is read to place the samples."""
    padding: Share = 0.05
    """Share of the samples that is spread evenly along the ray, whatever the density grid says."""
    cap: PositiveShare = 0.5
    """Most that a bin of the density grid may absorb when samples are placed: spreads them behind the first surface."""
    closed: bool = True
    """Whether every ray ends on something (a room, a street); False for objects in front of a known background."""
    grid_side: Annotated[int, Range(1, 1 << 11)] = 128
    """Cells of the density grid along an axis of the contracted cube."""
    near: Distance = 0.05
    """Distance of the first possible sample, normalised units."""
    far: Distance = 100.0
    """Distance of the last possible sample, normalised units."""

    def for_background(self, background: str | None) -> RadianceConfig:
        """These sizes for a scene whose photos are cut out (`Scene.background` is "alpha"), or for any other.

        What is cut out stands where the cameras look, about 1 away. Without that bound every photo may explain itself
        by a picture of its own far behind, which nothing in the other photos contradicts.
        """
        return self if background is None else replace(self, closed=False, far=min(self.far, CUT_OUT_FAR))
