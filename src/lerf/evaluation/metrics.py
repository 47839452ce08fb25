"""Scores of colour (PSNR, SSIM) and of answers (AUC, IoU, average precision), each from its definition.

Every function is exact for its input: ties are handled, nothing is binned or sampled. A score that is undefined for its
input raises `ConfigError`; none is ever NaN.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from scipy.stats import rankdata
from torch import Tensor

from lerf.devices import in_doubles
from lerf.errors import ConfigError

SSIM_WINDOW = 11
"""Side in pixels of the Gaussian window (Wang et al. 2004)."""
SSIM_SIGMA = 1.5
"""Standard deviation in pixels of that window."""


def psnr(prediction: Float[Tensor, "height width channel"], target: Float[Tensor, "height width channel"]) -> float:
    """Peak signal-to-noise ratio in dB, -10 log10(mean squared error), for pictures in 0..1; infinite when equal."""
    error = float((in_doubles(prediction) - in_doubles(target)).square().mean())
    return math.inf if error == 0 else -10 * math.log10(error)


def ssim(prediction: Float[Tensor, "height width channel"], target: Float[Tensor, "height width channel"]) -> float:
    """Mean structural similarity of pictures in 0..1, after Wang et al. 2004, equations 13 to 17.

    11x11 Gaussian window of sigma 1.5, K1 = 0.01, K2 = 0.03, weighted population moments, only windows that lie wholly
    inside the picture, averaged over windows and channels.

    Raises:
        ConfigError: when a side is shorter than the window.
    """
    if min(prediction.shape[:2]) < SSIM_WINDOW:
        height, width = prediction.shape[:2]
        raise ConfigError(f"SSIM needs pictures of at least 11x11 pixels, not {width}x{height}; downscale less.")
    x = in_doubles(prediction).permute(2, 0, 1)[:, None]
    y = in_doubles(target).permute(2, 0, 1)[:, None]
    offsets = torch.arange(SSIM_WINDOW, dtype=x.dtype, device=x.device) - SSIM_WINDOW // 2
    kernel = torch.exp(-offsets.square() / (2 * SSIM_SIGMA**2))
    kernel = kernel / kernel.sum()

    def blur(pictures: Tensor) -> Tensor:
        rows = F.conv2d(pictures, kernel.view(1, 1, -1, 1))
        return F.conv2d(rows, kernel.view(1, 1, 1, -1))

    mean_x, mean_y = blur(x), blur(y)
    variance_x = blur(x * x) - mean_x.square()
    variance_y = blur(y * y) - mean_y.square()
    covariance = blur(x * y) - mean_x * mean_y
    c1, c2 = 0.01**2, 0.03**2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x.square() + mean_y.square() + c1)
    contrast_structure = (2 * covariance + c2) / (variance_x + variance_y + c2)
    return float((luminance * contrast_structure).mean())


def pixel_auc(scores: Float[Tensor, "*pixels"], mask: Bool[Tensor, "*pixels"]) -> float:
    """Area under the ROC curve: the chance that a pixel inside the mask scores above one outside, ties counting half.

    The rank statistic of Mann and Whitney (1947) with average ranks for ties, hence exact.

    Raises:
        ConfigError: when the mask is empty or full, or a score is NaN.
    """
    ranks = rankdata(_flat(scores))
    inside = mask.reshape(-1).cpu().numpy()
    positives = int(inside.sum())
    negatives = inside.size - positives
    if positives == 0 or negatives == 0:
        raise ConfigError("AUC needs pixels inside and outside the mask; leave this photo out of the average.")
    return float((ranks[inside].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def iou(prediction: Bool[Tensor, "*pixels"], mask: Bool[Tensor, "*pixels"]) -> float:
    """Intersection over union of two masks; 1 when both are empty, because they agree."""
    union = int((prediction | mask).sum())
    return 1.0 if union == 0 else int((prediction & mask).sum()) / union


def iou_at(scores: Float[Tensor, "*pixels"], mask: Bool[Tensor, "*pixels"], threshold: float) -> float:
    """IoU of the pixels that score strictly above `threshold`."""
    return iou(scores > threshold, mask)


def best_iou(scores: Float[Tensor, "*pixels"], mask: Bool[Tensor, "*pixels"]) -> tuple[float, float]:
    """The highest IoU that any threshold reaches, and that threshold: pixels that score at least it are in.

    It looks at the truth, so it is an upper bound to print beside `iou_at`, never a result. Ties enter together.

    Raises:
        ConfigError: when the mask is empty or a score is NaN.
    """
    values, inside, last = _descending(scores, mask)
    positives = int(inside.sum())
    if positives == 0:
        raise ConfigError("The best IoU needs at least one pixel inside the mask; leave this photo out of the average.")
    hits = np.cumsum(inside)[last]
    ious = hits / (last + 1 + positives - hits)
    best = int(ious.argmax())
    return float(ious[best]), float(values[last[best]])


def precision_recall(
    scores: Float[Tensor, " items"] | Sequence[float], relevant: Bool[Tensor, " items"] | Sequence[bool]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Precision, recall and threshold for each distinct score, highest first: items that score at least it are taken.

    Raises:
        ConfigError: when no item is relevant or a score is NaN.
    """
    values, truth, last = _descending(torch.as_tensor(scores, dtype=torch.float64), torch.as_tensor(relevant))
    positives = int(truth.sum())
    if positives == 0:
        raise ConfigError("Average precision needs at least one relevant item; add a phrase that is in the scene.")
    hits = np.cumsum(truth)[last]
    return hits / (last + 1), hits / positives, values[last]


def average_precision(
    scores: Float[Tensor, " items"] | Sequence[float], relevant: Bool[Tensor, " items"] | Sequence[bool]
) -> float:
    """Average precision, the sum over distinct scores of (rise in recall) * precision, without interpolation.

    Ties enter together, at one threshold: with all scores equal it is the share of relevant items, and the order in
    which items are listed never matters.

    Raises:
        ConfigError: as `precision_recall`.
    """
    precision, recall, _ = precision_recall(scores, relevant)
    return float((np.diff(recall, prepend=0.0) * precision).sum())


def _descending(scores: Tensor, truth: Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores and truth by falling score, and for each distinct score the index of its last item."""
    values = _flat(scores)
    if len(values) == 0:
        raise ConfigError("There is nothing to score; give at least one item.")
    order = np.argsort(-values, kind="stable")
    values = values[order]
    last = np.append(np.flatnonzero(np.diff(values)), len(values) - 1)
    return values, truth.reshape(-1).cpu().numpy()[order].astype(bool), last


def _flat(scores: Tensor) -> np.ndarray:
    values = scores.detach().reshape(-1).cpu().double().numpy()
    if np.isnan(values).any():
        raise ConfigError("A score is NaN; the map that it comes from is broken.")
    return values
