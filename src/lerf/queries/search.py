"""From a phrase to the scale at which it answers, and the relevancy of the whole surface at that scale."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from lerf.fields.language import LanguageField
from lerf.queries.relevancy import relevancy
from lerf.queries.surface import Surface

CHUNK = 65536
PEAK_SHARE = 1e-3
"""A scale's peak is the mean over this share of the points: one stray point must not choose the scale."""
PEAK_POINTS = 5


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


@torch.no_grad()
def surface_relevancy(
    field: LanguageField, surface: Surface, phrases: Phrases, index: Tensor, scale: float
) -> Float[Tensor, "phrases points"]:
    """Relevancy of chosen surface points at one scale; 0 where no photo supervised that scale."""
    parts = []
    for part in index.split(CHUNK):
        scales = torch.full((len(part),), scale, device=part.device)
        embedding = surface.embed(field, part, scales)
        scores = relevancy(embedding, phrases.queries, phrases.canonical, phrases.temperature)
        parts.append(scores * field.bounds.allows(surface.positions[part], scales))
    return torch.cat(parts, dim=-1)


@torch.no_grad()
def choose_scales(
    field: LanguageField, surface: Surface, phrases: Phrases, scales: Float[Tensor, " scales"], coarse: int = 12_000
) -> tuple[Float[Tensor, " phrases"], Float[Tensor, "phrases scales"]]:
    """For each phrase the scale whose relevancy peaks highest on about `coarse` of the points, and all peaks."""
    step = max(1, len(surface) // coarse)
    index = torch.arange(0, len(surface), step, device=surface.photo.device)
    peaks = torch.stack(
        [peak(surface_relevancy(field, surface, phrases, index, scale)) for scale in scales.tolist()], dim=-1
    )
    return scales.to(peaks.device)[peaks.argmax(-1)], peaks
