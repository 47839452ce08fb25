"""Odd photos that cannot be read as they are: packages that are missing, names that lie, files that are cut off."""

import builtins
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features
from scene_files import picture, reads_avif, transforms, write_capture, write_transforms

from lerf.errors import SceneError
from lerf.scenes.load import read_scene
from lerf.scenes.photos import read_header, read_mask, read_photo

FOLDER = Path(__file__).parent / "photo_kinds"
KINDS = (
    "rgb.jpg", "progressive.jpg", "cmyk.jpg", "two.mpo", "deep_rgb.png", "deep_interlaced.png", "palette.png",
    "tiff_lzw.tif", "tiff_adobe_deflate.tif", "exif_6.tif", "deep_lzw_strips.tif", "deep_tiled_planes.tif",
    "deep_planes.tif", "float.tif", "rgb.jp2", "rgb.j2k", "lossy.webp", "rgb.gif", "rgb.bmp", "rgb.heic", "grid.heic",
    "rgb.avif",
)  # fmt: skip


def needs(name):
    """Skip visibly where the kind of file cannot be read."""
    if name.endswith(".heic"):
        pytest.importorskip("pillow_heif", reason="HEIC needs lerf[heic]")
    if name.endswith(".avif") and not reads_avif():
        pytest.skip("this Pillow reads no AVIF")


def without(monkeypatch, module):
    """Make importing a module fail."""
    real = builtins.__import__

    def fails(name, *rest, **options):
        if name.split(".")[0] == module:
            raise ImportError(name)
        return real(name, *rest, **options)

    monkeypatch.setattr(builtins, "__import__", fails)


@pytest.mark.parametrize("name", ["a.heic", "a.jpg"])
def test_heic_without_its_package_names_the_command(tmp_path, monkeypatch, name):
    shutil.copy(FOLDER / "rgb.heic", tmp_path / name)
    without(monkeypatch, "pillow_heif")
    for read in (read_header, read_photo):
        with pytest.raises(SceneError, match=r"is HEIC, which needs pillow-heif; install it with: pip install 'lerf\["):
            read(tmp_path / name)


def test_avif_without_support_names_the_command(tmp_path, monkeypatch):
    monkeypatch.setattr(features, "check", lambda feature: False)
    with pytest.raises(SceneError, match=r"is AVIF, which needs Pillow 11.3 or newer; install it with: pip install 'l"):
        read_header(FOLDER / "rgb.avif")


def test_films_and_other_containers_are_no_photos(tmp_path):
    for brand in (b"mp42", b"crx ", b"qt  "):
        (tmp_path / "a.heic").write_bytes(b"\0\0\0\x18ftyp" + brand + b"\0\0\0\0mp41isom" + bytes(200))
        with pytest.raises(SceneError, match="cannot be read as an image"):
            read_header(tmp_path / "a.heic")


@pytest.mark.parametrize("suffix", [".jpg", ".PNG", ".heic", ".tif", ".mpo"])
@pytest.mark.parametrize("name", KINDS)
def test_content_decides_not_the_extension(tmp_path, name, suffix):
    needs(name)
    path = Path(shutil.copy(FOLDER / name, tmp_path / f"a{suffix}"))
    np.testing.assert_array_equal(read_photo(path), read_photo(FOLDER / name))
    assert read_header(path) == read_header(FOLDER / name)


@pytest.mark.parametrize("suffix", [".HEIC", ".JPG", ".Jpeg", ".TIFF", ".AVIF", ".MPO", ".HIF", ".GIF"])
def test_photos_with_extensions_in_capitals_are_found(tmp_path, suffix):
    document = transforms()
    for number, frame in enumerate(document["frames"]):
        frame["file_path"] = f"images/{number}"
        (tmp_path / "images").mkdir(exist_ok=True)
        Image.fromarray(picture(12, 8, number)).save(tmp_path / f"images/{number}.png")
        (tmp_path / f"images/{number}.png").rename(tmp_path / f"images/{number}{suffix}")
    write_transforms(tmp_path, document)
    scene = read_scene(tmp_path)
    assert [photo.path.suffix for photo in scene.photos] == [suffix] * 4
    np.testing.assert_array_equal(scene.pixels(2), picture(12, 8, 2))


@pytest.mark.parametrize("share", [0.0, 0.02, 0.3, 0.6, 0.9, 0.97])
@pytest.mark.parametrize("name", KINDS)
def test_files_that_are_cut_off_are_refused(tmp_path, name, share):
    needs(name)
    whole = (FOLDER / name).read_bytes()
    if name == "two.mpo":  # of which the second picture is not read
        whole = whole[: whole.index(b"\xff\xd9") + 2]
    path = tmp_path / name
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(SceneError) as caught:
        read_photo(path)
    assert len(str(caught.value).replace(str(tmp_path), "")) <= 300
    assert name in str(caught.value)


@pytest.mark.parametrize("name", KINDS)
def test_damaged_bytes_never_leave_as_another_error(tmp_path, name):
    needs(name)
    whole, path = (FOLDER / name).read_bytes(), tmp_path / name
    random = np.random.default_rng(1)
    refused = 0
    for _ in range(80):
        data = bytearray(whole)
        for place in random.integers(0, min(len(data), random.choice([64, 400, len(data)])), random.integers(1, 6)):
            data[place] = random.integers(0, 256)
        path.write_bytes(data[: random.integers(1, len(data) + 1)] if random.random() < 0.3 else data)
        try:
            header = read_header(path)
            found = read_photo(path, (5, 3), header.orientation)
            read_mask(path, (6, 5))
        except SceneError:
            refused += 1
        else:
            assert found.shape[:2] == (3, 5)
    assert refused > 5


def test_an_odd_photo_in_a_capture(tmp_path):
    """One of each of several kinds, at the same size, in one capture."""
    names = ["rgb.jpg", "exif_6.tif", "deep_rgb.png", "palette_transparent.png", "cmyk.jpg", "deep_tiled_planes.tif"]
    document = transforms(len(names), 22, 14)
    for frame, name in zip(document["frames"], names, strict=True):
        frame["file_path"] = f"images/{name}"
    write_capture(tmp_path, {**document, "frames": []})
    (tmp_path / "images").mkdir(exist_ok=True)
    for name in names:
        shutil.copy(FOLDER / name, tmp_path / "images" / name)
    write_transforms(tmp_path, document)
    scene = read_scene(tmp_path)
    for number, photo in enumerate(scene.photos):
        assert photo.orientation == 1  # the cameras are for the pixels as they are stored
        assert scene.pixels(number).shape == (14, 22, 3)
    assert [photo.has_alpha for photo in scene.photos] == [False, False, False, True, False, False]
