"""Reading LangSplat's labels, and filling polygons."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lerf.errors import SceneError
from lerf.evaluation.labels import rasterise, read_labels

FOX_MASKS = sorted((Path(__file__).parents[2] / "benchmarks/labels/fox").glob("*.json"))
SQUARE = [[1, 1], [3, 1], [3, 3], [1, 3]]

coordinates = st.one_of(st.integers(-3, 10), st.floats(-3, 10)).map(float)


def label(**changes: Any) -> dict[str, Any]:
    item = {"category": "cup", "segmentation": SQUARE, "bbox": [1, 1, 3, 3], **changes}
    return {"info": {"name": "a.jpg", "width": 6, "height": 4}, "objects": [item]}


def save(folder: Path, content: Any) -> Path:
    path = folder / "a.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def in_polygon(x: float, y: float, polygon: list[tuple[float, float]]) -> bool:
    """Even-odd rule with a ray to the left, one pixel at a time."""
    inside = False
    for (x1, y1), (x2, y2) in zip(polygon, polygon[1:] + polygon[:1], strict=True):
        if (y1 <= y) != (y2 <= y) and x1 + (y - y1) * (x2 - x1) / (y2 - y1) <= x:
            inside = not inside
    return inside


def test_a_square_covers_the_pixels_between_its_edges() -> None:
    mask = rasterise(((1.0, 1.0), (3.0, 1.0), (3.0, 3.0), (1.0, 3.0)), 6, 4)
    expected = torch.zeros(4, 6, dtype=torch.bool)
    expected[1:3, 1:3] = True
    assert torch.equal(mask, expected)


@settings(deadline=None)
@given(st.lists(st.tuples(coordinates, coordinates), min_size=3, max_size=8))
def test_filling_agrees_with_the_rule_at_every_centre(polygon: list[tuple[float, float]]) -> None:
    mask = rasterise(tuple(polygon), 7, 6)
    expected = [[in_polygon(column + 0.5, row + 0.5, polygon) for column in range(7)] for row in range(6)]
    # A crossing can fall within rounding of a centre; the two ways of comparing may then differ.
    assert int((mask != torch.tensor(expected)).sum()) <= 1


def test_neighbours_that_share_an_edge_share_no_pixel() -> None:
    left = rasterise(((0.0, 0.0), (2.5, 0.0), (2.5, 4.0), (0.0, 4.0)), 6, 4)
    right = rasterise(((2.5, 0.0), (6.0, 0.0), (6.0, 4.0), (2.5, 4.0)), 6, 4)
    assert not (left & right).any()
    assert (left | right).all()


def test_a_category_is_the_union_of_its_polygons(tmp_path: Path) -> None:
    content = label()
    content["objects"] += label(segmentation=[[2, 0], [6, 0], [6, 2], [2, 2]], bbox=[2, 0, 6, 2])["objects"]
    content["objects"] += label(category=" plate ", segmentation=[[0, 0], [1, 0], [0, 1]])["objects"]
    labels = read_labels(save(tmp_path, content))
    assert tuple(labels.masks()) == ("cup", "plate")
    masks = labels.masks()
    assert masks["cup"].shape == (4, 6)
    assert int(masks["cup"].sum()) == 4 + 8 - 1
    assert [item.box for item in labels.objects if item.category == "cup"] == [(1, 1, 3, 3), (2, 0, 6, 2)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not valid JSON"),
        ("[]", "expected 'object'"),
        ({"info": {"name": "a", "width": 6, "height": 4}}, "'objects'"),
        ({"info": {"name": "a", "width": 0, "height": 4}, "objects": []}, "info.width"),
        ({"info": {"name": "a", "width": "6", "height": 4}, "objects": []}, "info.width"),
        ({"info": {"name": "a", "width": 2**28, "height": 2**28}, "objects": []}, "info.width"),
        ({"info": {"name": "a", "width": 50_000, "height": 50_000}, "objects": []}, "the photo's own size"),
        ({"info": {"name": 3, "width": 6, "height": 4}, "objects": []}, "info.name"),
        (label(category=" "), "category"),
        (label(category=7), "category"),
        (label(segmentation=[[0, 0], [1, 1]]), "length >= 3"),
        (label(segmentation=[[0, 0], [1, None], [2, 2]]), "segmentation"),
        (label(segmentation=[[0, 0], [1, float("nan")], [2, 2]]), "not valid JSON"),
        (label(segmentation=[[0, 0], [1, 1e300], [2, 2]]), "segmentation"),
        (label(segmentation=[0, 0, 1, 1, 2, 2]), "segmentation"),
        (label(segmentation=[[7, 7], [9, 7], [9, 9]]), "outside the photo of 6x4"),
        (label(bbox=[3, 3, 1, 1]), "inside out"),
        (label(bbox=[1, 2, 3]), "bbox"),
        (label(bbox=[-5, 0, -1, 3]), "outside the photo"),
    ],
)
def test_a_broken_file_gets_one_sentence(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(SceneError, match=message) as caught:
        read_labels(save(tmp_path, content))
    assert "\n" not in str(caught.value)
    assert "a.json" in str(caught.value)


def test_masks_that_nobody_can_hold_are_refused(tmp_path: Path) -> None:
    content = label()
    content["info"] |= {"width": 9000, "height": 9000}
    content["objects"] = [{**content["objects"][0], "category": str(number)} for number in range(60)]
    with pytest.raises(SceneError, match="60 masks of 9000x9000"):
        read_labels(save(tmp_path, content))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SceneError, match=r"none\.json cannot be read"):
        read_labels(tmp_path / "none.json")


@pytest.mark.parametrize("path", FOX_MASKS, ids=lambda path: path.stem)
def test_the_fox_masks_fit_their_photos_and_boxes(path: Path) -> None:
    labels = read_labels(path)
    assert (labels.name, labels.width, labels.height) == (f"{path.stem}.jpg", 540, 960)
    assert tuple(labels.masks()) == ("fox",)
    for item in labels.objects:
        xs, ys = zip(*item.polygon, strict=True)
        assert item.box == (min(xs), min(ys), max(xs), max(ys))
        assert 0 <= min(xs) < max(xs) <= 540
        assert 0 <= min(ys) < max(ys) <= 960
    share = float(labels.masks()["fox"].float().mean())
    assert 0.15 < share < 0.55


def test_there_is_a_fox_mask_for_each_held_out_photo() -> None:
    assert [path.stem for path in FOX_MASKS] == ["0001", "0012", "0027", "0042", "0073", "0089", "0110"]
