"""An index of cells as a `LanguageSource`."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cached_property
from itertools import product

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lerf import kernels
from lerf.devices import sums_of_rows, wide
from lerf.errors import QueryError
from lerf.geometry.traced_rays import TracedRays
from lerf.language.cells import KEY_BITS, CellIndex, cell_keys
from lerf.language.protocol import LanguageSource, Latent

REACH = 2
"""How many cells beyond the occupied ones still answer: a surface wanders between cells, and views look between the
rays that found them."""
RAYS_AT_ONCE = 16384
KEPT_PRODUCTS = 8_000_000
"""Products of cells with the texts asked last that are kept, at one scale after another."""


class CellLookup:
    """The occupied cell at or next to any point."""

    def __init__(self, index: CellIndex) -> None:
        self.cell_size = index.provenance.cell_size
        steps = sorted(product((-1, 0, 1), repeat=3), key=lambda step: sum(abs(part) for part in step))
        keys = wide(index.keys)
        cells = torch.arange(len(index), device=keys.device)
        for _ in range(REACH):
            # Nearest steps first: of several neighbours an empty cell takes the closest.
            moved = torch.cat([keys + (x << (2 * KEY_BITS)) + (y << KEY_BITS) + z for x, y, z in steps])
            ordered, order = moved.sort(stable=True)
            first = torch.ones_like(ordered, dtype=torch.bool)
            first[1:] = ordered[1:] != ordered[:-1]
            keys, cells = ordered[first], cells.repeat(len(steps))[order[first]]
        self.keys, self.cells = keys.to(index.keys.device), cells.to(index.keys.device)

    def find(self, positions: Float[Tensor, "points 3"]) -> Int[Tensor, " points"]:
        """Cell of points of the normalised frame; -1 where none is near."""
        wanted = cell_keys(positions, self.cell_size)
        nearest = torch.searchsorted(self.keys, wanted).clamp(max=len(self.keys) - 1)
        return torch.where(self.keys[nearest] == wanted, self.cells[nearest], -1)


class CellLanguage:
    """Implements `LanguageSource`: codes of cells composited along rays.

    Codes are of places, as embeddings at samples are, and are composited as such.
    """

    kept_code = 0
    rays_at_once = RAYS_AT_ONCE

    def __init__(self, index: CellIndex, samples: int) -> None:
        """`samples` are the heaviest of a ray that are read."""
        self.index, self.samples = index, samples
        self.width = index.compressed.basis.shape[1]
        self.dense_width = 0 if index.dense is None else len(index.dense.mean)
        self.scales: Float[Tensor, " scales"] = index.scales
        self.picture_samples: tuple[int, int | None] = (samples, None)
        self._whole: Tensor | None = None
        """Cells of the last latent that was found to be every cell once, in order, with light."""
        self._last: tuple[Tensor, dict[float, Tensor]] | None = None
        """Texts, and their `_products` by scale: the choice of a scale and every part of a surface or picture ask for
        the same."""

    @cached_property
    def _lookup(self) -> CellLookup:
        return CellLookup(self.index)

    @cached_property
    def _ends(self) -> tuple[float, float]:
        """Logarithms of the smallest and the largest scale."""
        return math.log(float(self.scales[0])), math.log(float(self.scales[-1]))

    @cached_property
    def _every(self) -> Int[Tensor, " cells"]:
        """All cells in order."""
        return torch.arange(len(self.index), dtype=torch.int32, device=self.index.keys.device)

    @cached_property
    def _codes(self) -> Float[Tensor, "scales cells rank"]:
        return self.index.unit_codes.view(len(self.scales), len(self.index), -1)

    @torch.no_grad()
    def supported(self, rays: TracedRays) -> tuple[Float[Tensor, " rays"], Float[Tensor, " rays"]]:
        """See `LanguageSource.supported`."""
        cell = self._lookup.find(rays.median_position)
        low = torch.where(cell >= 0, self.index.low[cell], torch.inf)
        return low, torch.where(cell >= 0, self.index.high[cell], -torch.inf)

    @torch.no_grad()
    def encode(self, rays: TracedRays) -> Latent:
        """See `LanguageSource.encode`: the cells of the samples, and the samples' weights, 0 where no cell is near."""
        cells = self._lookup.find(rays.positions.reshape(-1, 3)).view(rays.weights.shape)
        tensors = {"cells": cells.clamp(min=0).int(), "weights": rays.weights * (cells >= 0)}
        return Latent(tensors, *self.supported(rays))

    def encode_cells(self) -> Latent:
        """The latent of `TracedRays.at_points(index.positions)`: each cell a ray that stops in it."""
        cells = self._every[:, None]
        tensors = {"cells": cells, "weights": torch.ones_like(cells, dtype=torch.float32)}
        return Latent(tensors, self.index.low, self.index.high)

    @torch.no_grad()
    def cosines(self, latent: Latent, texts: Float[Tensor, "texts width"], scale: float) -> Float[Tensor, "texts rays"]:
        """See `LanguageSource.cosines`."""
        level, share = self._level(scale)
        cells, products = latent.tensors["cells"], self._products(texts, scale)
        if cells.shape[1] == 1:
            # No mixture: each ray has the cosine of its cell, however much light stops there.
            if share:
                products = products / torch.linalg.vector_norm(self._codes_at(scale), dim=-1)
            if cells is self._whole:
                return products
            whole, lit = torch.equal(cells[:, 0], self._every), latent.tensors["weights"][:, 0] > 0
            if whole and bool(lit.all()):
                # Asked again, as phrases ask, that need not be found out again.
                self._whole = cells
                return products
            return (products if whole else products.index_select(1, cells[:, 0])) * lit
        # The dot products of all cells with the texts are composited, which are shorter than their codes; the codes
        # themselves only where the length of a mixture is not known.
        if share == 0.0 and "lengths" in latent.tensors:
            length = latent.tensors["lengths"][:, level, None]
        else:
            length = torch.linalg.vector_norm(self._composite(latent, self._codes_at(scale)), dim=-1, keepdim=True)
        return (self._composite(latent, products.T.contiguous()) / length.clamp(min=1e-12)).T

    def _products(self, texts: Float[Tensor, "texts width"], scale: float) -> Float[Tensor, "texts cells"]:
        """Dot products of the codes of all cells at a scale with texts."""
        last = self._last
        if last is None or last[0] is not texts:
            # Taken as one: another thread may ask other texts meanwhile.
            self._last = last = texts, {}
        known = last[1]
        if scale not in known:
            products = kernels.few_products(self._codes_at(scale), self.project(texts))
            if (len(known) + 1) * products.numel() > KEPT_PRODUCTS:
                known.clear()
            known[scale] = products
            return products
        return known[scale]

    def scale_latent(self, latent: Latent) -> Latent:
        """See `LanguageSource.scale_latent`: the cells, which lie evenly over the surface and are read at once."""
        return self.encode_cells()

    @torch.no_grad()
    def for_many_phrases(self, latent: Latent) -> Latent:
        """See `LanguageSource.for_many_phrases`: adds the lengths of the mixtures at the scales of the index."""
        if latent.tensors["cells"].shape[1] == 1:
            return latent
        lengths = [torch.linalg.vector_norm(self._composite(latent, codes), dim=-1) for codes in self._codes]
        return replace(latent, tensors={**latent.tensors, "lengths": torch.stack(lengths, dim=-1)})

    @torch.no_grad()
    def codes(self, latent: Latent, scale: float) -> Float[Tensor, "rays code"]:
        """See `LanguageSource.codes`: of unit length; zero where no cell is near.

        Between two scales of the index, codes are interpolated in the logarithm of the scale.
        """
        return kernels.unit_vectors(self._composite(latent, self._codes_at(scale)))

    def _codes_at(self, scale: float) -> Float[Tensor, "cells rank"]:
        """Codes of all cells at a scale."""
        level, share = self._level(scale)
        return torch.lerp(self._codes[level], self._codes[level + 1], share) if share else self._codes[level]

    @staticmethod
    def _composite(latent: Latent, values: Float[Tensor, "cells channels"]) -> Float[Tensor, "rays channels"]:
        """Values of the cells under the weights of each ray's samples."""
        cells, weights = latent.tensors["cells"], latent.tensors["weights"]
        return sums_of_rows(values, cells, weights)

    @torch.no_grad()
    def project(self, texts: Float[Tensor, "texts width"]) -> Float[Tensor, "texts code"]:
        """See `LanguageSource.project`."""
        return texts.to(self.index.compressed.basis) @ self.index.compressed.basis.T

    @torch.no_grad()
    def embed(self, latent: Latent, scale: float) -> Float[Tensor, "rays width"]:
        """See `LanguageSource.embed`."""
        return self.codes(latent, scale) @ self.index.compressed.basis

    @torch.no_grad()
    def dense(self, latent: Latent) -> Float[Tensor, "rays dense"]:
        """See `LanguageSource.dense`: composited as embeddings are; zero where no cell is near.

        Raises:
            QueryError: the index was made without a dense encoder.
        """
        if self.index.dense is None:
            raise QueryError("The run's language was made without a dense encoder and holds no dense features.")
        light = latent.tensors["weights"].sum(-1, keepdim=True)
        codes = self._composite(latent, self.index.dense.codes.float()) / light.clamp(min=1e-12)
        return (codes @ self.index.dense.basis + self.index.dense.mean) * (light > 0)

    def _level(self, scale: float) -> tuple[int, float]:
        """The scale of the index below a scale, and the share of the next one in their logarithm."""
        last = len(self.scales) - 1
        if last == 0:
            return 0, 0.0
        low, high = self._ends
        where = min(max((math.log(scale) - low) / (high - low), 0.0), 1.0) * last
        # Rounding must not turn a scale of the index into a mixture.
        where = round(where) if abs(where - round(where)) < 1e-4 else where
        level = min(int(where), last)
        return level, where - level


def index_of(language: LanguageSource) -> CellIndex | None:
    """The index that a language is; None for a trained field."""
    return language.index if isinstance(language, CellLanguage) else None
