"""Pictures as files: whole, and side by side."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lerf.apps import pictures
from lerf.errors import ConfigError, StorageError
from lerf.rendering.colour_maps import to_bytes


def test_a_png_reads_back(tmp_path: Path) -> None:
    picture = torch.rand(5, 7, 3)
    pictures.write_png(tmp_path / "deep" / "a.png", picture)
    with Image.open(tmp_path / "deep" / "a.png") as image:
        assert image.mode == "RGB"
        assert image.size == (7, 5)
        assert np.array_equal(np.asarray(image), to_bytes(picture))
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["a.png"]


def test_a_folder_that_cannot_be_made_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="Cannot write"):
        pictures.write_png(tmp_path / "file" / "a.png", torch.rand(2, 2, 3))


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


@pytest.mark.parametrize(
    "caption",
    ["$x", "$\\frac{", "costs $5 and $6", "大きなマグ", "a\nb\x1b[2J", "_^{}\\", "word " * 100, "", "x" * 300],
)
def test_a_caption_is_drawn_as_it_is(tmp_path: Path, caption: str) -> None:
    """No formula, no warning of a missing glyph (warnings are errors here), nothing beyond the picture's edge."""
    pictures.write_row(tmp_path / "row.png", [torch.ones(20, 40, 3)], [caption])
    with Image.open(tmp_path / "row.png") as image:
        ink = np.asarray(image.convert("L")) < 128
    assert not ink[:, :2].any()
    assert not ink[:, -2:].any()
    assert ink.any() == bool(caption)


def test_what_the_font_lacks_is_written_as_its_code() -> None:
    assert pictures.drawable("red 大 mug", 80) == r"red \u5927 mug"
    assert pictures.drawable("a phrase of words", 8) == "a phrase\nof words"


def test_figures_do_without_pyplot() -> None:
    script = "import sys, lerf.apps.pictures; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
