"""The model as users call it: capture units in and out, and one sentence for what cannot be asked."""

import dataclasses
import inspect
import math

import numpy as np
import pytest
import torch
from analytic import AnalyticCapture, model_of

from lerf.errors import QueryError, RunError
from lerf.model import Model
from lerf.steps import finish

RED = (12.2, -5.4, -0.6)
"""Middle of the red sphere."""


@pytest.fixture(scope="module")
def model(analytic_models) -> Model:
    return analytic_models("lift")


@pytest.mark.parametrize("scale", [0.0, -1.0, math.nan, math.inf])
def test_a_scale_is_a_positive_length(model, scale) -> None:
    message = "positive length in capture units"
    with pytest.raises(QueryError, match=message):
        model.query("red", scale=scale)
    with pytest.raises(QueryError, match=message):
        model.render(0, "red", scale=scale)
    with pytest.raises(QueryError, match=message):
        model.render_features(0, scale)
    with pytest.raises(QueryError, match=message):
        model.relevancy_at(np.array([RED]), "red", scale)


@pytest.mark.parametrize("threshold", [-0.1, 1.1, math.nan])
def test_a_threshold_lies_between_nothing_and_everything(model, threshold) -> None:
    with pytest.raises(QueryError, match=r"threshold must lie in 0\.\.1"):
        model.query("red", threshold=threshold)


@pytest.mark.parametrize("photo", [-1, 12])
def test_a_photo_that_is_not_there(model, photo) -> None:
    with pytest.raises(QueryError, match="photos 0 to 11, not"):
        model.render(photo)


@pytest.mark.parametrize("points", [np.zeros(3), np.zeros((2, 2)), np.array([[0.0, math.inf, 0.0]])])
def test_points_that_are_none(model, points) -> None:
    # The hook of the tests would refuse the shape before the model does.
    unchecked = inspect.unwrap(Model.relevancy_at)
    with pytest.raises(QueryError, match=r"finite numbers of shape \[points, 3\]"):
        unchecked(model, points, "red", 0.4)


def test_points_may_be_tensors_and_none(model) -> None:
    points = np.array([RED]) + np.array([[0.0, 0.0, 1.4]])
    expected = model.relevancy_at(points, "red", 0.4)
    torch.testing.assert_close(model.relevancy_at(torch.from_numpy(points).float(), "red", 0.4), expected)
    assert model.relevancy_at(points[:0], "red", 0.4).shape == (0,)


def test_phrases_that_say_nothing(model) -> None:
    with pytest.raises(QueryError, match="Phrase 2 is empty"):
        model.query(["red", " "])
    with pytest.raises(QueryError, match="no phrase to look for"):
        model.query("red", canonical=[])
    with pytest.raises(QueryError, match="temperature must be a positive number"):
        model.query("red", temperature=0.0)


def test_a_result_tells_the_settings_that_it_depends_on(model) -> None:
    result = model.query("red")
    assert result.encoder == "colour-words"
    assert (result.canonical, result.temperature, result.threshold) == dataclasses.astuple(model.defaults)
    assert result.index is None
    own = model.query("red", canonical=["blue"], temperature=2.0, threshold=0.3)
    assert (own.canonical, own.temperature, own.threshold) == (("blue",), 2.0, 0.3)
    assert own.queries[0].relevancy == pytest.approx(1 / (1 + math.exp(-2)), abs=0.01)


def test_a_given_scale_is_the_scale_of_the_answer(model) -> None:
    assert model.query("red", scale=0.5).queries[0].geometry.scale == pytest.approx(0.5)
    (found,) = finish(model.answer(model.phrases("red"), scales=[0.5]))
    assert found.scale == pytest.approx(0.5 * model.photos.unit)
    view = model.render(2, ["red", "blue"], scale=0.5)
    assert view.scales == {"red": pytest.approx(0.5), "blue": pytest.approx(0.5)}


def test_a_view_is_asked_at_the_scales_of_the_answers(model) -> None:
    phrases = model.phrases(["red", "blue"])
    answered = [own.scale for own in finish(model.answer(phrases))]
    assert model.scales(phrases) == answered
    assert model.scales(phrases, 0.5) == [pytest.approx(0.5 * model.photos.unit)] * 2
    view = model.render(2, ["red", "blue"])
    assert list(view.scales.values()) == pytest.approx([scale / model.photos.unit for scale in answered])
    maps = model.relevancy_maps(model.cameras, 2, phrases, answered)
    assert torch.equal(torch.stack(list(view.relevancy.values())), maps)


def test_a_view_without_a_phrase_is_a_picture_in_capture_units(model, analytic_capture: AnalyticCapture) -> None:
    view = model.render(2)
    assert view.relevancy == view.scales == {}
    exact = finish(analytic_capture.radiance.render(analytic_capture.cameras, 2))
    assert torch.equal(view.picture.colour, exact.colour)
    torch.testing.assert_close(view.picture.depth, exact.depth / model.photos.unit, equal_nan=True)


def test_a_free_camera_sees_what_the_photo_at_its_place_sees(model) -> None:
    camera = model.scene.photos[2].camera
    ours, theirs = model.render(camera, "red", scale=0.5), model.render(2, "red", scale=0.5)
    torch.testing.assert_close(ours.picture.colour, theirs.picture.colour)
    torch.testing.assert_close(ours.relevancy["red"], theirs.relevancy["red"])
    torch.testing.assert_close(model.render_features(camera), model.render_features(2))
    assert model.render(camera.scaled_to(24, 18), "red").relevancy["red"].shape == (18, 24)


def test_features_are_asked_at_the_middle_scale_where_none_is_given(model) -> None:
    scales = model.language.scales
    middle = float((scales[0].log() / 2 + scales[-1].log() / 2).exp()) / model.photos.unit
    torch.testing.assert_close(model.render_features(2), model.render_features(2, middle), atol=1e-4, rtol=0)


def test_a_model_that_was_not_opened_from_a_run_has_no_folder(analytic_capture, analytic_models, model) -> None:
    alone = model_of(analytic_capture, model.language)
    assert alone.folder is None
    assert alone.query("red", index="ignore").queries == model.query("red").queries
    with pytest.raises(RunError, match="this model has none"):
        analytic_models("deferred").query("red", index="require")
