"""Reducing by area: against the definition, pixel by pixel, and in strips of any height."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from lerf.scenes.area import AreaMean, area_weights


def shares(extent, old, new):
    """How much of each new pixel each old one covers, by the overlap of the two intervals."""
    step = extent / new
    low = np.maximum(np.arange(new)[:, None] * step, np.arange(old)[None])
    high = np.minimum((np.arange(new)[:, None] + 1) * step, np.arange(old)[None] + 1)
    return np.maximum(high - low, 0) / step


@settings(max_examples=80, deadline=None)
@given(
    old=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    new=st.tuples(st.integers(1, 45), st.integers(1, 45)),
    cut=st.tuples(st.floats(0, 0.9), st.floats(0, 0.9)),
    rows=st.integers(1, 41),
)
def test_mean_of_what_is_covered(old, new, cut, rows):
    pixels = np.random.default_rng(0).random((old[1], old[0], 3), np.float32)
    extent = (old[0] - cut[0], old[1] - cut[1])
    mean = AreaMean(extent, new, 3)
    for top in range(0, old[1], rows):
        mean.add(pixels[top : top + rows])
    across, down = shares(extent[0], old[0], new[0]), shares(extent[1], old[1], new[1])
    expected = np.einsum("ni,ijc,mj->nmc", down, pixels, across)
    np.testing.assert_allclose(mean.result(), expected, atol=2e-5)


@given(extent=st.floats(0.5, 20000), count=st.integers(1, 2000))
def test_weights_of_each_new_pixel_sum_to_one(extent, count):
    np.testing.assert_allclose(area_weights(extent, count).sum(1), 1, atol=1e-3)
