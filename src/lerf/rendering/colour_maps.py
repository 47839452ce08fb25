"""Colours of values: the maps, the ranges that they are stretched over, and the legend that says so.

A picture is Float[Tensor, "height width 3"], RGB in 0..1, on the CPU.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from lerf.errors import QueryError

COLORMAPS = ("turbo", "viridis", "magma", "inferno", "cividis", "gray")
TIE = 0.5
"""Raw relevancy of what is as close to the phrase as to the nearest canonical phrase."""
Range = Literal["raw", "centred", "normalised"]
"""What relevancy is shown as: itself in 0..1; 2 r - 1 with the tie at 0; stretched from the tie to the highest."""
RANGES: tuple[Range, ...] = get_args(Range)


@dataclass(frozen=True)
class Legend:
    """What the colours of a picture mean."""

    title: str
    low: float
    high: float
    colormap: str
    unit: str = ""


@cache
def color_table(name: str) -> Float[Tensor, "256 3"]:
    """RGB of a colour map in 0..1.

    Raises:
        QueryError: when there is no such map.
    """
    if name not in COLORMAPS:
        raise QueryError(f"There is no colour map {name}; choose one of {', '.join(COLORMAPS)}.")
    import matplotlib

    return torch.tensor(matplotlib.colormaps[name](np.arange(256))[:, :3], dtype=torch.float32)


def map_colours(values: Float[Tensor, "*shape"], colormap: str = "turbo") -> Float[Tensor, "*shape 3"]:
    """Colours of values in 0..1; values outside are clipped, NaN is black."""
    known = values.detach().float().cpu()
    colours = color_table(colormap)[(known.nan_to_num(0.0).clamp(0, 1) * 256).long().clamp(max=255)]
    return torch.where(known.isnan()[..., None], torch.zeros(()), colours)


def stretch(values: Float[Tensor, "*shape"], low: float, high: float) -> Float[Tensor, "*shape"]:
    """Values so that `low` becomes 0 and `high` becomes 1, not clipped; infinite ones become NaN."""
    stretched = (values.detach().float().cpu() - low) / max(high - low, 1e-12)
    return torch.where(stretched.isfinite(), stretched, torch.nan)


def centred(raw: Float[Tensor, "*points"]) -> Float[Tensor, "*points"]:
    """Relevancy in -1..1 with the tie at 0: 2 r - 1."""
    return 2 * raw - 1


def normalised(raw: Float[Tensor, "*points"], maximum: float | None = None) -> Float[Tensor, "*points"]:
    """Relevancy stretched so that the tie becomes 0 and `maximum` becomes 1, clipped to 0..1.

    `maximum` is that of `raw` when not given; give one to compare views. All zero when it is not above the tie.
    """
    top = (float(raw.max()) if raw.numel() else TIE) if maximum is None else maximum
    if top <= TIE:
        return torch.zeros_like(raw)
    return ((raw - TIE) / (top - TIE)).clamp(0, 1)


def percentile_limits(values: Float[Tensor, "*shape"]) -> tuple[float, float]:
    """1st and 99th percentile of the finite values; 0 and 1 where there are none."""
    finite = values.detach().float().cpu()
    finite = finite[finite.isfinite()]
    if finite.numel() == 0:
        return 0.0, 1.0
    # By numpy, which has no limit on the number of values (torch.quantile stops at 2^24).
    low, high = np.percentile(finite.numpy(), [1.0, 99.0]).tolist()
    return low, high


def to_bytes(picture: Float[Tensor, "*shape channel"]) -> UInt8[np.ndarray, "*shape channel"]:
    """8-bit values, rounded to the nearest; values outside 0..1 are clipped and NaN is black."""
    clipped = picture.detach().float().cpu().nan_to_num(0.0).clamp(0, 1)
    return (clipped * 255).round().to(torch.uint8).numpy()
