"""Sizes of the language field; without torch, as the command line reads them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from tyro.conf import arg

from lerf.ranges import Cells, Few, Range, Samples, Width

Estimator = Literal["deferred", "per-sample"]


@dataclass(frozen=True)
class LanguageConfig:
    """Sizes of the language field."""

    grids: tuple[tuple[Few, Cells, Cells], ...] = ((12, 16, 128), (12, 128, 512))
    """Groups of levels: (levels, coarsest, finest) cells along an axis of the contracted space."""
    features: Few = 8
    """Features of a level."""
    log2_entries: Annotated[int, Range(1, 30)] = 19
    """Binary logarithm of the largest number of entries of a level."""
    contraction: Literal["linf", "l2"] = "l2"
    """Norm of the contraction; the authors' language field uses the ball."""
    hidden: Width = 256
    """Width of the hidden layers of the head."""
    layers: Few = 4
    """Hidden layers of the head."""
    dense_hidden: Width = 256
    """Width of the hidden layer of the dense head."""
    samples: Samples = 24
    """Heaviest samples of a ray that carry language."""
    estimator: Annotated[Estimator, arg(aliases=("--estimator",))] = "deferred"
    """Head once per ray on composited features, or at every sample as in the paper."""
