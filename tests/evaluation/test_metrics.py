"""Scores against hand-worked numbers, literal definitions, and skimage."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lerf.errors import ConfigError
from lerf.evaluation.metrics import average_precision, best_iou, iou, iou_at, pixel_auc, precision_recall, psnr, ssim

scored_items = st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=30)


def split(items: list[tuple[int, bool]]) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.tensor([float(score) for score, _ in items]), torch.tensor([truth for _, truth in items])


def test_psnr_of_a_constant_error_of_a_tenth_is_20_decibels() -> None:
    target = torch.rand(5, 4, 3)
    assert psnr(target + 0.1, target) == pytest.approx(20.0, abs=1e-4)


def test_psnr_of_equal_pictures_is_infinite() -> None:
    assert psnr(torch.ones(2, 2, 3), torch.ones(2, 2, 3)) == math.inf


def test_ssim_of_equal_pictures_is_one() -> None:
    picture = torch.rand(16, 20, 3)
    assert ssim(picture, picture) == pytest.approx(1.0)


def test_ssim_of_two_flat_pictures_is_the_luminance_term() -> None:
    low, high = torch.full((12, 12, 1), 0.2), torch.full((12, 12, 1), 0.8)
    expected = (2 * 0.2 * 0.8 + 1e-4) / (0.2**2 + 0.8**2 + 1e-4)
    assert ssim(low, high) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("shape", [(11, 11, 1), (24, 37, 3)])
def test_ssim_agrees_with_skimage(shape: tuple[int, int, int]) -> None:
    metrics = pytest.importorskip("skimage.metrics")
    generator = np.random.default_rng(0)
    target = generator.random(shape)
    prediction = np.clip(target + generator.normal(0, 0.2, shape), 0, 1)
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1.0}
    expected = metrics.structural_similarity(prediction, target, channel_axis=-1, **options)
    assert ssim(torch.from_numpy(prediction), torch.from_numpy(target)) == pytest.approx(expected, abs=1e-10)


def test_ssim_refuses_a_picture_smaller_than_its_window() -> None:
    with pytest.raises(ConfigError, match="11x11 pixels, not 20x10"):
        ssim(torch.rand(10, 20, 3), torch.rand(10, 20, 3))


@settings(deadline=None)
@given(scored_items)
def test_auc_is_the_share_of_ordered_pairs(items: list[tuple[int, bool]]) -> None:
    inside = [score for score, truth in items if truth]
    outside = [score for score, truth in items if not truth]
    if not inside or not outside:
        with pytest.raises(ConfigError, match="inside and outside"):
            pixel_auc(*split(items))
        return
    wins = sum((a > b) + 0.5 * (a == b) for a in inside for b in outside)
    assert pixel_auc(*split(items)) == pytest.approx(wins / (len(inside) * len(outside)))


def test_auc_takes_maps() -> None:
    scores = torch.tensor([[0.9, 0.8], [0.1, 0.8]])
    mask = torch.tensor([[True, True], [False, False]])
    assert pixel_auc(scores, mask) == pytest.approx(3.5 / 4)


def test_a_nan_score_is_refused() -> None:
    with pytest.raises(ConfigError, match="NaN"):
        pixel_auc(torch.tensor([0.1, math.nan]), torch.tensor([True, False]))


def test_iou_by_hand() -> None:
    first = torch.tensor([[True, True, False], [False, True, False]])
    second = torch.tensor([[True, False, True], [False, True, False]])
    assert iou(first, second) == pytest.approx(2 / 4)
    assert iou(torch.zeros(3, 3, dtype=torch.bool), torch.zeros(3, 3, dtype=torch.bool)) == 1.0


def test_iou_at_takes_pixels_strictly_above_the_threshold() -> None:
    scores, mask = torch.tensor([0.4, 0.5, 0.6, 0.7]), torch.tensor([False, True, True, True])
    assert iou_at(scores, mask, 0.5) == pytest.approx(2 / 3)


@settings(deadline=None)
@given(scored_items)
def test_best_iou_tries_every_threshold(items: list[tuple[int, bool]]) -> None:
    scores, mask = split(items)
    if not mask.any():
        with pytest.raises(ConfigError, match="at least one pixel"):
            best_iou(scores, mask)
        return
    value, threshold = best_iou(scores, mask)
    assert value == pytest.approx(max(iou(scores >= level, mask) for level in scores))
    assert iou(scores >= threshold, mask) == pytest.approx(value)


def test_average_precision_by_hand() -> None:
    # Relevant items come 1st, 3rd and 4th: (1/1 + 2/3 + 3/4) / 3.
    assert average_precision([0.9, 0.8, 0.7, 0.6], [True, False, True, True]) == pytest.approx((1 + 2 / 3 + 3 / 4) / 3)


def test_equal_scores_give_the_share_of_relevant_items() -> None:
    assert average_precision([0.5] * 8, [True] * 2 + [False] * 6) == pytest.approx(0.25)


@settings(deadline=None)
@given(scored_items)
def test_average_precision_from_its_definition(items: list[tuple[int, bool]]) -> None:
    scores, truth = split(items)
    if not truth.any():
        with pytest.raises(ConfigError, match="relevant"):
            average_precision(scores, truth)
        return
    expected, recall = 0.0, 0.0
    for level in sorted(set(scores.tolist()), reverse=True):
        taken = scores >= level
        hits = int((taken & truth).sum())
        expected += (hits / int(truth.sum()) - recall) * hits / int(taken.sum())
        recall = hits / int(truth.sum())
    assert average_precision(scores, truth) == pytest.approx(expected)
    assert average_precision(scores.flip(0), truth.flip(0)) == pytest.approx(expected)


def test_precision_recall_has_a_row_for_each_distinct_score() -> None:
    precision, recall, thresholds = precision_recall([0.9, 0.5, 0.5], [True, False, True])
    np.testing.assert_allclose(precision, [1, 2 / 3])
    np.testing.assert_allclose(recall, [0.5, 1])
    np.testing.assert_allclose(thresholds, [0.9, 0.5])


def test_nothing_to_score_is_refused() -> None:
    with pytest.raises(ConfigError, match="nothing to score"):
        average_precision([], [])
