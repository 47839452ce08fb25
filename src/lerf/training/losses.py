"""Losses as pure functions."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from lerf.kernels.reference import spacing_of


def distortion(weights: Float[Tensor, "rays samples"], edges: Float[Tensor, "rays edges"]) -> Float[Tensor, ""]:
    """Mean over rays of the distortion loss, which pulls a ray's weight into one short piece.

    sum_ij w_i w_j |m_i - m_j| + sum_i w_i^2 d_i / 3 with middles m and lengths d of the intervals in the coordinate
    `kernels.reference.spacing_of` (Barron et al. 2022, eq. 15), in linear time by prefix sums.
    """
    spacing = spacing_of(edges)
    middle, length = 0.5 * (spacing[:, 1:] + spacing[:, :-1]), spacing[:, 1:] - spacing[:, :-1]
    before = torch.cumsum(weights, -1) - weights
    moment = torch.cumsum(weights * middle, -1) - weights * middle
    pairs = 2.0 * (weights * (middle * before - moment)).sum(-1)
    own = (weights.square() * length).sum(-1) / 3.0
    return (pairs + own).mean()


def huber(
    predicted: Float[Tensor, "rays width"], target: Float[Tensor, "rays width"], delta: float = 1.25
) -> Float[Tensor, ""]:
    """Huber loss summed over channels, mean over rays: the language loss of the LERF authors' code."""
    return F.huber_loss(predicted, target, delta=delta, reduction="sum") / len(predicted)


def squared_error(predicted: Float[Tensor, "rays width"], target: Float[Tensor, "rays width"]) -> Float[Tensor, ""]:
    """Squared error summed over channels, mean over rays: the loss of the dense regulariser."""
    return F.mse_loss(predicted, target, reduction="sum") / len(predicted)


OUTLIERS = 0.02
"""Share of sparse points that are believed to be wrong: a ray that cannot end at its point costs no more than that."""


def stopping(
    before: Float[Tensor, " rays"], inside: Float[Tensor, " rays"], confidence: Float[Tensor, " rays"]
) -> Float[Tensor, ""]:
    """Mean surprise that rays end where they do, -log of its likelihood, weighted by confidence.

    A ray ends in a box with the likelihood exp(-before) (1 - exp(-inside)), of the optical depths before the box and in
    it (the likelihood of Deng et al. 2022, "Depth-supervised NeRF").
    """
    likelihood = torch.exp(-before) * -torch.expm1(-inside)
    return -(confidence * torch.log(likelihood + OUTLIERS)).mean()
