"""LERF's localisation and LangSplat's measures of maps: by hand, and against definitions pixel by pixel."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lerf.evaluation.labels import read_labels
from lerf.evaluation.localisation import LerfLocalisation, in_boxes, peak_pixel
from lerf.evaluation.metrics import iou
from lerf.evaluation.ovs import LerfOvs, box_mean, majority, segment
from lerf.evaluation.truth import Target

sides = st.integers(1, 12)


def reflected(index: int, length: int) -> int:
    """OpenCV's BORDER_REFLECT_101: the outermost pixel is not repeated."""
    if length == 1:
        return 0
    period = 2 * (length - 1)
    index %= period
    return min(index, period - index)


@given(sides, sides, st.integers(1, 9), st.integers(0, 99))
def test_box_mean_is_the_mean_over_the_mirrored_square(height: int, width: int, side: int, seed: int) -> None:
    scores = torch.rand(height, width, generator=torch.Generator().manual_seed(seed))
    offsets = range(-(side // 2), side - side // 2)
    expected = [
        [
            np.mean(
                [float(scores[reflected(r + i, height), reflected(c + j, width)]) for i in offsets for j in offsets]
            )
            for c in range(width)
        ]
        for r in range(height)
    ]
    torch.testing.assert_close(box_mean(scores, side), torch.tensor(expected).float(), rtol=1e-5, atol=1e-6)


def test_the_box_of_thirty_reaches_fifteen_pixels_back_and_fourteen_ahead() -> None:
    scores = torch.zeros(80, 80)
    scores[40, 40] = 900.0
    rows, columns = torch.nonzero(box_mean(scores) > 0.5, as_tuple=True)
    assert (int(rows.min()), int(rows.max()), int(columns.min()), int(columns.max())) == (26, 55, 26, 55)


@given(sides, sides, st.sampled_from([1, 3, 7]), st.integers(0, 99))
def test_majority_counts_the_window_that_lies_in_the_picture(height: int, width: int, side: int, seed: int) -> None:
    mask = torch.rand(height, width, generator=torch.Generator().manual_seed(seed)) > 0.5
    half = side // 2
    for row in range(height):
        for column in range(width):
            window = mask[max(0, row - half) : row + half + 1, max(0, column - half) : column + half + 1]
            assert bool(majority(mask, side)[row, column]) == (2 * int(window.sum()) > window.numel())


def test_a_tie_is_no_majority() -> None:
    assert not majority(torch.tensor([[True, False]]), 3).any()


def test_peak_is_column_then_row_and_the_first_of_equals() -> None:
    scores = torch.zeros(3, 5)
    scores[1, 4] = scores[2, 0] = 1.0
    assert peak_pixel(scores) == (4, 1)


def test_boxes_include_their_edges() -> None:
    box = (2.0, 3.0, 5.0, 6.0)
    assert in_boxes(2, 3, [box])
    assert in_boxes(5, 6, [box])
    assert not in_boxes(6, 6, [box])
    assert not in_boxes(2, 2, [box])
    assert in_boxes(9, 9, [box, (9.0, 9.0, 9.0, 9.0)])
    assert not in_boxes(0, 0, [])


def test_lerf_localisation_looks_in_the_mask_or_in_the_boxes() -> None:
    scores = torch.zeros(6, 6)
    scores[2, 2] = 1.0
    ring = torch.zeros(6, 6, dtype=torch.bool)
    ring[1:4, 1:4] = True
    ring[2, 2] = False
    boxes = ((1.0, 1.0, 3.0, 3.0),)
    assert LerfLocalisation().score(scores, Target(boxes, ring, exact=True)) == {"localisation": 0.0}
    assert LerfLocalisation().score(scores, Target(boxes, ring)) == {"localisation": 1.0}


def test_segment_by_hand() -> None:
    # Half left 0, half right 1: mixed with a mean equal to itself it is mapped to -1 and 1, and only the right passes.
    scores = torch.zeros(10, 20)
    scores[:, 10:] = 1.0
    assert torch.equal(segment(scores, scores), scores > 0)
    # 0.69 is mapped to 0.38, under the threshold of 0.4; 0.71 to 0.42, over it.
    scores[:, 10:15], scores[:, 15:] = 0.69, 1.0
    assert segment(scores, scores).sum() == 50
    scores[:, 10:15] = 0.71
    assert segment(scores, scores).sum() == 100


def test_a_flat_map_covers_nothing() -> None:
    flat = torch.full((8, 8), 0.7)
    assert not segment(flat, flat).any()


def test_labels_in_langsplats_format_give_the_scores_worked_out_by_hand(tmp_path: Path) -> None:
    """A square of 40x40 pixels in a picture of 120x90, found 20 pixels too far to the right."""
    square = [[20, 20], [60, 20], [60, 60], [20, 60]]
    item = {"category": "cup", "segmentation": square, "bbox": [20, 20, 60, 60], "group": 1, "iscrowd": 0}
    other = {**item, "category": "plate", "segmentation": [[90, 60], [110, 60], [110, 80]], "bbox": [90, 60, 110, 80]}
    info = {"name": "frame_00041.jpg", "width": 120, "height": 90, "depth": 3, "note": ""}
    path = tmp_path / "frame_00041.json"
    path.write_text(json.dumps({"info": info, "objects": [item, other]}))
    labels = read_labels(path)
    cup = Target((labels.objects[0].box,), labels.masks()["cup"])
    plate = Target((labels.objects[1].box,), labels.masks()["plate"])
    assert int(cup.mask.sum()) == 1600

    scores = torch.zeros(90, 120)
    scores[20:60, 40:80] = 1.0
    # A pixel far inside the square has 1 in both the map and its mean. Along its left edge the mean rises from 0 to 1
    # over 30 columns, so the map jumps from about 0.25 to 0.75 there: stretched to -1..1, from -0.5 to over 0.4.
    found = segment(scores, box_mean(scores))
    assert found[40, 41:79].all()
    assert not found[:, :39].any()
    assert not found[:, 81:].any()
    # But for corners, it is the square: half of the cup is found, and as much beside it.
    value = LerfOvs().score(scores, cup)
    assert value["iou"] == pytest.approx(800 / 2400, abs=0.03)
    assert value["iou"] == iou(found, cup.mask)
    # The smoothed peak is the first pixel whose whole window lies in the square: column 40 + 15, row 20 + 15.
    assert peak_pixel(box_mean(scores)) == (55, 35)
    assert value["ovs_localisation"] == 1.0
    assert LerfOvs().score(scores, plate) == {"ovs_localisation": 0.0, "iou": 0.0}
    assert LerfOvs().score(scores, Target(cup.boxes, None)) == {"ovs_localisation": 1.0}


def test_iou_is_one_third_exactly_where_maps_are_flat_over_whole_windows() -> None:
    # Bands over the whole height have no corners; edges lie where the mean is 0.5, and the majority keeps them.
    scores = torch.zeros(64, 160)
    scores[:, 40:80] = 1.0
    truth = torch.zeros(64, 160, dtype=torch.bool)
    truth[:, 60:100] = True
    assert LerfOvs().score(scores, Target(((60.0, 0.0, 100.0, 64.0),), truth))["iou"] == pytest.approx(20 / 60)
