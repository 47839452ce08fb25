"""Embedded phrases, and how the relevancy of many places is made one number."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

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


def peak(scores: Float[Tensor, "*batch points"]) -> Float[Tensor, "*batch"]:
    """Mean of the highest scores, over `PEAK_SHARE` of the points and at least `PEAK_POINTS`."""
    count = min(scores.shape[-1], max(PEAK_POINTS, round(PEAK_SHARE * scores.shape[-1])))
    return scores.topk(count, dim=-1).values.mean(-1)


def presence(scores: Float[Tensor, " points"]) -> float:
    """How relevant a phrase is to the scene: the mean over its `PEAK_POINTS` best points, so that no stray one decides.

    It is compared with the encoder's threshold, ranks phrases, and is the relevancy of the answer.
    """
    return float(scores.topk(min(PEAK_POINTS, len(scores))).values.mean())


def smallest_as_good(peaks: Float[Tensor, "*batch scales"]) -> Int[Tensor, "*batch"]:
    """Index of the scale that a phrase answers at, from the peaks of its relevancy at increasing scales.

    It is the smallest of those as good as the best: of tiles that are equally sure of a phrase, the smallest says best
    where it is. Relevancy saturates, so peaks are compared by their margin, which is the temperature times the cosines'
    lead over the canonical phrases; within `AS_GOOD` of the highest is as good.
    """
    margins = torch.logit(peaks, eps=1e-6)
    best = margins.amax(-1, keepdim=True)
    return (margins >= best - AS_GOOD * best.abs()).int().argmax(-1)
