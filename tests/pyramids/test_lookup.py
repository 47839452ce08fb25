import numpy as np
import pytest
import torch
from fake_encoders import DenseMeanColour, OnlyMap
from hypothesis import given
from hypothesis import strategies as st

from lerf.pyramids.lookup import PyramidTable
from lerf.pyramids.plan import PyramidOptions
from lerf.pyramids.store import build_pyramids

SIZES = ((24, 40), (36, 20), (10, 10))
RATIOS = (0.2, 0.35, 0.9)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    generator = np.random.default_rng(1)
    photos = [generator.integers(0, 256, (*size, 3), dtype=np.uint8) for size in SIZES]
    root = tmp_path_factory.mktemp("store")
    return build_pyramids(
        [lambda p=p: p for p in photos], DenseMeanColour(), PyramidOptions(tile_ratios=RATIOS), root=root
    )


@pytest.fixture(scope="module")
def table(store):
    return PyramidTable.from_store(store)


def bilinear(grid, x, y):
    rows, columns, _ = grid.features.shape
    u = min(max((x - grid.x0) / grid.dx, 0.0), columns - 1.0)
    v = min(max((y - grid.y0) / grid.dy, 0.0), rows - 1.0)
    j, i = int(u), int(v)
    right, below = min(j + 1, columns - 1), min(i + 1, rows - 1)
    top = (1 - (u - j)) * grid.features[i, j] + (u - j) * grid.features[i, right]
    bottom = (1 - (u - j)) * grid.features[below, j] + (u - j) * grid.features[below, right]
    return (1 - (v - i)) * top + (v - i) * bottom


def reference(store, photo, x, y, ratio):
    ratio = min(max(ratio, RATIOS[0]), RATIOS[-1])
    upper = next(level for level in range(1, len(RATIOS)) if ratio <= RATIOS[level])
    share = (ratio - RATIOS[upper - 1]) / (RATIOS[upper] - RATIOS[upper - 1])
    low, high = (bilinear(store.grid(photo, level), x, y) for level in (upper - 1, upper))
    return (1 - share) * low + share * high


@given(st.integers(0, 2), st.floats(-3.0, 45.0), st.floats(-3.0, 45.0), st.floats(0.0, 1.2))
def test_against_brute_force_borders_and_beyond(store, table, photo, x, y, ratio):
    got = table.interpolate(torch.tensor([photo]), torch.tensor([[x, y]]), torch.tensor([ratio]))
    torch.testing.assert_close(got[0], reference(store, photo, x, y, ratio), atol=2e-3, rtol=0)


def test_at_cell_centres_and_level_ratios_it_returns_the_cell(store, table):
    for photo in range(len(SIZES)):
        for level, ratio in enumerate(RATIOS):
            grid = store.grid(photo, level)
            rows, columns, width = grid.features.shape
            y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
            pixels = torch.stack([grid.x0 + x * grid.dx, grid.y0 + y * grid.dy], dim=-1).reshape(-1, 2).float()
            n = len(pixels)
            got = table.interpolate(torch.full((n,), photo), pixels, torch.full((n,), ratio))
            torch.testing.assert_close(got, grid.features.reshape(n, width), atol=2e-3, rtol=0)


def test_fused_sum_equals_its_definition(table):
    n = 500
    photo, pixels = torch.randint(0, 3, (n,)), torch.rand(n, 2) * 45
    rows, weights = table.corners(photo, pixels, torch.rand(n))
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(n))
    ratio = torch.rand(n)
    rows, weights = table.corners(photo, pixels, ratio)
    expected = (table.cells[rows].float() * weights[..., None]).sum(dim=1)
    torch.testing.assert_close(table.interpolate(photo, pixels, ratio), expected, atol=2e-3, rtol=0)
    unit = table.interpolate(photo, pixels, ratio, renormalise=True)
    torch.testing.assert_close(unit.norm(dim=1), torch.ones(n))


def test_chosen_photos_only(store, table):
    part = PyramidTable.from_store(store, [2, 0])
    photo, pixels, ratio = torch.tensor([0, 1]), torch.tensor([[3.0, 4.0], [11.0, 7.5]]), torch.tensor([0.3, 0.5])
    whole = table.interpolate(torch.tensor([2, 0]), pixels, ratio)
    torch.testing.assert_close(part.interpolate(photo, pixels, ratio), whole)


def test_nearest_is_the_cell_under_the_pixel(tmp_path):
    photo = np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8)
    table = PyramidTable.from_store(build_pyramids([lambda: photo], OnlyMap(), root=tmp_path))
    y, x = np.mgrid[0:6, 0:9]
    pixels = torch.from_numpy(np.stack([x + 0.9, y + 0.2], axis=-1).reshape(-1, 2)).float()
    got = table.nearest(torch.zeros(54, dtype=torch.long), pixels)
    torch.testing.assert_close(got, torch.from_numpy(photo.reshape(-1, 3)).float() / 255.0, atol=1e-3, rtol=0)
    far = table.nearest(torch.zeros(2, dtype=torch.long), torch.tensor([[-5.0, -5.0], [99.0, 99.0]]))
    torch.testing.assert_close(far[1], torch.from_numpy(photo[-1, -1]).float() / 255.0, atol=1e-3, rtol=0)


def test_wrong_shape_is_refused(table):
    with pytest.raises(Exception, match=r"(?s)pixels"):
        table.interpolate(torch.tensor([0]), torch.tensor([1.0, 2.0]), torch.tensor([0.3]))
