"""Embeddings as colours: one basis for a scene, so that equal colours mean equal things in every view."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class PcaBasis:
    """How embeddings become RGB."""

    mean: Float[Tensor, " width"]
    axes: Float[Tensor, "width 3"]
    """The three directions of largest variance, unit length; the largest entry of each is positive."""
    low: Float[Tensor, " 3"]
    """Projection shown as 0: the 1st percentile of those fitted."""
    high: Float[Tensor, " 3"]
    """Projection shown as 1: the 99th percentile."""


def fit_pca_basis(features: Float[Tensor, "samples width"]) -> PcaBasis:
    """Basis of a sample of embeddings, which should come from training photos only; missing directions are zero."""
    features = features.detach().cpu().double()
    mean = features.mean(dim=0)
    _, vectors = torch.linalg.eigh((features - mean).T @ (features - mean))
    axes = vectors.flip(1)[:, :3]
    axes = torch.nn.functional.pad(axes, (0, 3 - axes.shape[1]))
    largest = axes.gather(0, axes.abs().argmax(dim=0, keepdim=True))
    axes = axes * torch.where(largest < 0, -1.0, 1.0)
    projected = (features - mean) @ axes
    low = torch.tensor([float(np.percentile(column.numpy(), 1.0)) for column in projected.T])
    high = torch.tensor([float(np.percentile(column.numpy(), 99.0)) for column in projected.T])
    return PcaBasis(mean.float(), axes.float(), low.float(), high.float())


def apply_pca_basis(
    basis: PcaBasis, embeddings: Float[Tensor, "height width embedding"]
) -> Float[Tensor, "height width 3"]:
    """Picture of an embedding map, clipped to 0..1; a direction without spread is mid-grey."""
    projected = (embeddings.detach().float().cpu() - basis.mean) @ basis.axes
    spread = basis.high - basis.low
    flat = spread <= 1e-8
    return torch.where(flat, 0.5, (projected - basis.low) / torch.where(flat, 1.0, spread)).clamp(0, 1)
