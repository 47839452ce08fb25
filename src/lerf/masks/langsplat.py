"""LangSplat's preprocessed `language_features/`: levels of mask numbers, and a unit embedding of each mask.

Numbers in `<stem>_s.npy` are rows of `<stem>_f.npy`, counted over all levels; a row may own no pixel.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

from lerf.encoders.protocols import ImageTextEncoder
from lerf.errors import SceneError
from lerf.masks.embed import embed_crops
from lerf.masks.mask_files import REMEDY, read_numbers
from lerf.masks.photo_masks import PhotoMasks

COMPARED = 12
"""Masks whose crops are embedded again, to see whether the encoder is the one that the files were made with."""
ALIKE = 0.8
"""Least mean cosine between both. Crops differ a little in their resizing; encoders differ altogether."""


def read_embeddings(path: Path, masks: PhotoMasks, width: int) -> Float[Tensor, "masks width"]:
    """Embeddings of masks from a `_f.npy`, as many as the levels name.

    Raises:
        SceneError: it cannot be read, has another width, too few rows, or numbers that are not finite.
    """
    rows = read_numbers(path)
    if rows.ndim != 2 or rows.shape[1] != width or rows.dtype.kind != "f":
        raise SceneError(
            f"{path} holds {rows.dtype} of shape {list(rows.shape)} and the encoder embeds into {width} numbers: give "
            "--encoder the one that the files were made with."
        )
    if len(rows) < masks.count:
        raise SceneError(f"{path} has {len(rows)} rows and the levels name {masks.count} masks: {REMEDY}.")
    if not np.isfinite(rows).all():
        raise SceneError(f"{path} holds numbers that are not finite: {REMEDY}.")
    return F.normalize(torch.from_numpy(rows[: masks.count].astype(np.float32)), dim=-1)


def refuse_other_encoder(
    path: Path,
    pixels: UInt8[np.ndarray, "rows columns 3"],
    masks: PhotoMasks,
    embeddings: Float[Tensor, "masks width"],
    encoder: ImageTextEncoder,
    device: str,
) -> None:
    """Embed some of the masks again and compare.

    Raises:
        SceneError: the embeddings are those of another encoder, or of another photo.
    """
    order = np.argsort(-masks.ratios, kind="stable")
    chosen = [int(number) for number in order[:COMPARED] if masks.ratios[number] > 0]
    if not chosen:
        return
    ids = np.full_like(masks.ids, -1)
    for row, number in enumerate(chosen):
        ids[masks.ids == number] = row
    ours = embed_crops(pixels, PhotoMasks(ids, len(chosen)), encoder, "black", device)
    cosine = float((ours * embeddings[chosen]).sum(-1).mean())
    if cosine < ALIKE:
        raise SceneError(
            f"The embeddings {path} are not those that {encoder.name} gives (cosine {cosine:.2f} on {len(chosen)} "
            "masks): give --encoder and --weights those that they were made with, or take the files away."
        )
