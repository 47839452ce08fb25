"""Photos of every kind as `lerf poses` hands them to COLMAP: what it reads is what we show."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image
from scene_files import reads_avif, save_deep_png

from lerf.poses.inputs import find_inputs, looked_at, notes_of
from lerf.poses.workspace import Workspace
from lerf.scenes.photos import read_header, read_photo, white_of

KINDS = Path(__file__).parents[1] / "scenes" / "photo_kinds"
NAMES = (
    "rgb.jpg", "progressive.jpg", "grey.jpg", "cmyk.jpg", "ycck.jpg", "exif_6.jpg", "exif_of_noise.jpg", "two.mpo",
    "palette.png", "grey_alpha.png", "rgba.png", "interlaced.png", "deep_rgb.png", "exif_6.tif", "cmyk.tif",
    "deep_tiled_planes.tif", "float.tif", "rgb.jp2", "lossy.webp", "rgb.gif", "rgb.bmp", "rgb.heic", "exif_6.heic",
    "rgb.avif",
)  # fmt: skip


def given(folder: Path, names: tuple[str, ...]) -> list[tuple[Path, str]]:
    folder.mkdir()
    for name in names:
        shutil.copy(KINDS / name, folder / name)
    return list(find_inputs([folder]).photos)


def placed(tmp_path: Path, listed: list[tuple[Path, str]]) -> list[tuple[Path, Path, Path]]:
    """Of each photo the file that was given, that of the capture, and that for COLMAP."""
    photos = looked_at(listed)
    workspace = Workspace(tmp_path / "capture")
    names = workspace.place(photos, False, lambda done: None)
    return [
        (photo.path, tmp_path / "capture/images" / photo.name, workspace.numbered / name)
        for photo, name in zip(photos, names, strict=True)
    ]


def test_colmap_reads_what_we_show(tmp_path: Path) -> None:
    colmap = pytest.importorskip("pycolmap", reason="pycolmap is not installed")
    pytest.importorskip("pillow_heif", reason="HEIC needs lerf[heic]")
    names = tuple(name for name in NAMES if reads_avif() or not name.endswith(".avif"))
    files = placed(tmp_path, given(tmp_path / "in", names))
    assert len(files) == len(names)
    white = white_of([tmp_path / "in/deep_rgb.png", tmp_path / "in/deep_tiled_planes.tif"])
    for source, image, numbered in files:
        expected = read_photo(source, white=white)[..., :3].astype(int)
        read = colmap.Bitmap.read(numbered, True)
        assert read is not None, source
        assert np.abs(read.to_array() - expected).max() <= 1, source
        # The capture itself is read like the photo, turned as little.
        again = read_photo(image, white=white)[..., :3]
        assert np.abs(again - expected).max() <= 1, source
        assert read_header(image).orientation == read_header(source).orientation


@pytest.mark.parametrize("suffix", [".heic", ".JP2", ".gif", ".mpo", ".jfif", ".png", ".tif"])
@pytest.mark.parametrize("name", ["rgb.jpg", "rgba.png", "rgb.webp", "deep_rgb.png"])
def test_names_that_lie(tmp_path: Path, name: str, suffix: str) -> None:
    colmap = pytest.importorskip("pycolmap", reason="pycolmap is not installed")
    source = KINDS / name if (KINDS / name).exists() else KINDS / "animated.webp"
    (tmp_path / "in").mkdir()
    shutil.copy(source, tmp_path / f"in/a{suffix}")
    ((_, image, numbered),) = placed(tmp_path, [(tmp_path / f"in/a{suffix}", f"a{suffix}")])
    expected = read_photo(source)[..., :3].astype(int)
    assert np.abs(colmap.Bitmap.read(numbered, True).to_array() - expected).max() <= 1
    assert np.abs(read_photo(image)[..., :3] - expected).max() <= 1


def test_photos_that_become_one_name_stay_apart(tmp_path: Path) -> None:
    names = ("rgb.bmp", "rgb.gif", "rgb.jp2", "rgb.jpg")
    listed = given(tmp_path / "in", names)
    shutil.copy(KINDS / "palette.png", tmp_path / "in/rgb.png")
    files = placed(tmp_path, [*listed, (tmp_path / "in/rgb.png", "rgb.png")])
    assert len({image for _, image, _ in files}) == 5
    for source, image, _ in files:
        np.testing.assert_array_equal(read_photo(image), read_photo(source))


def test_values_of_12_bits_reach_colmap_at_their_range(tmp_path: Path) -> None:
    colmap = pytest.importorskip("pycolmap", reason="pycolmap is not installed")
    values = np.random.default_rng(0).integers(0, 4096, (20, 30, 3), np.uint16)
    (tmp_path / "in").mkdir()
    for number in range(2):
        save_deep_png(tmp_path / f"in/{number}.png", values >> number)
    photos = looked_at(list(find_inputs([tmp_path / "in"]).photos))
    assert {photo.white for photo in photos} == {4095}
    files = placed(tmp_path, [(photo.path, photo.name) for photo in photos])
    for number, (source, image, numbered) in enumerate(files):
        assert image.samefile(source)  # the capture keeps the depth
        shown = colmap.Bitmap.read(numbered, True).to_array()
        np.testing.assert_allclose(shown, (values >> number) * (255 / 4095), atol=0.51)


def test_converted_photos_keep_the_focal_length(tmp_path: Path) -> None:
    colmap = pytest.importorskip("pycolmap", reason="pycolmap is not installed")
    exif = Image.Exif()
    exif[ExifTags.Base.Make], exif[ExifTags.Base.Orientation] = "Maker", 3
    exif[ExifTags.IFD.Exif] = {ExifTags.Base.FocalLength: 4.25, ExifTags.Base.FocalLengthIn35mmFilm: 26}
    (tmp_path / "in").mkdir()
    for suffix in ("webp", "jpg"):
        Image.new("RGB", (400, 300)).save(tmp_path / f"in/{suffix}.{suffix}", exif=exif)
    files = placed(tmp_path, list(find_inputs([tmp_path / "in"]).photos))
    guesses = [colmap.infer_camera_from_image(numbered) for _, _, numbered in files]
    assert all(guess.has_prior_focal_length for guess in guesses)
    np.testing.assert_allclose(*(guess.mean_focal_length() for guess in guesses))
    assert [image.suffix for _, image, _ in files] == [".jpg", ".png"]
    assert [read_header(image).orientation for _, image, _ in files] == [3, 3]


@pytest.mark.parametrize(
    "spoilt",
    [
        {ExifTags.Base.FocalLengthIn35mmFilm: 0}, {ExifTags.Base.FocalLength: 1e300},
        {ExifTags.Base.FocalLength: (1.0, 2.0)}, {},
    ],
    ids=str,
)  # fmt: skip
def test_odd_exif_does_not_stop_converting(tmp_path: Path, spoilt: dict[int, object]) -> None:
    exif = Image.Exif()
    exif[ExifTags.IFD.Exif] = spoilt
    (tmp_path / "in").mkdir()
    try:
        Image.new("RGB", (40, 30)).save(tmp_path / "in/a.webp", exif=exif)
    except Exception:
        pytest.skip("this Pillow does not write such EXIF data")
    ((_, image, _),) = placed(tmp_path, [(tmp_path / "in/a.webp", "a.webp")])
    assert read_photo(image).shape == (30, 40, 3)


def test_what_is_done_to_photos_is_told(tmp_path: Path) -> None:
    listed = given(tmp_path / "in", ("rgb.jpg", "rgb.bmp", "rgb.gif", "deep_rgb.png"))
    assert notes_of(looked_at(listed)) == [
        "2 photos are stored as PNG in the capture, from BMP, GIF.",
        "One photo has more than 8 bits a value; 65535 is taken for white.",
    ]
    assert notes_of(looked_at(listed[3:])) == []
