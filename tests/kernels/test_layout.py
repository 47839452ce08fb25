"""Where a hash grid keeps its entries."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lerf.kernels.layout import GridLayout

resolutions = st.lists(st.integers(1, 3000), min_size=1, max_size=20).map(tuple)


@given(resolutions, st.integers(1, 8), st.integers(0, 20))
def test_levels_follow_one_another_without_gap_or_overlap(resolutions, features, log2_entries):
    layout = GridLayout(resolutions, features, log2_entries)
    assert layout.offsets[0] == 0
    np.testing.assert_array_equal(layout.offsets[1:], np.cumsum(layout.sizes)[:-1])
    assert layout.entries == layout.offsets[-1] + layout.sizes[-1]
    assert layout.width == layout.levels * layout.features


@given(resolutions, st.integers(0, 20))
def test_a_level_is_dense_exactly_when_its_vertices_fit(resolutions, log2_entries):
    layout = GridLayout(resolutions, 2, log2_entries)
    for resolution, size, dense in zip(layout.resolutions, layout.sizes, layout.dense, strict=True):
        assert size == ((resolution + 1) ** 3 if dense else 2**layout.log2_entries)
        assert dense == ((resolution + 1) ** 3 <= 2**layout.log2_entries)


def test_geometric_levels():
    layout = GridLayout.geometric(4, 2, 16, 2, 10)
    assert layout.resolutions == (2, 4, 8, 16)
    assert layout.dense.tolist() == [True, True, True, False]
    assert GridLayout.geometric(1, 5, 5, 2, 10).resolutions == (5,)


def test_joined_levels():
    first, second = GridLayout((2, 4), 2, 10), GridLayout((8,), 2, 10)
    joined = first + second
    assert joined.resolutions == (2, 4, 8)
    assert joined.entries == first.entries + second.entries
    with pytest.raises(ValueError, match="same features"):
        first + GridLayout((8,), 4, 10)
