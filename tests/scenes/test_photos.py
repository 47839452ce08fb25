"""Decoding: orientation, resampling, transparency, masks, and files that cannot be used."""

import warnings

import numpy as np
import pytest
from PIL import Image, ImageFile, ImageOps
from scene_files import picture, save

from lerf.errors import SceneError
from lerf.scenes.photos import PhotoHeader, orientation_in_use, read_header, read_mask, read_photo, sizes_fit


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_agrees_with_pillow(tmp_path, orientation):
    path = save(tmp_path / "a.png", picture(7, 4), orientation)
    header = read_header(path)
    assert (header.size, header.orientation) == ((7, 4), orientation)
    upright = np.array(ImageOps.exif_transpose(Image.open(path)))
    found = read_photo(path, orientation=orientation)
    np.testing.assert_array_equal(found, upright)
    assert header.size_when(orientation) == (upright.shape[1], upright.shape[0])
    np.testing.assert_array_equal(read_photo(path), picture(7, 4))


def test_orientation_follows_the_intrinsics():
    sideways = PhotoHeader((400, 300), 6, False)
    assert orientation_in_use(sideways, None) == 6
    assert orientation_in_use(sideways, (400, 300)) == 1
    assert orientation_in_use(sideways, (200, 150)) == 1
    assert orientation_in_use(sideways, (300, 400)) == 6
    assert orientation_in_use(sideways, (300, 300)) is None
    assert orientation_in_use(PhotoHeader((400, 300), 3, False), (400, 300)) == 1


def test_sizes_fit():
    assert sizes_fit((1080, 1920), (540, 960))
    assert sizes_fit((1297, 840), (5187, 3361))
    assert not sizes_fit((1920, 1080), (540, 960))
    assert not sizes_fit((100, 100), (100, 90))


def test_reduction_is_the_mean_of_the_area(tmp_path):
    pixels = picture(12, 8)
    path = save(tmp_path / "a.png", pixels)
    expected = pixels.reshape(4, 2, 4, 3, 3).mean((1, 3))
    assert np.abs(read_photo(path, (4, 4)) - expected).max() <= 1


def test_reduction_weights_colour_by_alpha(tmp_path):
    pixels = np.zeros((2, 2, 4), np.uint8)
    pixels[0, 0] = [200, 100, 50, 255]  # the rest is transparent black
    found = read_photo(save(tmp_path / "a.png", pixels), (1, 1))
    assert found[0, 0, 3] in (63, 64)
    assert np.abs(found[0, 0, :3].astype(int) - [200, 100, 50]).max() <= 4


def test_other_modes(tmp_path):
    grey = picture(5, 3, channels=1)[..., 0]
    np.testing.assert_array_equal(read_photo(save(tmp_path / "l.png", grey)), grey[..., None].repeat(3, 2))
    deep = np.array([[0, 257, 65535]], np.uint16)
    np.testing.assert_array_equal(read_photo(save(tmp_path / "i.png", deep))[0, :, 0], [0, 1, 255])
    Image.fromarray(picture(5, 3)).convert("P").save(tmp_path / "p.png", transparency=0)
    assert read_photo(tmp_path / "p.png").shape == (3, 5, 4)
    assert read_header(tmp_path / "p.png").has_alpha
    assert not read_header(tmp_path / "l.png").has_alpha
    Image.fromarray(picture(5, 3)).convert("CMYK").save(tmp_path / "c.jpg")
    assert read_photo(tmp_path / "c.jpg").shape == (3, 5, 3)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9, 0.98])
@pytest.mark.parametrize("suffix", [".jpg", ".png"])
@pytest.mark.parametrize("lenient", [False, True])
def test_cut_off_photo(tmp_path, monkeypatch, share, suffix, lenient):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", lenient)
    path = save(tmp_path / f"a{suffix}", picture(64, 64))
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    read_header(path)
    with pytest.raises(SceneError, match=rf"a\{suffix} is cut off or corrupt: copy it again"):
        read_photo(path)
    assert ImageFile.LOAD_TRUNCATED_IMAGES is lenient


def test_missing_and_not_an_image(tmp_path):
    with pytest.raises(SceneError, match=r"a\.jpg is missing: restore it"):
        read_header(tmp_path / "a.jpg")
    (tmp_path / "a.jpg").write_text("not a picture")
    with pytest.raises(SceneError, match=r"a\.jpg cannot be read as an image"):
        read_photo(tmp_path / "a.jpg")
    (tmp_path / "a.jpg").write_bytes(b"")
    with pytest.raises(SceneError, match=r"a\.jpg cannot be read as an image"):
        read_header(tmp_path / "a.jpg")


def test_large_photos_are_read_without_a_warning(tmp_path, monkeypatch):
    path = save(tmp_path / "a.png", picture(30, 30))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 500)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_photo(path)


@pytest.mark.parametrize("white", [1, 255])
def test_mask(tmp_path, white):
    mask = np.full((4, 6), white, np.uint8)
    mask[1, 2] = 0
    path = save(tmp_path / "m.png", mask)
    np.testing.assert_array_equal(read_mask(path, (6, 4)), mask > 0)
    reduced = read_mask(path, (3, 2))
    expected = np.ones((2, 3), bool)
    expected[0, 1] = False
    np.testing.assert_array_equal(reduced, expected)
    assert not read_mask(save(tmp_path / "n.png", mask * 0), (6, 4)).any()


def test_thin_line_in_a_large_mask_survives_reduction(tmp_path):
    mask = np.full((512, 512), 255, np.uint8)
    mask[100, 300] = 0
    reduced = read_mask(save(tmp_path / "m.png", mask), (32, 32))
    assert (~reduced).sum() == 1
    assert not reduced[6, 18]
