"""What decides how a nerfacto of nerfstudio 1.1.5 is rendered; without torch."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

Few = Annotated[int, msgspec.Meta(ge=1, le=64)]
Cells = Annotated[int, msgspec.Meta(ge=1, le=1 << 20)]
Samples = Annotated[int, msgspec.Meta(ge=1, le=4096)]
Implementation = Literal["torch", "tcnn"]
"""What computed the networks in training, as nerfstudio names it: torch, or tiny-cuda-nn."""
AGAIN = "train it again with nerfstudio"
HARMONICS = 16
"""Inputs of the colour network from the direction of view."""


class HashSizes(msgspec.Struct, frozen=True):
    """A hash grid; which table its levels have is told in `grids.py`."""

    levels: Few
    coarsest: Cells
    finest: Cells
    log2_entries: Annotated[int, msgspec.Meta(ge=1, le=30)]


class NerfactoConfig(msgspec.Struct, frozen=True):
    """Sizes and samples."""

    grid: HashSizes
    proposals: Annotated[list[HashSizes], msgspec.Meta(min_length=1, max_length=8)]
    """A density network for each round of proposals."""
    proposal_samples: Annotated[list[Samples], msgspec.Meta(min_length=1, max_length=8)]
    """Samples of a ray in each round."""
    samples: Samples
    """Samples of a ray that are rendered."""
    far: Annotated[float, msgspec.Meta(gt=0, le=1e9)]
    """Distance of the last sample; the first one is next to the camera, whatever training did."""
    spacing: Literal["piecewise", "uniform"]
    """Of the first round: even in distance, or up to 1 and beyond that in disparity."""
    density: Annotated[float, msgspec.Meta(gt=0, le=1e9)]
    """Factor on densities."""
    contracted: bool
    """Whether all of space is contracted into the grid's cube, or the cube is the scene box."""
    last_shows: bool
    """Whether the last sample's colour shows where light passes all samples, or white."""
    implementation: Implementation = "torch"
    """Decides how grids and directions are read; runs that were made before it was told are all of torch."""
