"""Sizes of everything that is measured: those of the report, and tiny ones for its test."""

from __future__ import annotations

from dataclasses import dataclass, replace

from lerf.kernels.layout import GridLayout
from lerf.language.field import LanguageConfig
from lerf.radiance.hash_grid.field import RadianceConfig
from lerf.run.settings import PRESETS


@dataclass(frozen=True)
class Sizes:
    """One set of sizes."""

    encode: GridLayout
    """Grid of the encoding's row."""
    points: int
    """Points encoded."""
    rays: int
    """Rays of a step."""
    radiance: RadianceConfig
    language: LanguageConfig
    width: int
    """Length of an embedding."""
    dense_width: int
    pool: int
    """Rays in the pool of language training."""
    view: tuple[int, int]
    """Width and height of the view that is asked."""
    reference_rays: int
    """Rays of that view that the reference answers: all of them would take it minutes."""
    cells: int
    """Cells of the baked index, at 8 scales each."""
    photo: tuple[int, int]
    """Width and height of the photo whose pyramid is made."""
    splats: int
    """Gaussians of the splat that is drawn."""
    splat_picture: tuple[int, int]
    """Width and height of its picture."""
    repeats: int
    slow_repeats: int
    """Of rows whose reference takes seconds."""
    rates: int
    """Numbers along a side of the matrices by which the machine is measured."""


PAPER = PRESETS["lerf-lite"]
FULL = Sizes(
    encode=GridLayout.geometric(16, 16, 2048, 2, 19),
    points=131_072,
    rays=4096,
    radiance=PAPER.radiance,
    language=PAPER.language,
    width=512,
    dense_width=384,
    pool=40_000,
    view=(320, 240),
    reference_rays=512,
    cells=100_000,
    photo=(320, 240),
    splats=200_000,
    splat_picture=(640, 480),
    repeats=7,
    slow_repeats=4,
    rates=2048,
)
"""The language field of `lerf-lite`, the radiance field of nerfacto, embeddings as long as ViT-B/16's."""

TINY = Sizes(
    encode=GridLayout.geometric(3, 4, 32, 2, 8),
    points=200,
    rays=64,
    radiance=replace(
        PAPER.radiance, levels=3, log2_entries=8, finest=32, hidden=8, geometry=3, colour_hidden=8, samples=6,
        render_samples=6, bins=8, grid_side=8,
    ),
    language=replace(
        PAPER.language, grids=((3, 4, 32),), log2_entries=8, features=2, hidden=8, layers=2, dense_hidden=8, samples=4
    ),
    width=12,
    dense_width=5,
    pool=200,
    view=(16, 12),
    reference_rays=16,
    cells=300,
    photo=(64, 48),
    splats=300,
    splat_picture=(32, 24),
    repeats=1,
    slow_repeats=1,
    rates=64,
)  # fmt: skip
