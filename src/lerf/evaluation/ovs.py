"""LERF-OVS: localisation and IoU as LangSplat's evaluation measures them on relevancy maps (arXiv 2312.16084).

Pixels are those of the labels. LangSplat's majority filter forgets the last row and column of the picture: that is not
repeated, windows end at the border.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from scipy.ndimage import uniform_filter
from torch import Tensor

from lerf.evaluation.localisation import in_boxes, peak_pixel
from lerf.evaluation.metrics import iou
from lerf.evaluation.protocol import EvalInputs, Measured, ViewProtocol, without_labels
from lerf.evaluation.truth import Target

BOX_SIDE = 30
MAJORITY_SIDE = 7
THRESHOLD = 0.4


def box_mean(scores: Float[Tensor, "height width"], side: int = BOX_SIDE) -> Float[Tensor, "height width"]:
    """Mean over the square of `side` pixels that begins side // 2 pixels up and left of each.

    Beyond the border the picture is mirrored about its outermost pixels. Both are OpenCV's `filter2D`, which LangSplat
    calls.
    """
    smooth = uniform_filter(scores.cpu().double().numpy(), side, mode="mirror")
    return torch.from_numpy(smooth).to(scores.dtype).to(scores.device)


def majority(mask: Bool[Tensor, "height width"], side: int = MAJORITY_SIDE) -> Bool[Tensor, "height width"]:
    """Whether more than half of the pixels around each one are set, in a square of odd `side` cut at the border."""
    share = F.avg_pool2d(mask[None, None].float(), side, 1, side // 2, count_include_pad=False)
    return share[0, 0] > 0.5


def segment(
    scores: Float[Tensor, "height width"], smooth: Float[Tensor, "height width"]
) -> Bool[Tensor, "height width"]:
    """The pixels that a phrase covers, of its relevancy and the `box_mean` of it.

    Their average is stretched to 0..1 over the view, mapped to -1..1, clipped at 0, compared with `THRESHOLD`, and
    cleaned by the majority filter.
    """
    mixed = 0.5 * (scores + smooth)
    mixed = mixed - mixed.min()
    stretched = mixed / (mixed.max() + 1e-9)
    return majority((2 * stretched - 1).clamp(0, 1) > THRESHOLD)


class LerfOvs(ViewProtocol):
    """The protocol `lerf-ovs`, on labelled views."""

    name = "lerf-ovs"

    def unsupported_reason(self, inputs: EvalInputs) -> str | None:
        if reason := without_labels(inputs):
            return reason
        if not inputs.known.has_masks:
            return "box files have no masks; give label files"
        return None if inputs.labelled else "no held-out photo has labels"

    def settings(self, inputs: EvalInputs) -> dict[str, Any]:
        return {"ovs": {"box_side": BOX_SIDE, "majority_side": MAJORITY_SIDE, "threshold": THRESHOLD}}

    def photos(self, inputs: EvalInputs) -> Sequence[int]:
        return inputs.labelled

    def summary(self, measured: Measured) -> dict[str, Any]:
        report = measured.means("ovs_localisation", "ovs_localisation") | measured.means("iou", "miou")
        if "lerf-localisation" not in [protocol.name for protocol in measured.protocols]:
            report |= measured.means("ovs_localisation", "localisation")
        return report

    def score(self, scores: Float[Tensor, "height width"], target: Target) -> dict[str, float]:
        """`ovs_localisation`, 1 where the smoothed peak lies in a box; and `iou` with the mask, where one is known."""
        smooth = box_mean(scores)
        found = {"ovs_localisation": float(in_boxes(*peak_pixel(smooth), target.boxes))}
        if target.mask is not None:
            found["iou"] = iou(segment(scores, smooth), target.mask)
        return found
