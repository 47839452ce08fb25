"""Blurred photos are told from sharp ones whatever they show; exposure; photos that cannot be decoded."""

import dataclasses

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter, uniform_filter1d

from lerf.scenes.demo import demo_capture
from lerf.scenes.inspection import pictures
from lerf.scenes.inspection.pictures import brightness_of, look_at
from lerf.scenes.load import read_scene
from lerf.scenes.sharpness import detail


@pytest.fixture(scope="module")
def scene():
    whole = read_scene(demo_capture())
    return dataclasses.replace(whole, photos=whole.photos[:24], train=tuple(range(24)), test=())


def changed(scene, tmp_path, change, which):
    """The scene with some of its photos changed, in copies of their files."""
    photos = [*scene.photos]
    for index in which:
        path = tmp_path / f"{index}.png"
        Image.fromarray(change(scene.pixels(index))).save(path)
        photos[index] = dataclasses.replace(photos[index], path=path, has_alpha=False)
    return dataclasses.replace(scene, photos=tuple(photos))


def motion(axis, length):
    return lambda picture: uniform_filter1d(picture, length, axis=axis)


BLURS = {
    "along rows": motion(1, 5),
    "along columns": motion(0, 5),
    "out of focus": lambda picture: gaussian_filter(picture, (1.5, 1.5, 0)),
}


@pytest.mark.parametrize("blur", BLURS)
def test_blurred_photos_are_found(scene, tmp_path, blur):
    assert look_at(scene).blurred == ()
    assert look_at(changed(scene, tmp_path, BLURS[blur], (3, 7, 11))).blurred == (3, 7, 11)
    # Also when there is no sharp photo to compare with.
    assert len(look_at(changed(scene, tmp_path, BLURS[blur], range(24))).blurred) == 24


def test_photos_of_little_are_not_blurred(scene, tmp_path):
    """A photo most of which is an even wall has a small variance of the Laplacian, and is sharp."""

    def wall(picture):
        return np.where(np.arange(picture.shape[1])[None, :, None] < 0.7 * picture.shape[1], 128, picture).astype(
            np.uint8
        )

    assert look_at(changed(scene, tmp_path, wall, (3, 7))).blurred == ()


def test_pictures_that_show_nothing_have_no_detail():
    assert detail(Image.new("L", (200, 100), 77)) is None
    assert detail(Image.new("L", (9, 9))) is None


def test_exposure_is_told_in_stops(scene, tmp_path):
    before = look_at(scene).stops

    def darker(picture):
        value = picture / 255
        linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4) / 4
        coded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
        return np.rint(255 * coded).astype(np.uint8)

    picture = scene.pixels(0)
    assert brightness_of(picture) - brightness_of(darker(picture)) == pytest.approx(2.0, abs=0.05)
    after = look_at(changed(scene, tmp_path, darker, range(0, 24, 2))).stops
    assert before < 1.0
    assert 1.5 < after < 3.5


def test_cut_outs_have_no_exposure(scene):
    assert look_at(dataclasses.replace(scene, background="alpha")).stops is None


def test_a_sample_is_looked_at_and_progress_told(scene, monkeypatch):
    monkeypatch.setattr(pictures, "MOST_PHOTOS", 6)
    told = []
    found = look_at(scene, lambda done, total: told.append((done, total)))
    assert found.photos == (0, 4, 8, 12, 16, 20)
    assert told == [(n, 6) for n in range(1, 7)]


def test_damaged_photos_are_named(scene, tmp_path):
    broken = changed(scene, tmp_path, lambda picture: picture, (2,))
    data = broken.photos[2].path.read_bytes()
    broken.photos[2].path.write_bytes(data[: len(data) // 2])
    found = look_at(broken)
    assert 2 not in found.photos
    assert len(found.damaged) == 1
    assert "2.png is cut off or corrupt" in found.damaged[0]
