"""Colour maps and ranges: exact values, clipping, and what is no number."""

import math
import subprocess
import sys

import matplotlib
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lerf.errors import QueryError
from lerf.rendering.colour_maps import (
    COLORMAPS,
    centred,
    color_table,
    map_colours,
    normalised,
    percentile_limits,
    stretch,
    to_bytes,
)


@pytest.mark.parametrize("name", COLORMAPS)
def test_maps_are_matplotlibs(name):
    values = [-1.0, 0.0, 0.3, 0.77, 1.0, 2.0]
    expected = [matplotlib.colormaps[name](min(max(value, 0.0), 1.0))[:3] for value in values]
    torch.testing.assert_close(map_colours(torch.tensor(values), name), torch.tensor(expected, dtype=torch.float32))
    assert not map_colours(torch.tensor([[math.nan]]), name).any()


def test_an_unknown_map():
    with pytest.raises(QueryError, match="There is no colour map jet; choose one of turbo, viridis"):
        color_table("jet")


def test_bytes_round_clip_and_blacken_nan():
    assert to_bytes(torch.tensor([[[0.0, 0.5, 1.0], [-1.0, 2.0, math.nan]]])).tolist() == [[[0, 128, 255], [0, 255, 0]]]


@given(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=20))
def test_the_tie_stays_where_it_is(values):
    raw = torch.tensor(values, dtype=torch.float32)
    assert torch.equal(centred(raw) > 0, raw > 0.5)
    shown = normalised(raw)
    assert bool(((shown > 0) <= (raw > 0.5)).all())
    assert float(shown.max()) == (1.0 if float(raw.max()) > 0.5 else 0.0)


def test_stretching_and_limits():
    values = torch.tensor([1.0, 3.0, math.inf, math.nan])
    assert stretch(values, 1.0, 3.0)[:2].tolist() == [0.0, 1.0]
    assert stretch(values, 1.0, 3.0)[2:].isnan().all()
    low, high = percentile_limits(torch.cat([torch.linspace(0, 100, 1001), torch.tensor([math.nan, math.inf])]))
    assert (low, high) == pytest.approx((1.0, 99.0))
    assert percentile_limits(torch.tensor([math.nan])) == (0.0, 1.0)


def test_pyplot_is_not_needed():
    script = (
        "import sys, lerf.rendering.colour_maps as c; "
        "c.color_table('turbo'); sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
