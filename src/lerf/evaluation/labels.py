"""Ground-truth labels in LangSplat's layout: polygons and boxes of categories on one photo.

One JSON a photo: `info` {name, width, height} and `objects` [{category, segmentation, bbox}], where `segmentation` is
one polygon [[x, y], ...] and `bbox` is [x1, y1, x2, y2]; other keys are ignored. The truth of a phrase is the union of
the polygons of its category. Coordinates are pixels of the photo, x to the right and y down; pixel (column i, row j)
covers the square from (i, j) to (i + 1, j + 1).
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from lerf.errors import SceneError

Point = tuple[float, float]


@dataclass(frozen=True)
class LabelledObject:
    """One outlined object."""

    category: str
    polygon: tuple[Point, ...]
    """Corners (x, y), closed implicitly."""
    box: tuple[float, float, float, float]
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
    flips = np.zeros((height, width + 1), dtype=np.int32)
    for (x1, y1), (x2, y2) in zip(polygon, (*polygon[1:], polygon[0]), strict=True):
        top, bottom = sorted((y1, y2))
        rows = np.arange(max(math.ceil(top - 0.5), 0), min(math.ceil(bottom - 0.5), height))
        if len(rows) == 0:
            continue
        crossings = x1 + (rows + 0.5 - y1) * (x2 - x1) / (y2 - y1)
        np.add.at(flips, (rows, np.clip(np.ceil(crossings - 0.5), 0, width).astype(np.int64)), 1)
    return torch.from_numpy(np.cumsum(flips, axis=1)[:, :width] % 2 == 1)


def read_labels(path: Path) -> PhotoLabels:
    """Read one label file.

    Raises:
        SceneError: when the file is missing, is not JSON, or lacks or garbles a needed field; the message names it.
    """
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SceneError(f"Cannot read the labels {path}: {error.strerror or error}. Check the path.") from error
    except ValueError as error:
        raise SceneError(f"The labels {path} are not JSON ({error}). Export them again.") from error
    try:
        info = content["info"]
        width, height = _size(info["width"], "width"), _size(info["height"], "height")
        objects = tuple(_object(item) for item in content["objects"])
        return PhotoLabels(str(info["name"]), width, height, objects)
    except KeyError as error:
        raise SceneError(f"The labels {path} have no {error}; export them in LangSplat's layout.") from error
    except (TypeError, ValueError) as error:
        raise SceneError(f"The labels {path} are malformed: {error}. Export them in LangSplat's layout.") from error


def _size(value: Any, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} is {value!r}, not a positive whole number")
    return value


def _object(item: Any) -> LabelledObject:
    category = item["category"]
    if not isinstance(category, str) or not category.strip():
        raise ValueError(f"a category is {category!r}, not a name")
    polygon = tuple((_number(x), _number(y)) for x, y in item["segmentation"])
    if len(polygon) < 3:
        raise ValueError(f"a polygon of {category!r} has {len(polygon)} corners, not 3 or more")
    x1, y1, x2, y2 = (_number(value) for value in item["bbox"])
    if x2 < x1 or y2 < y1:
        raise ValueError(f"a box of {category!r} is turned inside out")
    return LabelledObject(category.strip(), polygon, (x1, y1, x2, y2))


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"a coordinate is {value!r}, not a finite number")
    return float(value)
