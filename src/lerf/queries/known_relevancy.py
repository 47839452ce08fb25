"""Relevancy of phrases to the points of a surface, remembered for the pictures that follow an answer."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from jaxtyping import Float
from torch import Tensor

from lerf.queries.phrases import Phrases

MOST_PHRASES = 64
"""Phrases that are remembered."""


@dataclass(frozen=True)
class PointRelevancies:
    """Relevancy of the points of a surface to phrases, 0..1, each phrase at its scale."""

    raw: Float[Tensor, "phrases points"]
    """As language has it."""
    refined: Float[Tensor, "phrases points"]
    """Propagated along the surface: what every answer, picture and export shows."""


@dataclass
class KnownRelevancy:
    """What was found out about single phrases last, of one surface."""

    _rows: OrderedDict[bytes, tuple[Tensor, Tensor]] = field(default_factory=OrderedDict)

    def get(self, phrases: Phrases, row: int, scale: float) -> tuple[Tensor, Tensor] | None:
        """Raw and refined relevancy of the points to a phrase at a scale; None where they are not remembered."""
        key = _key(phrases, row, scale)
        if key in self._rows:
            self._rows.move_to_end(key)
        return self._rows.get(key)

    def put(self, phrases: Phrases, row: int, scale: float, relevancy: tuple[Tensor, Tensor]) -> None:
        """Remember them."""
        self._rows[_key(phrases, row, scale)] = relevancy
        while len(self._rows) > MOST_PHRASES:
            self._rows.popitem(last=False)


def _key(phrases: Phrases, row: int, scale: float) -> bytes:
    """Everything that decides the relevancy of a phrase that is asked by itself."""
    held = phrases.queries[row].cpu().numpy().tobytes(), phrases.canonical.cpu().numpy().tobytes()
    return b"".join(held) + repr((phrases.temperature, scale)).encode()
