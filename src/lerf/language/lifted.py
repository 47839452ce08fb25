"""The language of a run that trained none: its index, read as if it were a field."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from itertools import product
from typing import TypeAlias

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lerf.errors import QueryError
from lerf.language.cells import KEY_BITS, Index, cell_keys
from lerf.language.config import LanguageConfig
from lerf.language.field import LanguageField, LightStops

REACH = 2
"""How many cells beyond the occupied ones still answer: a surface wanders between cells, and views look between the
rays that found them."""


class CellLookup:
    """The occupied cell at or next to any point."""

    def __init__(self, index: Index) -> None:
        self.index = index
        steps = sorted(product((-1, 0, 1), repeat=3), key=lambda step: sum(abs(part) for part in step))
        keys, cells = index.keys, torch.arange(len(index), device=index.keys.device)
        for _ in range(REACH):
            # Nearest steps first: of several neighbours an empty cell takes the closest.
            moved = torch.cat([keys + (x << (2 * KEY_BITS)) + (y << KEY_BITS) + z for x, y, z in steps])
            ordered, order = moved.sort(stable=True)
            first = torch.ones_like(ordered, dtype=torch.bool)
            first[1:] = ordered[1:] != ordered[:-1]
            keys, cells = ordered[first], cells.repeat(len(steps))[order[first]]
        self.keys, self.cells = keys, cells

    def find(self, positions: Float[Tensor, "points 3"]) -> Int[Tensor, " points"]:
        """Cell of points of the normalised frame; -1 where none is near."""
        wanted = cell_keys(positions, self.index.facts.cell_size)
        place = torch.searchsorted(self.keys, wanted).clamp(max=len(self.keys) - 1)
        return torch.where(self.keys[place] == wanted, self.cells[place], -1)

    def nearest_supervised(
        self, positions: Float[Tensor, "points 3"], scale: Float[Tensor, " points"]
    ) -> tuple[Float[Tensor, " points"], Bool[Tensor, " points"]]:
        """As `ScaleBounds.nearest_supervised`, from the range of scales at which photos showed each cell."""
        cell = self.find(positions)
        seen = cell >= 0
        closest = torch.minimum(torch.maximum(scale, self.index.low[cell]), self.index.high[cell])
        return torch.where(seen, closest, scale), seen


class IndexLanguage:
    """What queries ask of a `LanguageField`, answered by an index. It has no dense head."""

    dense_head = None

    def __init__(self, index: Index, config: LanguageConfig) -> None:
        self.index = index
        # Codes are of places, as embeddings at samples are: they are composited as such.
        self.config = replace(config, estimator="per-sample")

    @property
    def width(self) -> int:
        """Length of an embedding."""
        return self.index.compressed.basis.shape[1]

    @property
    def scale_range(self) -> tuple[float, float]:
        """Smallest and largest scale of the index, normalised units."""
        return float(self.index.scales[0]), float(self.index.scales[-1])

    @property
    def middle_scale(self) -> float:
        """The middle of `scale_range` in its logarithm, normalised units."""
        low, high = self.scale_range
        return (low * high) ** 0.5

    @cached_property
    def bounds(self) -> CellLookup:
        """Which scales were supervised where."""
        return CellLookup(self.index)

    def render_at_scale(self, stops: LightStops, scale: Float[Tensor, " rays"]) -> Float[Tensor, "rays width"]:
        """Unit embeddings composited along rays, at one scale each, normalised units; zero where no cell is near.

        Between two scales of the index, embeddings are interpolated in the logarithm of the scale.
        """
        rays, samples = stops.weights.shape
        cells = self.bounds.find(stops.positions.reshape(-1, 3)).view(rays, samples)
        weights = stops.weights * (cells >= 0)
        scales = self.index.scales
        last = len(scales) - 1
        place = torch.zeros_like(scale)
        if last:
            place = ((scale / scales[0]).log() / (scales[-1] / scales[0]).log()).clamp(0.0, 1.0) * last
        below = place.floor().long().clamp(max=max(last - 1, 0))
        codes = self.index.unit_codes.view(len(scales), len(self.index), -1)
        mean = torch.zeros(rays, codes.shape[-1], device=scale.device)
        for level, share in ((below, 1.0 - (place - below)), ((below + 1).clamp(max=last), place - below)):
            for sample in range(samples):
                # A missing cell reads the last one, under no weight.
                mean += codes[level, cells[:, sample]] * (weights[:, sample] * share)[:, None]
        return F.normalize(mean @ self.index.compressed.basis, dim=-1)


Language: TypeAlias = LanguageField | IndexLanguage
"""What a query asks: a trained field, or an index that was lifted instead."""


def trained_field(language: Language) -> LanguageField:
    """The field.

    Raises:
        QueryError: when the language was lifted, so that there is none.
    """
    if isinstance(language, IndexLanguage):
        raise QueryError(
            "The run's language was lifted from the photos and is an index already; train it with --language field in "
            "a new folder for a field to bake or to compare with."
        )
    return language


def deferred_field(language: Language) -> LanguageField | None:
    """The field, where it composites features along a ray before its head; None for any other language."""
    if isinstance(language, LanguageField) and language.config.estimator == "deferred":
        return language
    return None
