"""The one relevancy that a surface gives a phrase, whatever shows it: read from language, then propagated."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from lerf.errors import RunError
from lerf.queries.exclusive import where_leading
from lerf.queries.known_relevancy import PointRelevancies
from lerf.queries.phrases import Phrases
from lerf.queries.scales import at_equal_scales, relevancy_at
from lerf.queries.surface import Surface
from lerf.steps import Steps

TOGETHER = 8
"""Phrases whose relevancy is propagated together, in one step."""
TRAIN_AGAIN = "its files are damaged or the training diverged: train again in a new folder"


@torch.no_grad()
def relevancy_of_surface(surface: Surface, phrases: Phrases, scales: Sequence[float]) -> Steps[PointRelevancies]:
    """Relevancy of a surface's points to phrases, each at its scale (normalised units).

    Of exclusive phrases, both are 0 where another has more after the propagation, which a stray point does not decide
    alone.

    Raises:
        RunError: nothing on the surface can answer, or what the run holds gives numbers that are not finite.
    """
    answering = surface.answering
    known = {row: surface.known.get(phrases, row, scale) for row, scale in enumerate(scales)}
    found = {row: both for row, both in known.items() if both is not None}
    for scale, rows in at_equal_scales(scales).items():
        missing = [row for row in rows if row not in found]
        for start in range(0, len(missing), TOGETHER):
            some = missing[start : start + TOGETHER]
            read = relevancy_at(surface.language, surface.latent, phrases.chosen(some), scale)
            read = torch.where(answering, read, 0.0)
            if not bool(read.isfinite().all()):
                raise RunError(f"The run's language gives relevancies that are not finite; {TRAIN_AGAIN}.")
            moved = torch.where(answering, surface.graph.propagate(read), 0.0)
            for row, own, spread in zip(some, read, moved, strict=True):
                found[row] = own, spread
                surface.known.put(phrases, row, scale, found[row])
            yield
    raw, refined = (torch.stack([found[row][part] for row in range(len(phrases))]) for part in (0, 1))
    if phrases.exclusive:
        raw, refined = where_leading(raw, refined), where_leading(refined)
    return PointRelevancies(raw, refined)
