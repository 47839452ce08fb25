"""Masks of everything in a photo, from a network that answers points with masks, as SAM does.

A grid of points is asked, each answered by several masks (a part, a thing, a group of things) with a guess of how good
each is. Kept are masks that the network itself believes in and that hardly change with the threshold; of those that are
nearly the same the best (Kirillov et al. 2023, arXiv 2304.02643, section 5 and appendix B; their defaults). Unlike
theirs, stability and overlap are those of the network's own resolution, a quarter of its input's, and overlap is that
of the masks and not of their boxes, so that a ring and what lies in it both stay.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

AT_ONCE = 64
"""Points that are asked together."""
LARGEST_SHARE = 0.95
"""Of the photo: a mask of more is the photo, of which tiles say as much."""


@dataclass(frozen=True)
class MaskRule:
    """Which of a network's masks are kept."""

    points: int = 32
    """Points a side of the grid."""
    quality: float = 0.88
    """Least IoU that the network expects of a mask."""
    stability: float = 0.95
    """Least IoU of the masks at thresholds of `margin` above and below."""
    margin: float = 1.0
    """Logits."""
    overlap: float = 0.7
    """IoU above which the worse of two masks goes."""


Asked = Callable[[Float[Tensor, "points 2"]], tuple[Float[Tensor, "points masks rows columns"], Tensor]]
"""Told points as shares of the photo's width and height, it gives logits of masks over the photo and, [points, masks],
the IoU that the network expects of each."""


def point_grid(side: int) -> Float[Tensor, "points 2"]:
    """Centres (x, y) of the cells of a grid over the photo, as shares of its width and height, row by row."""
    centres = (torch.arange(side) + 0.5) / side
    y, x = torch.meshgrid(centres, centres, indexing="ij")
    return torch.stack([x.reshape(-1), y.reshape(-1)], -1)


@torch.no_grad()
def believed_masks(asked: Asked, rule: MaskRule) -> Float[Tensor, "masks rows columns"]:
    """Logits of the masks that are kept, those of the highest expected IoU first, on the CPU."""
    logits, scores = [], []
    for points in point_grid(rule.points).split(AT_ONCE):
        found, expected = asked(points)
        found, expected = found.flatten(0, 1), expected.flatten()
        share = (found > 0).float().mean((-2, -1))
        good = (expected >= rule.quality) & (share > 0) & (share <= LARGEST_SHARE)
        good &= stability(found, rule.margin) >= rule.stability
        logits.append(found[good].float().cpu())
        scores.append(expected[good].float().cpu())
    together, of_each = torch.cat(logits), torch.cat(scores)
    return together[without_repeats(together > 0, of_each, rule.overlap)]


def stability(logits: Float[Tensor, "masks rows columns"], margin: float) -> Float[Tensor, " masks"]:
    """IoU of each mask at a threshold of `margin` with that at -`margin`; 0 where both are empty."""
    high, low = ((logits > threshold).sum((-2, -1)).float() for threshold in (margin, -margin))
    return high / low.clamp(min=1.0)


def without_repeats(
    masks: Bool[Tensor, "masks rows columns"], scores: Float[Tensor, " masks"], overlap: float
) -> Int[Tensor, " kept"]:
    """Numbers of the masks that are left when each, best first, drops all worse ones of a larger IoU with it."""
    order = scores.argsort(descending=True, stable=True)
    kept: list[int] = []
    flat = masks.flatten(1)
    areas = flat.sum(1).float()
    chosen = torch.zeros(0, flat.shape[1])
    for block in order.split(AT_ONCE):
        own = flat[block].float()
        against = torch.cat([chosen, own])
        shared = own @ against.T
        of_others = torch.cat([areas[torch.tensor(kept, dtype=torch.long)], areas[block]])
        union = areas[block][:, None] + of_others - shared
        same = shared > overlap * union
        before, stays = len(kept), torch.zeros(len(block), dtype=torch.bool)
        for row, number in enumerate(block.tolist()):
            if not bool(same[row, :before].any()) and not bool((same[row, before:] & stays).any()):
                stays[row] = True
                kept.append(number)
        chosen = torch.cat([chosen, own[stays]])
    return torch.tensor(kept, dtype=torch.long)


def at_size(
    logits: Float[Tensor, "masks rows columns"], covered: tuple[float, float], size: tuple[int, int]
) -> Iterator[Bool[np.ndarray, "height width"]]:
    """The masks at another resolution, one at a time; an empty one is left out.

    Args:
        logits: of masks.
        covered: rows and columns of them that lie over the photo; what is beyond is cut off.
        size: height and width of the photo in pixels.
    """
    height, width = size
    scale = [side / whole for side, whole in zip(size, covered, strict=True)]
    for own in logits:
        grown = F.interpolate(own[None, None], scale_factor=scale, mode="bilinear", align_corners=False)[0, 0]
        mask = (grown[:height, :width] > 0).numpy()
        if mask.any():
            yield mask
