"""The embeddings of a scene's cells in bytes, from which a search estimates how relevant a phrase is to the scene.

An exact answer needs all that `record.py` keeps, tens of megabytes a scene; this is a tenth of it, so that hundreds of
scenes can be compared for one phrase.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

import msgspec
import torch
from jaxtyping import Float, Int, Int8
from torch import Tensor

from lerf.catalogue.record import AGAIN, AnsweringScene, opened_content
from lerf.catalogue.rows import supervised
from lerf.documents import converted
from lerf.errors import CatalogueError
from lerf.queries.phrases import PEAK_POINTS, Phrases, peak, smallest_as_good
from lerf.queries.result import QueryDefaults
from lerf.tensor_files import TensorFile, tensor_parts

LAYOUT = 1
"""Version of the content."""
LARGEST = 127
"""Of the bytes: the largest number of a row becomes this."""
MOST_ROWS = 131_072
"""Of a scene. Splats have millions; of more cells every second, third and so on is kept."""
SHORTEST = 1e-12
"""Of factors: nothing is divided by 0."""

Scales = Annotated[int, msgspec.Meta(ge=1, le=1024)]


class _About(msgspec.Struct):
    scales: Scales
    canonical: Annotated[list[str], msgspec.Meta(min_length=1)]
    temperature: Annotated[float, msgspec.Meta(gt=0, le=1e6)]
    threshold: Annotated[float, msgspec.Meta(ge=0, le=1)]


@dataclass(frozen=True)
class QuantisedScene:
    """Unit codes of a scene's cells at the scales that photos supervised, each a row of bytes and a factor."""

    rows: Int8[Tensor, "rows rank"]
    """Cell by cell, scales increasing."""
    factors: Float[Tensor, " rows"]
    """A row times this is the code."""
    first: Int[Tensor, " cells"]
    """Number of the smallest scale that each cell has a row for."""
    counts: Int[Tensor, " cells"]
    """Rows of each cell."""
    scales: int
    """That a phrase may be asked at."""
    basis: Float[Tensor, "rank width"]
    defaults: QueryDefaults

    @classmethod
    def of(cls, scene: AnsweringScene) -> QuantisedScene:
        """That of a scene."""
        index = scene.language.index
        kept = supervised(index).T
        step = -(-int(kept.sum()) // MOST_ROWS)
        kept = kept[::step]
        codes = index.unit_codes.view(len(index.scales), len(index), -1).transpose(0, 1)[::step][kept]
        factors = codes.abs().amax(-1).clamp(min=SHORTEST) / LARGEST
        rows = (codes / factors[:, None]).round().to(torch.int8)
        first = kept.int().argmax(1)
        return cls(
            rows.cpu(), factors.cpu(), first.cpu(), kept.sum(1).cpu(), len(index.scales),
            index.compressed.basis.float().cpu(), scene.defaults,
        )  # fmt: skip

    @cached_property
    def memory_bytes(self) -> int:
        """Memory held, about."""
        cells = len(self.first)
        return self.rows.numel() + 4 * (len(self.rows) + self.basis.numel()) + cells * (16 + 4 * self.scales)

    @cached_property
    def _row_at(self) -> Int[Tensor, "scales cells"]:
        """The row of each cell at each scale: at those that it has none for, that of the closest one."""
        scale = torch.arange(self.scales)[:, None]
        step = (scale - self.first).clamp(min=0).minimum(self.counts - 1)
        return (self.counts.cumsum(0) - self.counts + step).int()

    @torch.no_grad()
    def presence(self, phrases: Phrases) -> float:
        """About how relevant a phrase is to the scene: the mean over its best cells at the scale it answers at.

        An exact answer reads the points of the surface, which mix cells.

        Args:
            phrases: one phrase; what else is seen in the scene is not counted.
        """
        products = (phrases.vectors.cpu() @ self.basis.T) @ self.rows.float().T * self.factors
        odds = phrases.odds(products)[0][self._row_at]
        scale = int(smallest_as_good(peak(odds)))
        best = odds[scale].topk(min(PEAK_POINTS, odds.shape[-1])).values
        return float(torch.sigmoid(best).mean())

    def packed(self) -> bytes:
        """As the content of a file."""
        tensors = {
            "rows": self.rows, "factors": self.factors, "first": self.first.to(torch.int16),
            "counts": self.counts.to(torch.int16), "basis": self.basis,
        }  # fmt: skip
        about = {
            "scales": self.scales,
            "canonical": list(self.defaults.canonical), "temperature": self.defaults.temperature,
            "threshold": self.defaults.threshold,
        }  # fmt: skip
        return b"".join(tensor_parts(tensors, about, LAYOUT))

    @classmethod
    def unpacked(cls, content: bytes, name: str) -> QuantisedScene:
        """Inverse of `packed`; `name` is that of the run, for errors.

        Raises:
            CatalogueError: it is damaged, or of another version.
        """
        with opened_content(content, name, LAYOUT) as (file, where):
            scene = _unpacked(file, where)
        return scene


def _unpacked(file: TensorFile, where: str) -> QuantisedScene:
    about = converted(file.facts, _About, where, error=CatalogueError, remedy=AGAIN)
    tensors = file.tensors()
    rows, factors, basis = tensors["rows"], tensors["factors"], tensors["basis"]
    first, counts = tensors["first"].long(), tensors["counts"].long()
    if rows.dtype != torch.int8 or rows.dim() != 2 or basis.dim() != 2 or rows.shape[1] != len(basis):
        raise ValueError("codes that are not on its basis")
    if factors.shape != rows.shape[:1] or first.shape != counts.shape or int(counts.sum()) != len(rows):
        raise ValueError("not as many rows as its cells have")
    if len(counts) and not bool(((counts >= 1) & (first >= 0) & (first + counts <= about.scales)).all()):
        raise ValueError("scales that are not there")
    defaults = QueryDefaults(tuple(about.canonical), about.temperature, about.threshold)
    return QuantisedScene(rows, factors, first, counts, about.scales, basis, defaults)
