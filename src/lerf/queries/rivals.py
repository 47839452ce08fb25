"""What else is seen in a scene: names that a phrase must beat beside the canonical phrases.

Relevancy asks whether a place is better described by the phrase than by "object", and so passes an orange for a lemon
wherever they are kin. `auto` among the canonical phrases adds the things that the scene shows best, each to all phrases
that cannot mean it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lerf.encoders.protocols import ImageTextEncoder
from lerf.encoders.rivals import NamedThings, akin, named_things

AUTO = "auto"
MOST = 20
"""Names that are added, at most."""
RIVALRY = 0.7
"""What a rival's cosine counts. At 1 a phrase that is no name itself, a rocket beside a space shuttle, loses its place
to the nearest name too often; chosen on composed pictures and calibration photos."""


@dataclass(frozen=True)
class Rivals:
    """Names against phrases."""

    names: tuple[str, ...]
    vectors: Float[Tensor, "rivals width"]
    """Embeddings, of length `RIVALRY`."""
    beaten: Bool[Tensor, "phrases rivals"]
    """Whether a phrase must beat a name: it cannot mean it."""

    def chosen(self, rows: Sequence[int]) -> Rivals:
        """Those of some of the phrases."""
        return replace(self, beaten=self.beaten[list(rows)])

    def limit(
        self, odds: Float[Tensor, "phrases points"], cosines: Float[Tensor, "texts points"], temperature: float
    ) -> Float[Tensor, "phrases points"]:
        """Logarithmic odds against canonical phrases and rivals; the last rows of `cosines` are those of the rivals."""
        rivals = cosines[len(cosines) - len(self.names) :]
        limited = odds.clone()
        for row, beaten in enumerate(self.beaten):
            if bool(beaten.any()):
                best = rivals[beaten.to(rivals.device)].amax(dim=0)
                limited[row] = torch.minimum(odds[row], temperature * (cosines[row] - best))
        return limited


@runtime_checkable
class SceneSearch(Protocol):
    """A scene that can tell how well it shows what texts say."""

    def peaks(
        self, texts: Float[Tensor, "texts width"], canonical: Float[Tensor, "canonical width"]
    ) -> Float[Tensor, " texts"]:
        """For each text the highest margin over the canonical ones, in cosines."""
        ...


def seen_things(
    search: SceneSearch, things: NamedThings, canonical: Float[Tensor, "canonical width"]
) -> Int[Tensor, " seen"]:
    """Which of the names a scene shows: those that pass the canonical phrases somewhere, the `MOST` best of them, the
    best first."""
    if len(things.names) == 0:
        return torch.empty(0, dtype=torch.int64)
    peaks = search.peaks(things.vectors.to(canonical), canonical)
    best = torch.topk(peaks, min(MOST, len(peaks)))
    return best.indices[best.values > 0].cpu()


def rivals_in(
    search: Callable[[], SceneSearch],
    encoder: ImageTextEncoder,
    texts: Sequence[str],
    queries: Float[Tensor, "phrases width"],
    canonical: Float[Tensor, "canonical width"],
) -> Rivals | None:
    """The names that a scene shows best, of those that pass the canonical phrases; None where it shows none."""
    things = named_things(encoder)
    seen = seen_things(search(), things, canonical)
    if len(seen) == 0:
        return None
    names = tuple(things.names[index] for index in seen.tolist())
    vectors = things.vectors[seen.to(things.vectors.device)].to(queries)
    return Rivals(names, RIVALRY * vectors, ~akin(encoder, texts, queries)[:, seen].cpu())
