"""Outputs by name: what there is, what it needs, and how it is painted."""

import math

import matplotlib
import pytest
import torch

from lerf.errors import QueryError
from lerf.rendering.outputs import Display, ViewMaps, composite, names, paint, parse, relevancy_colours

RAW = torch.tensor([[0.0, 0.25, 0.5, 0.75, 1.0]])


def turbo_of(value: float) -> list[float]:
    return [float(channel) for channel in matplotlib.colormaps["turbo"](value)[:3]]


def view_of(raw, colour=None, **given):
    height, width = raw.shape
    colour = torch.rand(height, width, 3) if colour is None else colour
    return ViewMaps(colour, torch.ones(height, width), torch.ones(height, width), {0: raw}, **given)


@pytest.mark.parametrize(
    ("display", "highest", "ends", "at"),
    [
        (Display(range="raw"), 0.9, (0.0, 1.0), [0.0, 0.25, 0.5, 0.75, 1.0]),
        (Display(range="centred"), 0.9, (-1.0, 1.0), [0.0, 0.25, 0.5, 0.75, 1.0]),
        (Display(range="normalised"), 0.75, (0.5, 0.75), [0.0, 0.0, 0.0, 1.0, 1.0]),
        (Display(range="normalised"), 0.3, (0.5, 0.501), [0.0, 0.0, 0.0, 0.0, 0.0]),
        (Display(range="centred", normalise=True), 0.9, (-1.0, 1.0), [0.0, 0.25, 0.5, 0.75, 1.0]),
    ],
)
def test_ranges(display, highest, ends, at):
    colours, legend = relevancy_colours(RAW, display, highest)
    assert (legend.low, legend.high) == pytest.approx(ends)
    torch.testing.assert_close(colours[0], torch.tensor([turbo_of(value) for value in at]))


def test_normalise_stretches_over_the_picture():
    colours, legend = relevancy_colours(torch.tensor([[0.6, 0.7]]), Display(range="raw", normalise=True), 1.0)
    assert (legend.low, legend.high) == pytest.approx((0.6, 0.7))
    torch.testing.assert_close(colours[0], torch.tensor([turbo_of(0.0), turbo_of(1.0)]))


def test_composite_shows_relevancy_above_the_threshold_only():
    grey, red = torch.full((1, 5, 3), 0.5), torch.zeros(1, 5, 3)
    red[..., 0] = 1.0
    shown = composite(grey, red, RAW, Display(above=0.6, opacity=0.5))
    torch.testing.assert_close(shown[0, :3], grey[0, :3])
    torch.testing.assert_close(shown[0, 3:], torch.tensor([[0.75, 0.25, 0.25]] * 2))


def test_depth_runs_from_near_to_far_and_is_black_without_depth():
    depth = torch.tensor([[1.0, 2.0, 3.0, math.inf, math.nan]])
    maps = ViewMaps(torch.zeros(1, 5, 3), depth, torch.ones(1, 5), depth_range=(1.0, 3.0))
    picture, legend = paint("depth", maps)
    expected = [turbo_of(0.0), turbo_of(0.5), turbo_of(1.0), [0.0] * 3, [0.0] * 3]
    torch.testing.assert_close(picture[0], torch.tensor(expected))
    assert (legend.title, legend.low, legend.high) == ("depth", 1.0, 3.0)
    nothing = ViewMaps(torch.zeros(2, 2, 3), torch.full((2, 2), math.nan), torch.ones(2, 2))
    assert not paint("depth", nothing)[0].any()


def test_depth_limits_ignore_outliers():
    depth = torch.linspace(1, 2, 10_000).reshape(100, 100)
    depth[0, 0] = 1e6
    picture, _ = paint("depth", ViewMaps(torch.zeros(100, 100, 3), depth, torch.ones(100, 100)))
    torch.testing.assert_close(picture[99, 99], torch.tensor(turbo_of(1.0)))


def test_accumulation_is_grey():
    maps = ViewMaps(torch.zeros(1, 2, 3), torch.ones(1, 2), torch.tensor([[0.0, 0.25]]))
    assert paint("accumulation", maps)[0].tolist() == [[[0.0] * 3, [0.25] * 3]]


def test_relevancy_of_a_phrase_raw_centred_and_over_the_colours():
    raw, colour = torch.tensor([[0.2, 0.5, 0.75, 0.9]]), torch.rand(1, 4, 3)
    maps = view_of(raw, colour)
    torch.testing.assert_close(
        paint("relevancy_0", maps)[0][0], torch.tensor([turbo_of(value) for value in (0.2, 0.5, 0.75, 0.9)])
    )
    darkest = turbo_of(0.0)
    torch.testing.assert_close(paint("centred_0", maps)[0][0, :3], torch.tensor([darkest, darkest, turbo_of(0.5)]))
    over = paint("composited_0", maps)[0][0]
    torch.testing.assert_close(over[:2], colour[0, :2])
    torch.testing.assert_close(over[3], torch.tensor(turbo_of(1.0)))
    shared = paint("composited_0", view_of(raw, colour, highest={0: 1.0}))[0][0]
    torch.testing.assert_close(shared[2], torch.tensor(turbo_of(0.5)))


def test_raw_relevancy_is_painted_as_relevancy_is_and_is_not_it():
    values, others = torch.tensor([[0.2, 0.9]]), torch.tensor([[0.7, 0.3]])
    maps = view_of(values, raw_relevancy={0: others})
    torch.testing.assert_close(paint("raw_relevancy_0", maps)[0][0], torch.tensor([turbo_of(0.7), turbo_of(0.3)]))
    torch.testing.assert_close(paint("relevancy_0", maps)[0][0], torch.tensor([turbo_of(0.2), turbo_of(0.9)]))


def test_colours_are_shown_as_they_are():
    colour = torch.rand(2, 3, 3)
    assert torch.equal(paint("rgb", view_of(torch.zeros(2, 3), colour))[0], colour)
    maps = view_of(torch.zeros(2, 3), features={"clip": colour})
    assert torch.equal(paint("clip", maps)[0], colour)
    assert paint("clip", maps)[1] is None


def test_outputs_follow_what_there_is():
    assert names(0, language=False, dense=False) == ("rgb", "depth", "accumulation")
    assert names(2)[5:] == (
        "relevancy_0", "centred_0", "composited_0", "raw_relevancy_0",
        "relevancy_1", "centred_1", "composited_1", "raw_relevancy_1",
    )  # fmt: skip
    assert "dino" not in names(1, dense=False)
    assert (parse("relevancy_12"), parse("rgb")) == (("relevancy", 12), ("rgb", None))
    assert parse("raw_relevancy_3") == ("raw_relevancy", 3)
    assert Display("composited_3").phrase == 3


@pytest.mark.parametrize("name", ["relevancy", "relevancy_x", "colour", "", "rgb_0"])
def test_an_output_that_there_is_not(name):
    with pytest.raises(QueryError, match=f"There is no output {name}"):
        parse(name)
