"""Embedded phrases, and how the relevancy of many places is made one number."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lerf.encoders.known import known_phrases
from lerf.encoders.protocols import ImageTextEncoder
from lerf.errors import EncoderError, QueryError
from lerf.queries.relevancy import LARGEST_TEMPERATURE, odds_of_cosines
from lerf.queries.rivals import AUTO, Rivals, SceneSearch, rivals_in

PEAK_SHARE = 1e-3
"""A scale's peak is the mean over this share of the points: one stray point must not choose the scale."""
PEAK_POINTS = 5
AS_GOOD = 0.1


@dataclass(frozen=True)
class Phrases:
    """Embedded phrases and what they are measured against."""

    texts: tuple[str, ...]
    queries: Float[Tensor, "phrases width"]
    """Unit embeddings of the phrases."""
    canonical: Float[Tensor, "canonical width"]
    """Unit embeddings of the negatives: the canonical phrases that a phrase must beat."""
    temperature: float
    """Factor on cosines."""
    canonical_texts: tuple[str, ...] = ()
    known: tuple[float | None, ...] = ()
    """For each phrase how much of it the encoder can read, 0 to 1; None where it cannot tell. Empty: nobody asked."""

    exclusive: bool = False
    """Whether every place answers only the phrase that leads there (`lerf.queries.exclusive`)."""
    rivals: Rivals | None = None
    """What else is seen in the scene, which phrases must beat too."""

    def __len__(self) -> int:
        return len(self.texts)

    @cached_property
    def vectors(self) -> Float[Tensor, "texts width"]:
        """Phrases, then canonical phrases, then rivals: the order of `odds`."""
        return torch.cat([self.queries, self.canonical, *([] if self.rivals is None else [self.rivals.vectors])])

    def odds(self, cosines: Float[Tensor, "texts points"]) -> Float[Tensor, "phrases points"]:
        """Logarithmic odds of relevancy from the cosines of `vectors` with embeddings."""
        count = len(self) + len(self.canonical)
        odds = odds_of_cosines(cosines[:count], len(self), self.temperature)
        return odds if self.rivals is None else self.rivals.limit(odds, cosines, self.temperature)

    def chosen(self, rows: Sequence[int]) -> Phrases:
        """Some of the phrases, in the order of `rows`, against the same canonical ones; these themselves where all are
        asked for, so that what is known of `vectors` is found again."""
        if list(rows) == list(range(len(self))):
            return self
        texts = tuple(self.texts[row] for row in rows)
        known = tuple(self.known[row] for row in rows) if self.known else ()
        rivals = None if self.rivals is None else self.rivals.chosen(rows)
        return replace(self, texts=texts, queries=self.queries[list(rows)], known=known, rivals=rivals)


def embed_phrases(
    encoder: ImageTextEncoder,
    texts: str | Sequence[str],
    canonical: Sequence[str],
    temperature: float,
    device: str = "cpu",
    exclusive: bool = False,
    scene: Callable[[], SceneSearch] | None = None,
) -> Phrases:
    """Embed phrases and the canonical phrases that they must beat; phrases that the encoder cannot read warn.

    `auto` among the canonical phrases stands for what else is seen in the scene, and alone for the encoder's own
    canonical phrases beside that.

    Raises:
        QueryError: an empty phrase, no canonical phrase, or a temperature that is not positive.
        EncoderError: the encoder gives numbers that are not finite.
    """
    cleaned, negatives = clean_phrases(texts), clean_phrases(list(canonical))
    if not 0 < temperature <= LARGEST_TEMPERATURE:
        raise QueryError(
            f"The temperature must be a positive number of at most {LARGEST_TEMPERATURE:g}, not {temperature}."
        )
    plain = [text for text in negatives if text != AUTO] or [t for t in encoder.defaults.canonical if t != AUTO]
    known = known_phrases(encoder, cleaned)
    embedded = encoder.encode_text([*cleaned, *plain]).to(device)
    if not bool(embedded.isfinite().all()):
        raise EncoderError(
            f"The encoder '{encoder.name}' embeds phrases as numbers that are not finite; its weights are damaged: "
            "fetch them again."
        )
    queries, bar = embedded[: len(cleaned)], embedded[len(cleaned) :]
    rivals, told = None, plain
    if AUTO in negatives:
        if scene is None:
            raise QueryError(f"'{AUTO}' among the canonical phrases needs a scene to look at; leave it out.")
        rivals, told = rivals_in(scene, encoder, cleaned, queries, bar), [*plain, AUTO]
    return Phrases(tuple(cleaned), queries, bar, temperature, tuple(told), known, exclusive, rivals)


def clean_phrases(phrases: str | Sequence[object]) -> list[str]:
    """Phrases with runs of white space made one space; a single string is one phrase. Order and repeats are kept.

    Raises:
        QueryError: when there is no phrase, or one is blank or not text.
    """
    listed = [phrases] if isinstance(phrases, str) else list(phrases)
    if not listed:
        raise QueryError('There is no phrase to look for; give at least one, for example "fox".')
    cleaned = []
    for number, phrase in enumerate(listed, start=1):
        if not isinstance(phrase, str):
            raise QueryError(f"Phrase {number} is {phrase!r}, not text; give words.")
        words = " ".join(phrase.split())
        if not words:
            raise QueryError(f'Phrase {number} is empty; give words to look for, for example "fox".')
        cleaned.append(words)
    return cleaned


def peak(odds: Float[Tensor, "*batch points"]) -> Float[Tensor, "*batch"]:
    """Mean of the highest relevancies, over `PEAK_SHARE` of the points and at least `PEAK_POINTS`, of points whose
    relevancies have these logarithmic odds."""
    count = min(odds.shape[-1], max(PEAK_POINTS, round(PEAK_SHARE * odds.shape[-1])))
    return torch.sigmoid(odds.topk(count, dim=-1).values).mean(-1)


def presence(scores: Float[Tensor, " points"]) -> float:
    """How relevant a phrase is to the scene: the mean over its `PEAK_POINTS` best points, so that no stray one decides.

    It is compared with the encoder's threshold, ranks phrases, and is the relevancy of the answer.
    """
    return float(scores.topk(min(PEAK_POINTS, len(scores))).values.mean())


def smallest_as_good(peaks: Float[Tensor, "*batch scales"]) -> Int[Tensor, "*batch"]:
    """Index of the scale that a phrase answers at, from the peaks of its relevancy at increasing scales.

    It is the smallest of those as good as the best: of tiles that are equally sure of a phrase, the smallest says best
    where it is. Relevancy saturates, so peaks are compared by their logarithmic odds: the temperature times the margin
    of the cosine over those of the canonical phrases; within `AS_GOOD` of the highest is as good.
    """
    margins = torch.logit(peaks, eps=1e-6)
    best = margins.amax(-1, keepdim=True)
    return (margins >= best - AS_GOOD * best.abs()).int().argmax(-1)
