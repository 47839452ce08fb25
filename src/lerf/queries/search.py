"""From a phrase to the scale at which it answers, and the relevancy of the whole surface at that scale."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lerf.fields.language import LanguageField
from lerf.queries.relevancy import relevancy
from lerf.queries.surface import Surface

CHUNK = 32768
"""Head evaluations at once."""
PEAK_SHARE = 1e-3
"""A scale's peak is the mean over this share of the points: one stray point must not choose the scale."""
PEAK_POINTS = 5
AS_GOOD = 0.1


@dataclass(frozen=True)
class Phrases:
    """Embedded phrases and what they are measured against."""

    texts: tuple[str, ...]
    queries: Float[Tensor, "phrases width"]
    canonical: Float[Tensor, "canonical width"]
    temperature: float


def candidate_scales(scale_range: tuple[float, float], count: int = 30) -> Float[Tensor, " scales"]:
    """Scales to try, evenly spaced in their logarithm over the range seen in training; normalised units."""
    low, high = scale_range
    return torch.logspace(torch.tensor(low).log10().item(), torch.tensor(high).log10().item(), count)


def peak(scores: Float[Tensor, "*batch points"]) -> Float[Tensor, "*batch"]:
    """Mean of the highest scores, over `PEAK_SHARE` of the points and at least `PEAK_POINTS`."""
    count = min(scores.shape[-1], max(PEAK_POINTS, round(PEAK_SHARE * scores.shape[-1])))
    return scores.topk(count, dim=-1).values.mean(-1)


def presence(scores: Float[Tensor, " points"]) -> float:
    """How relevant a phrase is to the scene: the mean over its `PEAK_POINTS` best points, so that no stray one decides.

    It is compared with the encoder's threshold, ranks phrases, and is the relevancy of the answer.
    """
    return float(scores.topk(min(PEAK_POINTS, len(scores))).values.mean())


@torch.no_grad()
def surface_relevancy(
    field: LanguageField, surface: Surface, phrases: Phrases, index: Tensor, scale: float
) -> Float[Tensor, "phrases points"]:
    """Relevancy of chosen surface points at one scale, or the closest that was supervised; 0 where none was."""
    parts = []
    # The deferred estimator runs its head once a point, the other once a sample.
    chunk = CHUNK if surface.features is not None else CHUNK // surface.stops.weights.shape[1]
    for part in index.split(chunk):
        asked = torch.full((len(part),), scale, device=part.device)
        scales, seen = field.bounds.nearest_supervised(surface.positions[part], asked)
        embedding = surface.embed(field, part, scales)
        scores = relevancy(embedding, phrases.queries, phrases.canonical, phrases.temperature)
        parts.append(scores * seen)
    return torch.cat(parts, dim=-1)


def smallest_as_good(peaks: Float[Tensor, "*batch scales"]) -> Int[Tensor, "*batch"]:
    """Index of the scale that a phrase answers at, from the peaks of its relevancy at increasing scales.

    It is the smallest of those as good as the best: of tiles that are equally sure of a phrase, the smallest says best
    where it is. Relevancy saturates, so peaks are compared by their margin, which is the temperature times the cosines'
    lead over the canonical phrases; within `AS_GOOD` of the highest is as good.
    """
    margins = torch.logit(peaks, eps=1e-6)
    best = margins.amax(-1, keepdim=True)
    return (margins >= best - AS_GOOD * best.abs()).int().argmax(-1)


@torch.no_grad()
def choose_scales(
    field: LanguageField, surface: Surface, phrases: Phrases, scales: Float[Tensor, " scales"], coarse: int = 12_000
) -> tuple[Float[Tensor, " phrases"], Float[Tensor, "phrases scales"]]:
    """For each phrase the scale at which it answers, and the peaks of all scales, on about `coarse` of the points.

    It is the scale whose relevancy peaks highest, and among those as good the smallest: see `smallest_as_good`.
    """
    step = max(1, len(surface) // coarse)
    index = torch.arange(0, len(surface), step, device=surface.photo.device)
    peaks = torch.stack(
        [peak(surface_relevancy(field, surface, phrases, index, scale)) for scale in scales.tolist()], dim=-1
    )
    return scales.to(peaks.device)[smallest_as_good(peaks)], peaks
