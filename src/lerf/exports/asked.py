"""Phrases with everything that must stay fixed over a whole video, cloud or mesh."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from lerf.model import Model
from lerf.queries.indexed import IndexUse
from lerf.queries.phrases import Phrases, presence
from lerf.queries.scales import surface_relevancy


@dataclass(frozen=True)
class Asked:
    """Phrases, the scale that each is asked at, and how relevant it is to the scene."""

    phrases: Phrases
    scales: tuple[float, ...]
    """Of each phrase, normalised units."""
    scores: tuple[float, ...]
    """Relevancy of each phrase to the scene (`phrases.presence`): the top of its colours, the same in every picture."""


def ask(
    model: Model,
    texts: Sequence[str],
    *,
    canonical: Sequence[str] | None = None,
    temperature: float | None = None,
    scale: float | None = None,
    index: IndexUse = "auto",
) -> Asked:
    """Embed phrases and fix their scales and scores for the scene, from the baked index where there is one.

    Args:
        model: the run.
        texts: phrases, one or more.
        canonical: phrases to beat, instead of the run's.
        temperature: factor on cosines, instead of the encoder's.
        scale: tile height in capture units for all phrases; by default each one's best in the scene.
        index: as in `Model.query`.

    Raises:
        QueryError: an empty phrase, or a setting out of range.
        RunError: an index is required and there is none.
    """
    phrases = model.phrases(list(texts), canonical, temperature)
    wanted = None if scale is None else [model.normalised_scale(scale)] * len(phrases.texts)
    baked = model.index(index)
    if baked is not None:
        found = baked.find(phrases, 1.0, wanted)
        # A scale that was given is asked as it is; the index knows a few only.
        scales = wanted or [own.scale for own in found]
        return Asked(phrases, tuple(scales), tuple(own.score for own in found))
    scales = wanted or model.choose_scales(phrases)
    everything = torch.arange(len(model.surface), device=model.device)
    scores = []
    for row, own in enumerate(scales):
        one = Phrases((phrases.texts[row],), phrases.queries[row : row + 1], phrases.canonical, phrases.temperature)
        scores.append(presence(surface_relevancy(model.language, model.surface, one, everything, own)[0]))
    return Asked(phrases, tuple(scales), tuple(scores))
