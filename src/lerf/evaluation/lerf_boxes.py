"""Ground-truth boxes of phrases on one photo, for LERF's localisation; and telling them from LangSplat's labels.

One JSON a photo: {"name": "frame_00041.jpg", "width": 988, "height": 731, "boxes": {"rubber duck": [[x1, y1, x2, y2],
...]}}: for each phrase one box an instance, in pixels of the given size, x to the right and y down, edges included.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec

from lerf.documents import read_document
from lerf.errors import SceneError
from lerf.evaluation.labels import LARGEST_FILE, Box, PhotoLabels, Side, check_box, check_size, read_labels

REMEDY = "write name, width, height and boxes"


@dataclass(frozen=True)
class PhotoBoxes:
    """All boxes of one photo."""

    name: str
    """File name of the photo."""
    width: Side
    height: Side
    boxes: dict[str, Annotated[tuple[Box, ...], msgspec.Meta(min_length=1)]]
    """By phrase, at least one each."""


class _Either(msgspec.Struct):
    """The key that tells a box file."""

    boxes: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


def read_photo(path: Path) -> PhotoLabels | PhotoBoxes:
    """Read a label file of either layout; the key `boxes` marks this one, anything else is read as LangSplat's.

    Raises:
        SceneError: when the file is missing, is not JSON, lacks or garbles a needed field, or its boxes are none of a
            photo of its size; the message names it.
    """
    path = Path(path)
    told = read_document(path, _Either, error=SceneError, remedy="write a label or box file", largest=LARGEST_FILE)
    if told.boxes is msgspec.UNSET:
        return read_labels(path)
    found = read_document(path, PhotoBoxes, error=SceneError, remedy=REMEDY, largest=LARGEST_FILE)
    size = found.width, found.height
    check_size(path, size)
    boxes: dict[str, tuple[Box, ...]] = {}
    for text, listed in found.boxes.items():
        phrase = " ".join(text.split())
        if not phrase:
            raise SceneError(f"A phrase in {path} is blank; {REMEDY}.")
        for box in listed:
            check_box(path, phrase, box, size)
        boxes[phrase] = (*boxes.get(phrase, ()), *listed)
    return PhotoBoxes(found.name, *size, boxes)
