import pytest
import torch
from fake_encoders import MeanColour
from hypothesis import given
from hypothesis import strategies as st

from lerf.errors import ConfigError
from lerf.pyramids.tiles import cut_row, encode_level, layout


@given(st.integers(4, 400), st.integers(4, 400), st.floats(0.02, 1.0))
def test_centres_reach_every_border(height, width, ratio):
    grid = layout(height, width, ratio)
    assert grid.first == 0.0
    assert (grid.rows - 2) * grid.step < height <= (grid.rows - 1) * grid.step
    assert (grid.columns - 2) * grid.step < width <= (grid.columns - 1) * grid.step
    assert abs(grid.tile - ratio * height) <= max(1.0, 2.0 - ratio * height)


@pytest.mark.parametrize("border", ["edge", "zero"])
def test_tiles_are_the_photo_at_their_place(border):
    photo = torch.rand(3, 21, 34)
    grid = layout(21, 34, 0.4)
    for row in range(grid.rows):
        tiles = cut_row(photo, grid, row, border)
        for column in range(grid.columns):
            for i in range(grid.tile):
                for j in range(grid.tile):
                    y, x = grid.corner(row) + i, grid.corner(column) + j
                    inside = 0 <= y < 21 and 0 <= x < 34
                    expected = photo[:, min(max(y, 0), 20), min(max(x, 0), 33)]
                    assert torch.equal(tiles[column, :, i, j], expected if inside or border == "edge" else 0 * expected)


def test_border_tiles_are_half_black_only_on_request():
    photo = torch.ones(3, 40, 60)
    edge = encode_level(photo, MeanColour(), 0.5, "edge").features
    zero = encode_level(photo, MeanColour(), 0.5, "zero").features
    torch.testing.assert_close(edge, torch.ones_like(edge))
    assert zero[0, 0, 0] == pytest.approx(0.25, abs=0.03)
    assert zero[0, 1, 0] == pytest.approx(0.5, abs=0.03)
    assert zero[1, 1, 0] == pytest.approx(1.0)


def test_embeddings_lie_where_their_tiles_are():
    """The mean colour of a picture that is its own coordinates is the centre of the tile."""
    height, width = 40, 60
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    photo = torch.stack([x / 100, y / 100, torch.zeros_like(x)])
    grid = encode_level(photo, MeanColour(), 0.2)
    inner = grid.features[1:-2, 1:-2]
    for i in range(inner.shape[0]):
        for j in range(inner.shape[1]):
            assert float(inner[i, j, 0]) * 100 == pytest.approx(grid.x0 + (j + 1) * grid.dx, abs=0.05)
            assert float(inner[i, j, 1]) * 100 == pytest.approx(grid.y0 + (i + 1) * grid.dy, abs=0.05)


def test_batches_do_not_change_the_result():
    photo = torch.rand(3, 30, 50)
    whole, small = (encode_level(photo, MeanColour(), 0.3, batch=size).features for size in (1000, 3))
    torch.testing.assert_close(whole, small)


@pytest.mark.parametrize("ratio", [0.0, -0.1, 1.5])
def test_bad_ratio(ratio):
    with pytest.raises(ConfigError):
        layout(100, 100, ratio)
