"""Ranges, colour maps, compositing, prompts: what the page shows of numbers and words."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lerf.viewer.display import (
    Display,
    color_table,
    colours_of,
    composite,
    depth_colours,
    outputs,
    relevancy_colours,
    to_bytes,
)

from lerf.errors import QueryError
from lerf.viewer.prompt import MOST_PHRASES, escaped, label, split_phrases

RAW = np.array([[0.0, 0.25, 0.5, 0.75, 1.0]], np.float32)


@pytest.mark.parametrize(
    ("display", "highest", "ends", "at"),
    [
        (Display(range="raw"), 0.9, (0.0, 1.0), [0.0, 0.25, 0.5, 0.75, 1.0]),
        (Display(range="centred"), 0.9, (-1.0, 1.0), [0.0, 0.25, 0.5, 0.75, 1.0]),
        (Display(range="normalised"), 0.75, (0.5, 0.75), [0.0, 0.0, 0.0, 1.0, 1.0]),
        (Display(range="normalised"), 0.3, (0.5, 0.501), [0.0, 0.0, 0.0, 1.0, 1.0]),
        (Display(range="centred", normalise=True), 0.9, (-1.0, 1.0), [0.0, 0.25, 0.5, 0.75, 1.0]),
    ],
)
def test_ranges(display, highest, ends, at):
    colours, legend = relevancy_colours(RAW, display, highest)
    assert (legend.low, legend.high) == pytest.approx(ends)
    expected = color_table("turbo")[[min(int(place * 255.999), 255) for place in at]]
    assert np.abs(colours[0] - expected).max() < 0.02


def test_normalise_stretches_over_the_picture():
    narrow = np.array([[0.6, 0.7]], np.float32)
    colours, legend = relevancy_colours(narrow, Display(range="raw", normalise=True), 1.0)
    assert (legend.low, legend.high) == pytest.approx((0.6, 0.7))
    assert np.allclose(colours[0], color_table("turbo")[[0, 255]])


def test_composite_shows_relevancy_above_the_threshold_only():
    grey = np.full((1, 5, 3), 0.5, np.float32)
    red = np.zeros_like(grey)
    red[..., 0] = 1.0
    shown = composite(grey, red, RAW, Display(above=0.6, opacity=0.5))
    assert np.allclose(shown[0, :3], 0.5)
    assert np.allclose(shown[0, 3:], [0.75, 0.25, 0.25])


def test_depth_of_nothing_is_black():
    depth = np.array([[1.0, np.nan], [2.0, 3.0]], np.float32)
    colours, legend = depth_colours(depth, "viridis")
    assert np.all(colours[0, 1] == 0)
    assert 1.0 <= legend.low < legend.high <= 3.0
    assert depth_colours(np.full((2, 2), np.nan, np.float32), "turbo")[0].max() == 0


def test_outputs_follow_what_there_is():
    assert outputs(0, language=False, dense=False) == ("rgb", "depth", "accumulation")
    assert outputs(2, language=True, dense=True)[5:] == (
        "relevancy_0", "composited_0", "relevancy_1", "composited_1",
    )  # fmt: skip
    assert "dino" not in outputs(1, language=True, dense=False)
    assert (Display("relevancy_12").phrase, Display("composited_3").composited, Display("rgb").phrase) == (
        12, True, None,
    )  # fmt: skip


def test_unknown_colour_map():
    with pytest.raises(QueryError, match="viridis"):
        colours_of(RAW, 0.0, 1.0, "jet")


def test_bytes_are_rounded_and_clipped():
    assert to_bytes(np.array([[-1.0, 0.5, 2.0]], np.float32)).tolist() == [[0, 128, 255]]


def test_phrases_are_split_tidied_and_blanks_left_out():
    assert split_phrases(" red  mug ;; blue\tcup;") == ("red mug", "blue cup")
    assert split_phrases(" ;\n; ") == ()
    with pytest.raises(QueryError, match=str(MOST_PHRASES)):
        split_phrases(";".join("ab" for _ in range(MOST_PHRASES + 1)))


@given(st.text(max_size=300))
def test_what_people_type_cannot_become_markup(text):
    written = escaped(text)
    assert not set('<>"') & set(written)
    assert len(label(text)) <= 32
