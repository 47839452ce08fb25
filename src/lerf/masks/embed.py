"""What an encoder says of each mask: of its crop, or of the tiles under it."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from lerf.devices import in_single_precision, resized
from lerf.encoders.protocols import ImageTextEncoder
from lerf.masks.photo_masks import PhotoMasks
from lerf.pyramids.lookup import PyramidTable
from lerf.pyramids.tiles import tiles_a_batch

Crop = Literal["black", "blur", "context", "pool"]
BLURRED = 1 / 16
"""Side to which a crop's surroundings are reduced for `blur`, over the crop's."""
POOLED = 256
"""Pixels of a mask whose tiles are averaged, at most."""


@torch.no_grad()
def embed_crops(
    pixels: UInt8[np.ndarray, "rows columns 3"], masks: PhotoMasks, encoder: ImageTextEncoder, crop: Crop, device: str
) -> Float[Tensor, "masks width"]:
    """Unit embeddings of the masks' bounding boxes, padded to squares; zero for a mask without a pixel.

    Args:
        pixels: the photo; the masks may be a reduction of it.
        masks: of the photo.
        encoder: takes the crops as tiles.
        crop: around the thing is `black`, its blurred surroundings (`blur`), or what is there (`context`).
        device: of the encoder's network.
    """
    size = encoder.input_size
    batch = tiles_a_batch(torch.device(device), size)
    photo = torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1).float() / 255.0
    found = torch.zeros(masks.count, encoder.width)
    waiting: list[tuple[int, Tensor]] = []
    for number in range(masks.count):
        mask = masks.mask(number)
        if mask.any():
            waiting.append((number, _crop(photo, mask, size, crop)))
        if waiting and (len(waiting) == batch or number == masks.count - 1):
            numbers, tiles = zip(*waiting, strict=True)
            with in_single_precision():
                found[list(numbers)] = encoder.encode_tiles(torch.stack(tiles).to(device)).float().cpu()
            waiting = []
    return found


def _crop(
    photo: Float[Tensor, "3 rows columns"], mask: Bool[np.ndarray, "height width"], size: int, crop: Crop
) -> Tensor:
    """The square around a mask, [3, size, size]; beyond the photo it is black."""
    height, width = photo.shape[1:]
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    scale_y, scale_x = height / mask.shape[0], width / mask.shape[1]
    top, bottom = int(rows[0] * scale_y), min(height, int(np.ceil((rows[-1] + 1) * scale_y)))
    left, right = int(columns[0] * scale_x), min(width, int(np.ceil((columns[-1] + 1) * scale_x)))
    inside = torch.from_numpy(mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].copy())[None, None].float()
    box = photo[:, top:bottom, left:right]
    inside = F.interpolate(inside, box.shape[1:], mode="nearest")[0]
    if crop == "black":
        box = box * inside
    elif crop == "blur":
        small = [max(1, round(side * BLURRED)) for side in box.shape[1:]]
        around = F.interpolate(box[None], small, mode="area")
        around = F.interpolate(around, box.shape[1:], mode="bilinear", align_corners=False)[0]
        box = box * inside + around * (1.0 - inside)
    side = max(box.shape[1:])
    missing_y, missing_x = side - box.shape[1], side - box.shape[2]
    box = F.pad(box, (missing_x // 2, missing_x - missing_x // 2, missing_y // 2, missing_y - missing_y // 2))
    return resized(box[None], (size, size), "bicubic")[0].clamp(0.0, 1.0)


def pool_tiles(
    table: PyramidTable, photo: int, size: tuple[int, int], masks: PhotoMasks
) -> Float[Tensor, "masks width"]:
    """Unit means of a pyramid's embeddings over the pixels of each mask, at its own height; zero without a pixel.

    Args:
        table: pyramids, of which the photo's is loaded.
        photo: its index in them.
        size: width and height of the photo.
        masks: of the photo.
    """
    found = torch.zeros(masks.count, table.width)
    height, width = masks.ids.shape[1:]
    for number, ratio in enumerate(masks.ratios):
        at = np.argwhere(masks.mask(number))
        if len(at) == 0:
            continue
        at = at[:: max(1, len(at) // POOLED)]
        scale = np.array([size[0] / width, size[1] / height])
        pixels = torch.from_numpy((at[:, ::-1] + 0.5) * scale).float().to(table.cells.device)
        index = torch.full((len(pixels),), photo, device=pixels.device)
        asked = torch.full((len(pixels),), float(ratio), device=pixels.device)
        found[number] = F.normalize(table.interpolate(index, pixels, asked).mean(0), dim=0).cpu()
    return found
