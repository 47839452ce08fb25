"""Pictures: exact colours, files that are whole, and a basis that does not depend on the view."""

import math
import subprocess
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import torch
from PIL import Image

from lerf.apps import pictures
from lerf.errors import ConfigError, StorageError


def turbo_of(value: float) -> list[float]:
    return [float(channel) for channel in matplotlib.colormaps["turbo"](value)[:3]]


def test_bytes_round_clip_and_blacken_nan() -> None:
    picture = torch.tensor([[[0.0, 0.5, 1.0], [-1.0, 2.0, math.nan]]])
    assert pictures.to_bytes(picture).tolist() == [[[0, 128, 255], [0, 255, 0]]]


def test_a_png_reads_back(tmp_path: Path) -> None:
    picture = torch.rand(5, 7, 3)
    pictures.write_png(tmp_path / "deep" / "a.png", picture)
    with Image.open(tmp_path / "deep" / "a.png") as image:
        assert image.mode == "RGB"
        assert image.size == (7, 5)
        assert np.array_equal(np.asarray(image), pictures.to_bytes(picture))
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["a.png"]


def test_a_folder_that_cannot_be_made_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="Cannot write"):
        pictures.write_png(tmp_path / "file" / "a.png", torch.rand(2, 2, 3))


def test_turbo_is_matplotlibs() -> None:
    values = [[-1.0, 0.0, 0.3], [0.77, 1.0, 2.0]]
    expected = torch.tensor([[turbo_of(min(max(value, 0.0), 1.0)) for value in row] for row in values])
    torch.testing.assert_close(pictures.turbo(torch.tensor(values)), expected)
    assert not pictures.turbo(torch.tensor([[math.nan]])).any()


def test_depth_runs_from_near_to_far_and_is_black_without_depth() -> None:
    picture = pictures.depth_picture(torch.tensor([[1.0, 2.0, 3.0, math.inf]]), near=1.0, far=3.0)
    torch.testing.assert_close(picture[0], torch.tensor([turbo_of(0.0), turbo_of(0.5), turbo_of(1.0), [0.0, 0.0, 0.0]]))
    assert not pictures.depth_picture(torch.full((2, 2), math.nan)).any()
    assert pictures.depth_picture(torch.ones(2, 2)).isfinite().all()


def test_depth_limits_ignore_outliers() -> None:
    depth = torch.linspace(1, 2, 10_000).reshape(100, 100)
    depth[0, 0] = 1e6
    torch.testing.assert_close(pictures.depth_picture(depth)[99, 99], torch.tensor(turbo_of(1.0)))


def test_accumulation_is_grey() -> None:
    picture = pictures.accumulation_picture(torch.tensor([[0.0, 0.25]]))
    assert picture.tolist() == [[[0.0] * 3, [0.25] * 3]]


def test_relevancy_pictures() -> None:
    relevancy, colour = torch.tensor([[0.2, 0.5, 0.75, 0.9]]), torch.rand(1, 4, 3)
    raw = torch.tensor([turbo_of(0.2), turbo_of(0.5), turbo_of(0.75), turbo_of(0.9)])
    torch.testing.assert_close(pictures.raw_picture(relevancy)[0], raw)
    darkest = turbo_of(0.0)
    above = pictures.centred_picture(relevancy)[0]
    torch.testing.assert_close(above[:3], torch.tensor([darkest, darkest, turbo_of(0.5)]))
    composite = pictures.normalised_picture(relevancy, colour)[0]
    torch.testing.assert_close(composite[:2], colour[0, :2])
    torch.testing.assert_close(composite[3], torch.tensor(turbo_of(1.0)))
    shared = pictures.normalised_picture(relevancy, colour, maximum=1.0)[0]
    torch.testing.assert_close(shared[2], torch.tensor(turbo_of(0.5)))


def test_a_row_shows_every_picture_at_one_height(tmp_path: Path) -> None:
    red, blue = torch.zeros(40, 20, 3), torch.zeros(20, 20, 3)
    red[..., 0], blue[..., 2] = 1, 1
    pictures.write_row(tmp_path / "row.png", [red, blue], ["photo", "fox"])
    with Image.open(tmp_path / "row.png") as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    is_red = (pixels == [255, 0, 0]).all(axis=-1)
    is_blue = (pixels == [0, 0, 255]).all(axis=-1)
    assert is_red.any(axis=1).sum() == pytest.approx(is_blue.any(axis=1).sum(), rel=0.05)
    assert is_blue.any(axis=0).sum() == pytest.approx(2 * is_red.any(axis=0).sum(), rel=0.05)


def test_a_row_needs_one_caption_for_each_picture(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="1 pictures and 0 captions"):
        pictures.write_row(tmp_path / "row.png", [torch.rand(2, 2, 3)], [])
    with pytest.raises(ConfigError, match="0 pictures"):
        pictures.write_row(tmp_path / "row.png", [], [])


def test_figures_do_without_pyplot() -> None:
    script = "import sys, lerf.apps.pictures; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_the_basis_finds_the_directions_of_variance() -> None:
    generator = torch.Generator().manual_seed(0)
    spread = torch.tensor([1.0, 9.0, 3.0, 0.1])
    features = torch.randn(4000, 4, generator=generator) * spread + 5
    basis = pictures.fit_pca_basis(features)
    assert basis.axes.abs().argmax(dim=0).tolist() == [1, 2, 0]
    assert (basis.axes.abs().amax(dim=0) > 0.99).all()
    assert (basis.axes.gather(0, basis.axes.abs().argmax(dim=0, keepdim=True)) > 0).all()
    picture = pictures.apply_pca_basis(basis, features.reshape(40, 100, 4))
    inside = ((picture > 0) & (picture < 1)).float().mean(dim=(0, 1))
    torch.testing.assert_close(inside, torch.full((3,), 0.98), atol=2e-3, rtol=0)


def test_equal_embeddings_have_equal_colours_in_every_view() -> None:
    basis = pictures.fit_pca_basis(torch.randn(100, 6, generator=torch.Generator().manual_seed(1)))
    embedding = torch.randn(6)
    alone = pictures.apply_pca_basis(basis, embedding.view(1, 1, 6))
    among = pictures.apply_pca_basis(basis, torch.cat([embedding.view(1, 1, 6), torch.randn(1, 3, 6) * 9], dim=1))
    torch.testing.assert_close(alone[0, 0], among[0, 0])


def test_a_basis_without_spread_or_width_is_grey_there() -> None:
    picture = pictures.apply_pca_basis(pictures.fit_pca_basis(torch.ones(10, 2)), torch.ones(3, 3, 2))
    assert torch.equal(picture, torch.full((3, 3, 3), 0.5))
