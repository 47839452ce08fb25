"""Box files."""

import json
from pathlib import Path
from typing import Any

import pytest

from lerf.errors import SceneError
from lerf.evaluation.labels import PhotoLabels
from lerf.evaluation.lerf_boxes import PhotoBoxes, read_photo

GOOD: dict[str, Any] = {"name": "a.jpg", "width": 8, "height": 6, "boxes": {"cup": [[1, 1, 3, 3], [4, 1, 5.5, 2]]}}


def save(folder: Path, content: Any) -> Path:
    path = folder / "a.json"
    path.write_text(json.dumps(content))
    return path


def test_boxes_are_read(tmp_path: Path) -> None:
    boxes = read_photo(save(tmp_path, GOOD))
    assert boxes == PhotoBoxes("a.jpg", 8, 6, {"cup": ((1.0, 1.0, 3.0, 3.0), (4.0, 1.0, 5.5, 2.0))})


def test_langsplats_layout_is_told_apart(tmp_path: Path) -> None:
    item = {"category": "cup", "segmentation": [[1, 1], [3, 1], [3, 3]], "bbox": [1, 1, 3, 3]}
    content = {"info": {"name": "a.jpg", "width": 6, "height": 4}, "objects": [item]}
    assert isinstance(read_photo(save(tmp_path, content)), PhotoLabels)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"width": 0}, "'.width'"),
        ({"boxes": {"cup": []}}, "length >= 1"),
        ({"boxes": {" ": [[1, 1, 2, 2]]}}, "blank"),
        ({"boxes": {"cup": [[1, 1, 2]]}}, "boxes"),
        ({"boxes": {"cup": [[3, 1, 2, 2]]}}, "inside out"),
        ({"boxes": {"cup": [[1, 1, 2, float("nan")]]}}, "not valid JSON"),
        ({"boxes": [1]}, "boxes"),
        ({"boxes": {"cup": [[1, 1, 2, 1e300]]}}, "boxes"),
        ({"boxes": {"cup": [[9, 1, 12, 2]]}}, "outside the photo of 8x6"),
        ({"width": 10**9}, "width"),
        ({"name": None}, "name"),
    ],
)
def test_garbled_boxes_are_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SceneError, match=message):
        read_photo(save(tmp_path, {**GOOD, **changes}))


def test_a_phrase_spelt_twice_keeps_the_boxes_of_both(tmp_path: Path) -> None:
    boxes = read_photo(save(tmp_path, {**GOOD, "boxes": {"red  cup": [[1, 1, 2, 2]], "red cup ": [[3, 3, 4, 4]]}}))
    assert isinstance(boxes, PhotoBoxes)
    assert boxes.boxes == {"red cup": ((1, 1, 2, 2), (3, 3, 4, 4))}


@pytest.mark.parametrize("key", ["name", "width", "height"])
def test_a_missing_entry_is_named(tmp_path: Path, key: str) -> None:
    with pytest.raises(SceneError, match=f"missing required field '{key}'"):
        read_photo(save(tmp_path, {name: value for name, value in GOOD.items() if name != key}))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SceneError, match=r"nowhere\.json"):
        read_photo(tmp_path / "nowhere.json")
