"""JPEG files that are decoded smaller than they are, and how far from averaging all of their pixels that is."""

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from lerf.scenes import photos
from lerf.scenes.area import AreaMean
from lerf.scenes.photos import LARGE_PHOTO, read_header, read_photo


def photograph(width, height, seed=0):
    """Structure of every size, its contrast in proportion to its size as in photographs, and edges."""
    random = np.random.default_rng(seed)
    total = np.zeros((height, width, 3))
    for blur in (2, 4, 8, 16, 32, 64):
        layer = gaussian_filter(random.normal(size=(height, width, 3)), (blur, blur, 0), mode="wrap")
        total += layer / layer.std()
    total = total @ (np.eye(3) * 0.5 + 0.5)  # most of it in brightness
    total[height // 3 : height // 2, width // 4 : width // 2] += 4
    return (128 + 10 * total).clip(0, 255).astype(np.uint8)


def mean_of(pixels, size):
    mean = AreaMean((pixels.shape[1], pixels.shape[0]), size, 3)
    mean.add(pixels.astype(np.float32))
    return np.rint(mean.result())


@pytest.fixture
def sizes_decoded(monkeypatch):
    """Sizes at which pictures are decoded while a test runs."""
    found, decode = [], photos.decode

    def seen(image, path, what):
        found.append(image.size)
        decode(image, path, what)

    monkeypatch.setattr(photos, "decode", seen)
    return found


ODD = photograph(961, 721)
PHOTOGRAPH = ODD[:720, :960]
KINDS = [{}, {"subsampling": 0}, {"progressive": True}]


def away_from_the_mean(path, size):
    """Difference of a reduced photo from the mean of the area over all of its pixels."""
    return read_photo(path, size) - mean_of(read_photo(path), size)


@pytest.mark.parametrize("options", KINDS, ids=["4:2:0", "4:4:4", "progressive"])
@pytest.mark.parametrize(
    ("size", "scale"),
    [
        ((240, 180), 2),
        ((120, 90), 4),
        ((60, 45), 8),
        ((30, 23), 8),
        ((33, 25), 4),
        ((40, 30), 8),
        ((119, 89), 2),
        ((121, 90), 1),
    ],
)
def test_smaller_decoding_is_the_mean_of_the_area(tmp_path, sizes_decoded, size, scale, options):
    path = tmp_path / "a.jpg"
    Image.fromarray(PHOTOGRAPH).save(path, quality=90, **options)
    away = away_from_the_mean(path, size)
    assert sizes_decoded == [(960 // scale, 720 // scale), (960, 720)]
    assert np.abs(away).mean() < 0.8
    assert np.percentile(np.abs(away), 99) <= 4
    assert abs(away.mean()) < 0.4


@pytest.mark.parametrize("size", [(960, 720), (480, 360), (320, 240), (241, 180)])
def test_photos_that_are_hardly_reduced_are_decoded_whole(tmp_path, sizes_decoded, size):
    path = tmp_path / "a.jpg"
    Image.fromarray(PHOTOGRAPH).save(path, quality=90)
    assert not away_from_the_mean(path, size).any()
    assert set(sizes_decoded) == {(960, 720)}


@pytest.mark.parametrize("size", [(480, 360), (481, 361), (320, 240), (241, 181)])
def test_large_photos_are_decoded_at_half_at_least(tmp_path, sizes_decoded, monkeypatch, size):
    path = tmp_path / "a.jpg"
    Image.fromarray(ODD).save(path, quality=90)
    monkeypatch.setattr(photos, "LARGE_PHOTO", 1000)
    away = away_from_the_mean(path, size)
    assert sizes_decoded == [(481, 361), (961, 721)]
    assert np.abs(away).mean() < 1.5
    assert abs(away.mean()) < 0.4


@pytest.mark.parametrize("width", [1, 7, 8, 9, 15, 16, 17, 63])
def test_small_photos_of_any_size(tmp_path, width):
    path = tmp_path / "a.jpg"
    Image.fromarray(PHOTOGRAPH[:50, :width]).save(path, quality=95)
    for down in (1, 2, 6, 50):
        for across in sorted({1, max(1, width // 4), width}):
            away = away_from_the_mean(path, (across, down))
            assert away.shape == (down, across, 3)
            assert np.abs(away).mean() < 3


@pytest.mark.parametrize("orientation", range(1, 9))
def test_smaller_decoding_of_a_turned_photo(tmp_path, orientation):
    path = tmp_path / "a.jpg"
    Image.fromarray(PHOTOGRAPH).save(path, quality=95)
    size = (60, 45) if orientation < 5 else (45, 60)
    upright = read_photo(path, orientation=orientation)
    away = np.abs(read_photo(path, size, orientation) - mean_of(upright, size))
    assert away.mean() < 1


def test_a_photo_of_200_megapixels(tmp_path, sizes_decoded):
    path = tmp_path / "a.jpg"
    width, height = 16320, 12240
    assert width * height > LARGE_PHOTO
    image = Image.new("L", (width, height), 90)
    image.paste(200, (0, 0, width // 2, height))
    image.save(path, quality=80)
    del image
    assert read_header(path).size == (width, height)
    found = read_photo(path, (1020, 765))
    assert sizes_decoded == [(2040, 1530)]
    assert found.shape == (765, 1020, 3)
    assert np.abs(found[:, :509].astype(int) - 200).max() <= 1
    assert np.abs(found[:, 511:].astype(int) - 90).max() <= 1


def test_masks_are_never_decoded_smaller(tmp_path):
    mask = np.full((800, 800), 255, np.uint8)
    mask[400:408, 400:408] = 0
    Image.fromarray(mask).save(tmp_path / "m.jpg", quality=100)
    kept = photos.read_mask(tmp_path / "m.jpg", (100, 100))
    assert (~kept).sum() == 1
    assert not kept[50, 50]
