"""Ground-truth labels in LangSplat's layout: polygons and boxes of categories on one photo.

One JSON a photo: `info` {name, width, height} and `objects` [{category, segmentation, bbox}], where `segmentation` is
one polygon [[x, y], ...] and `bbox` is [x1, y1, x2, y2]; other keys are ignored. The truth of a phrase is the union of
the polygons of its category. Coordinates are pixels of the photo, x to the right and y down; pixel (column i, row j)
covers the square from (i, j) to (i + 1, j + 1).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from lerf.documents import read_document
from lerf.errors import SceneError

LARGEST_PIXELS = 100_000_000
"""Of a picture of labels."""
LARGEST_MASKS = 4_000_000_000
"""Bytes of the masks of one photo."""
LARGEST_FILE = 64_000_000
"""Bytes of a label file."""
Side = Annotated[int, msgspec.Meta(ge=1, le=100_000)]
"""Pixels along one side of a photo."""
Coordinate = Annotated[float, msgspec.Meta(ge=-1e6, le=1e6)]
"""In pixels of a photo."""
Point = tuple[Coordinate, Coordinate]
Box = tuple[Coordinate, Coordinate, Coordinate, Coordinate]
"""x1, y1, x2, y2."""


@dataclass(frozen=True)
class LabelledObject:
    """One outlined object."""

    category: str
    polygon: tuple[Point, ...]
    """Corners (x, y), closed implicitly."""
    box: Box
    """x1, y1, x2, y2, edges included."""


@dataclass(frozen=True)
class PhotoLabels:
    """All labels of one photo."""

    name: str
    """File name of the photo."""
    width: int
    height: int
    objects: tuple[LabelledObject, ...]

    def masks(self) -> dict[str, Bool[Tensor, "height width"]]:
        """For each category, in the order of first appearance, the union of its polygons."""
        unions: dict[str, Tensor] = {}
        for item in self.objects:
            mask = rasterise(item.polygon, self.width, self.height)
            unions[item.category] = unions[item.category] | mask if item.category in unions else mask
        return unions


def rasterise(polygon: tuple[Point, ...], width: int, height: int) -> Bool[Tensor, "height width"]:
    """Pixels whose centre lies in the polygon by the even-odd rule; parts outside the photo are cut off.

    An edge contains the end with the smaller y and not the other, and a centre that lies exactly on an edge belongs to
    the side on its right: polygons that share an edge neither overlap nor leave a gap.
    """
    # One byte a pixel: whether a row crosses the outline an odd number of times before it.
    flips = np.zeros((height, width + 1), dtype=np.bool_)
    for (x1, y1), (x2, y2) in zip(polygon, (*polygon[1:], polygon[0]), strict=True):
        top, bottom = sorted((y1, y2))
        rows = np.arange(max(math.ceil(top - 0.5), 0), min(math.ceil(bottom - 0.5), height))
        if len(rows) == 0:
            continue
        crossings = x1 + (rows + 0.5 - y1) * (x2 - x1) / (y2 - y1)
        # An edge crosses each of its rows once, so that no element is named twice.
        flips[rows, np.clip(np.ceil(crossings - 0.5), 0, width).astype(np.int64)] ^= True
    return torch.from_numpy(np.logical_xor.accumulate(flips, axis=1, out=flips)[:, :width].copy())


class _Object(msgspec.Struct):
    category: str
    segmentation: Annotated[tuple[Point, ...], msgspec.Meta(min_length=3)]
    bbox: Box


class _Info(msgspec.Struct):
    name: str
    width: Side
    height: Side


class _File(msgspec.Struct):
    info: _Info
    objects: list[_Object]


def read_labels(path: Path) -> PhotoLabels:
    """Read one label file.

    Raises:
        SceneError: when the file is missing, is not JSON, lacks or garbles a needed field, or its polygons and boxes
            are none of a photo of its size; the message names it.
    """
    remedy = "export it in LangSplat's layout"
    content = read_document(Path(path), _File, error=SceneError, remedy=remedy, largest=LARGEST_FILE)
    size = content.info.width, content.info.height
    check_size(path, size, len({item.category.strip() for item in content.objects}))
    objects = []
    for item in content.objects:
        category = item.category.strip()
        if not category:
            raise SceneError(f"A category in {path} is blank; {remedy}.")
        xs, ys = zip(*item.segmentation, strict=True)
        check_box(path, category, item.bbox, size)
        check_box(path, category, (min(xs), min(ys), max(xs), max(ys)), size)
        objects.append(LabelledObject(category, item.segmentation, item.bbox))
    return PhotoLabels(content.info.name, *size, tuple(objects))


def check_size(path: Path, size: tuple[int, int], masks: int = 1) -> None:
    """Refuse a file of a photo of a size (width, height) whose masks nobody can hold.

    Raises:
        SceneError: it has too many pixels, or so many masks have.
    """
    width, height = size
    if width * height > LARGEST_PIXELS or masks * width * height > LARGEST_MASKS:
        raise SceneError(
            f"{path} has {masks} masks of {width}x{height} pixels, and a photo has at most {LARGEST_PIXELS}; write the "
            "photo's own size."
        )


def check_box(path: Path, what: str, box: Box, size: tuple[int, int]) -> None:
    """Refuse a box that is none, or that shows nothing of a photo of a size (width, height).

    Raises:
        SceneError: when it is so.
    """
    (x1, y1, x2, y2), (width, height) = box, size
    if x2 < x1 or y2 < y1:
        raise SceneError(f"A box of {what!r} in {path} is turned inside out; write x1, y1, x2, y2.")
    if x2 < 0 or y2 < 0 or x1 > width or y1 > height:
        raise SceneError(
            f"{what!r} in {path} lies outside the photo of {width}x{height} pixels; write pixels of a photo of the "
            "size in the file."
        )
