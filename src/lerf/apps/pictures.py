"""Pictures of what the model renders: maps to colours, PNG files, and figures with a legend.

A picture is Float[Tensor, "height width 3"], RGB in 0..1. Functions named `*_picture` are pure; those named `write_*`
write an 8-bit PNG that is whole or absent and raise `StorageError` when they cannot. Figures use matplotlib's Agg
canvas directly, so that nothing depends on a display or on pyplot's global state.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import matplotlib
import numpy as np
import torch
from jaxtyping import Float, UInt8
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from lerf.errors import ConfigError
from lerf.files import write_atomically
from lerf.queries.relevancy import centred, normalised


def to_bytes(picture: Float[Tensor, "height width channel"]) -> UInt8[np.ndarray, "height width channel"]:
    """8-bit values, rounded to the nearest; values outside 0..1 are clipped and NaN is black."""
    clipped = picture.detach().float().cpu().nan_to_num(0.0).clamp(0, 1)
    return (clipped * 255).round().to(torch.uint8).numpy()


def write_png(path: Path, picture: Float[Tensor, "height width 3"]) -> None:
    """Write a picture as an 8-bit RGB PNG."""
    image = Image.fromarray(to_bytes(picture))
    write_atomically(path, lambda file: image.save(file, format="PNG"))


def turbo(values: Float[Tensor, "height width"]) -> Float[Tensor, "height width 3"]:
    """Colours of values in 0..1 on the turbo map, blue to red; values outside are clipped, NaN is black."""
    table = torch.tensor(matplotlib.colormaps["turbo"](np.arange(256))[:, :3], dtype=torch.float32)
    known = values.detach().float().cpu()
    colours = table[(known.nan_to_num(0.0).clamp(0, 1) * 256).long().clamp(max=255)]
    return torch.where(known.isnan()[..., None], torch.zeros(()), colours)


def depth_picture(
    depth: Float[Tensor, "height width"], near: float | None = None, far: float | None = None
) -> Float[Tensor, "height width 3"]:
    """Depth on the turbo map, `near` blue and `far` red; pixels without a finite depth are black.

    Limits that are not given are the 1st and 99th percentile of the finite depths; give both to compare views.
    """
    depth = depth.detach().float().cpu()
    finite = depth[depth.isfinite()]
    if finite.numel() == 0:
        return torch.zeros(*depth.shape, 3)
    low = _percentile(finite, 1.0) if near is None else near
    high = _percentile(finite, 99.0) if far is None else far
    stretched = (depth - low) / max(high - low, 1e-12)
    return turbo(torch.where(depth.isfinite(), stretched, torch.nan))


def accumulation_picture(accumulation: Float[Tensor, "height width"]) -> Float[Tensor, "height width 3"]:
    """Share of light that the scene accounts for, black 0 to white 1."""
    return accumulation.detach().float().cpu()[..., None].expand(-1, -1, 3)


def raw_picture(relevancy: Float[Tensor, "height width"]) -> Float[Tensor, "height width 3"]:
    """Raw relevancy on the turbo map from 0 to 1; under 0.5, its middle, means irrelevant."""
    return turbo(relevancy)


def centred_picture(relevancy: Float[Tensor, "height width"]) -> Float[Tensor, "height width 3"]:
    """Centred relevancy (2 r - 1, in -1..1) as the LERF viewer shows it: turbo over 0..1, so below 0 is all darkest."""
    return turbo(centred(relevancy))


def normalised_picture(
    relevancy: Float[Tensor, "height width"], colour: Float[Tensor, "height width 3"], maximum: float | None = None
) -> Float[Tensor, "height width 3"]:
    """Turbo of relevancy stretched from 0.5 to `maximum` where it is above 0.5, the colour picture elsewhere.

    `maximum` is that of the map when not given (Kerr et al.'s viewer); give the scene's to compare views.
    """
    relevancy = relevancy.detach().float().cpu()
    return torch.where(
        (relevancy > 0.5)[..., None], turbo(normalised(relevancy, maximum)), colour.detach().float().cpu()
    )


def write_row(
    path: Path, pictures: Sequence[Float[Tensor, "_ _ 3"]], captions: Sequence[str], height: float = 4.0
) -> None:
    """Write pictures side by side at one height (inches at 120 dots per inch), each under its caption.

    Raises:
        ConfigError: when there is no picture, or not one caption for each.
    """
    if not pictures or len(pictures) != len(captions):
        raise ConfigError(f"A row has {len(pictures)} pictures and {len(captions)} captions; give one for each.")
    ratios = [picture.shape[1] / picture.shape[0] for picture in pictures]
    figure = Figure(figsize=(height * sum(ratios) + 0.1, height + 0.4), dpi=120, layout="constrained")
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0, hspace=0)  # type: ignore[union-attr, call-arg]
    axes = figure.subplots(1, len(pictures), squeeze=False, width_ratios=ratios)[0]
    for axis, picture, caption in zip(axes, pictures, captions, strict=True):
        axis.imshow(to_bytes(picture), interpolation="antialiased")
        axis.set_title(caption, fontsize=10)
        axis.set_axis_off()
    _write_figure(path, figure)


@dataclass(frozen=True)
class PcaBasis:
    """How embeddings become RGB: one basis for a scene, so that equal colours mean equal things in every view."""

    mean: Float[Tensor, " width"]
    axes: Float[Tensor, "width 3"]
    """The three directions of largest variance, unit length; the largest entry of each is positive."""
    low: Float[Tensor, " 3"]
    """Projection shown as 0: the 1st percentile of those fitted."""
    high: Float[Tensor, " 3"]
    """Projection shown as 1: the 99th percentile."""


def fit_pca_basis(features: Float[Tensor, "samples width"]) -> PcaBasis:
    """Basis of a sample of embeddings, which should come from training photos only; missing directions are zero."""
    features = features.detach().double().cpu()
    mean = features.mean(dim=0)
    _, vectors = torch.linalg.eigh((features - mean).T @ (features - mean))
    axes = vectors.flip(1)[:, :3]
    axes = torch.nn.functional.pad(axes, (0, 3 - axes.shape[1]))
    largest = axes.gather(0, axes.abs().argmax(dim=0, keepdim=True))
    axes = axes * torch.where(largest < 0, -1.0, 1.0)
    projected = (features - mean) @ axes
    low = torch.tensor([_percentile(column, 1.0) for column in projected.T])
    high = torch.tensor([_percentile(column, 99.0) for column in projected.T])
    return PcaBasis(mean.float(), axes.float(), low.float(), high.float())


def apply_pca_basis(
    basis: PcaBasis, embeddings: Float[Tensor, "height width embedding"]
) -> Float[Tensor, "height width 3"]:
    """Picture of an embedding map, clipped to 0..1; a direction without spread is mid-grey."""
    projected = (embeddings.detach().float().cpu() - basis.mean) @ basis.axes
    spread = basis.high - basis.low
    flat = spread <= 1e-8
    return torch.where(flat, 0.5, (projected - basis.low) / torch.where(flat, 1.0, spread)).clamp(0, 1)


def _percentile(values: Tensor, percent: float) -> float:
    """Percentile by numpy, which has no limit on the number of values (torch.quantile stops at 2^24)."""
    return float(np.percentile(values.numpy(), percent))


def _write_figure(path: Path, figure: Figure) -> None:
    canvas = FigureCanvasAgg(figure)

    def write(file: BinaryIO) -> None:
        canvas.print_png(file, metadata={"Software": None})

    write_atomically(path, write)
