"""From a phrase to the scale at which it answers, and the relevancy of the whole surface at that scale."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from lerf.language.folded_head import Asked
from lerf.language.lifted import Language
from lerf.queries.phrases import Phrases, peak, smallest_as_good
from lerf.queries.surface import Surface

CHUNK = 32768
"""Head evaluations at once."""


def candidate_scales(scale_range: tuple[float, float], count: int = 30) -> Float[Tensor, " scales"]:
    """Scales to try, evenly spaced in their logarithm over the range seen in training; normalised units."""
    low, high = scale_range
    return torch.logspace(torch.tensor(low).log10().item(), torch.tensor(high).log10().item(), count)


@torch.no_grad()
def surface_relevancy(
    field: Language, surface: Surface, phrases: Phrases, index: Tensor, scale: float, asked: Asked | None = None
) -> Float[Tensor, "phrases points"]:
    """Relevancy of chosen surface points at one scale, or the closest that was supervised; 0 where none was.

    `asked` are the phrases made ready for the field; making them ready once serves many calls.
    """
    parts = []
    asked = Asked(field, phrases) if asked is None else asked
    # The deferred estimator runs its head once a point, the other once a sample.
    chunk = CHUNK if surface.features is not None else CHUNK // surface.stops.weights.shape[1]
    for part in index.split(chunk):
        wanted = torch.full((len(part),), scale, device=part.device)
        scales, seen = field.bounds.nearest_supervised(surface.positions[part], wanted)
        features = None if surface.features is None else surface.features[part]
        stops = surface.stops_of(part) if features is None else None
        parts.append(asked.relevancy(features, stops, scales) * seen)
    return torch.cat(parts, dim=-1)


@torch.no_grad()
def choose_scales(
    field: Language, surface: Surface, phrases: Phrases, scales: Float[Tensor, " scales"], coarse: int = 12_000
) -> tuple[Float[Tensor, " phrases"], Float[Tensor, "phrases scales"]]:
    """For each phrase the scale at which it answers, and the peaks of all scales, on about `coarse` of the points.

    It is the scale whose relevancy peaks highest, and among those as good the smallest: see `smallest_as_good`.
    """
    step = max(1, len(surface) // coarse)
    index = torch.arange(0, len(surface), step, device=surface.photo.device)
    asked = Asked(field, phrases)
    peaks = torch.stack(
        [peak(surface_relevancy(field, surface, phrases, index, scale, asked)) for scale in scales.tolist()], dim=-1
    )
    return scales.to(peaks.device)[smallest_as_good(peaks)], peaks
