"""Ground-truth boxes of phrases on one photo, for LERF's localisation; and telling them from LangSplat's labels.

One JSON a photo: {"name": "frame_00041.jpg", "width": 988, "height": 731, "boxes": {"rubber duck": [[x1, y1, x2, y2],
...]}}: for each phrase one box an instance, in pixels of the given size, x to the right and y down, edges included.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lerf.errors import SceneError
from lerf.evaluation.labels import PhotoLabels, read_labels

Box = tuple[float, float, float, float]
"""x1, y1, x2, y2."""


@dataclass(frozen=True)
class PhotoBoxes:
    """All boxes of one photo."""

    name: str
    """File name of the photo."""
    width: int
    height: int
    boxes: dict[str, tuple[Box, ...]]
    """By phrase, at least one each."""


def read_photo(path: Path) -> PhotoLabels | PhotoBoxes:
    """Read a label file of either layout; the key `boxes` marks this one, anything else is read as LangSplat's.

    Raises:
        SceneError: when the file is missing, is not JSON, or lacks or garbles a needed field; the message names it.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        # The reader of labels says what is wrong.
        return read_labels(path)
    return _boxes(content, path) if isinstance(content, dict) and "boxes" in content else read_labels(path)


def _boxes(content: dict[str, Any], path: Path) -> PhotoBoxes:
    try:
        width, height = content["width"], content["height"]
        if not all(isinstance(side, int) and side > 0 for side in (width, height)):
            raise ValueError(f"the size is {width!r} x {height!r}, not of positive whole numbers")
        boxes = {" ".join(text.split()): tuple(map(_box, listed)) for text, listed in content["boxes"].items()}
        empty = [text for text, listed in boxes.items() if not text or not listed]
        if empty:
            raise ValueError(f"the phrase {empty[0]!r} is blank or has no box")
        return PhotoBoxes(str(content["name"]), width, height, boxes)
    except KeyError as error:
        raise SceneError(f"The boxes {path} have no {error}; write name, width, height and boxes.") from error
    except (AttributeError, TypeError, ValueError) as error:
        raise SceneError(f"The boxes {path} are malformed: {error}; correct the file.") from error


def _box(corners: Any) -> Box:
    x1, y1, x2, y2 = (float(value) for value in corners)
    if not all(map(math.isfinite, (x1, y1, x2, y2))) or x2 < x1 or y2 < y1:
        raise ValueError(f"{corners!r} is no box x1, y1, x2, y2")
    return x1, y1, x2, y2
