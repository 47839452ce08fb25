"""Photographs: developing and averaging by their promises, and a hand-made scene seen where it stands."""

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lerf.errors import ConfigError
from lerf_scenes.composition import Composition, LabelledSurface, Light, PlacedThing
from lerf_scenes.kind import Look
from lerf_scenes.mesh import box, sphere
from lerf_scenes.path import looking
from lerf_scenes.render import Photographer, denoised, developed, renderer

SIDE = 0.24
FLOOR, RED, BLUE = 1, 2, 3


def thing(number, kind, mesh, colour, **pose):
    surface = LabelledSurface("body", number, mesh, Look(colour, "plastic"), (number,))
    return PlacedThing(number, kind, colour, "plastic", "plain", "", False, (surface,), SIDE, **pose)


@pytest.fixture(scope="module")
def scene():
    """A turned red box to the right and a blue ball to the left, on a white floor."""
    white = np.full((4, 4, 3), 235, dtype=np.uint8)
    ground = LabelledSurface("body", FLOOR, box(4.0, 4.0, 0.1).moved(z=-0.1), texture=white, tile=1.0)
    floor = PlacedThing(FLOOR, "floor", "white", "natural", "plain", "", True, (ground,), 1.0)
    red = thing(RED, "box", box(SIDE, SIDE, SIDE), "red", yaw=30.0, position=(0.25, 0.1, 0.0))
    blue = thing(BLUE, "ball", sphere(SIDE / 2, 16).moved(z=SIDE / 2), "blue", position=(-0.3, -0.1, 0.0))
    light = Light((0.2, -0.4, 1.9), (0.0, 0.0, 0.0), 2.0, 2.0, (1.0, 1.0, 1.0))
    ambient, middle, half = (0.4, 0.4, 0.4), (0.0, 0.0, 0.1), (0.5, 0.4, 0.2)
    return Composition(0, "table", (red, blue, floor), (light,), ambient, 0.5, middle, half)


@pytest.fixture(scope="module")
def photographer(scene):
    pytest.importorskip("mitsuba")
    return Photographer(scene)


POSE = looking(np.array([0.15, -1.0, 0.7]), np.array([0.0, 0.0, 0.1]), 4.0)
FOV, WIDTH, HEIGHT = 60.0, 64, 48


@pytest.fixture(scope="module")
def picture(photographer):
    return photographer.picture(POSE, FOV, WIDTH, HEIGHT, 16, 0)


def test_colours_lie_where_labels_say(picture):
    red, green, blue = picture.colour.astype(float).transpose(2, 0, 1)
    for label, shown in ((RED, red > 1.6 * np.maximum(green, blue)), (BLUE, blue > 1.6 * red)):
        labelled = picture.labels == label
        assert labelled.sum() > 80
        assert (shown & labelled).sum() > 0.85 * (shown | labelled).sum()


def test_depths_lie_on_the_surfaces(picture, scene):
    focal = WIDTH / 2 / np.tan(np.deg2rad(FOV / 2))
    y, x = np.meshgrid(np.arange(HEIGHT) + 0.5, np.arange(WIDTH) + 0.5, indexing="ij")
    rays = np.stack([(x - WIDTH / 2) / focal, (HEIGHT / 2 - y) / focal, -np.ones_like(x)], -1)
    points = (rays * picture.depth[..., None]) @ POSE[:3, :3].T + POSE[:3, 3]
    np.testing.assert_allclose(points[picture.labels == FLOOR][:, 2], 0, atol=1e-5)
    about = np.linalg.norm(points[picture.labels == BLUE] - [-0.3, -0.1, SIDE / 2], axis=1)
    np.testing.assert_allclose(about, SIDE / 2, rtol=0.03)
    offset = points[picture.labels == RED] - [0.25, 0.1, SIDE / 2]
    turn = np.deg2rad(30)
    along = offset[:, 0] * np.cos(turn) + offset[:, 1] * np.sin(turn)
    across = offset[:, 1] * np.cos(turn) - offset[:, 0] * np.sin(turn)
    np.testing.assert_allclose(np.abs([along, across, offset[:, 2]]).max(0), SIDE / 2, atol=1e-5)


def test_pictures(picture, photographer):
    assert (picture.colour.shape, picture.labels.shape) == ((HEIGHT, WIDTH, 3), (HEIGHT, WIDTH))
    assert picture.depth.dtype == np.float32
    np.testing.assert_array_equal(picture.depth > 0, picture.labels > 0)
    assert picture.colour.std() > 10
    again = photographer.picture(POSE, FOV, WIDTH, HEIGHT, 16, 0)
    for name in ("colour", "labels", "depth"):
        np.testing.assert_array_equal(getattr(picture, name), getattr(again, name))
    other = photographer.picture(POSE, FOV, WIDTH, HEIGHT, 16, 1)
    np.testing.assert_array_equal(picture.labels, other.labels)
    assert not np.array_equal(picture.colour, other.colour)


def test_what_is_missing_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "mitsuba", None)
    with pytest.raises(ConfigError, match=r"lerf\[scenes\]"):
        renderer()


@given(st.lists(st.floats(0, 50), min_size=2, max_size=20))
def test_developing_keeps_the_order(values):
    row = np.sort(np.array(values))[None, :, None].repeat(3, 2)
    assert (np.diff(developed(row)[0, :, 0].astype(int)) >= 0).all()


def test_developing_by_hand():
    values = np.array([0.0, 0.0031308, 0.2140411, 100.0])
    out = developed(values[None, :, None].repeat(3, 2))[0, :, 0]
    # Half of the sRGB range is 0.214; what is far too bright is white.
    np.testing.assert_allclose(out, [0, 10, 128, 255], atol=1)


def noisy(seed, tones, share=0.25):
    """Two pictures of the same tones with noise of their own."""
    rng = np.random.default_rng(seed)
    shape = (*tones.shape, 1)
    return tuple(tones[..., None] * (1 + share * rng.normal(size=shape)) * np.ones(3) for _ in range(2))


def test_averaging_takes_noise_away_and_keeps_the_tone():
    tones = np.full((24, 32), 0.3)
    first, second = noisy(0, tones)
    out = denoised(first, second, np.zeros(tones.shape, dtype=np.int64))
    assert out.std() < 0.5 * ((first + second) / 2).std()
    np.testing.assert_allclose(out.mean(), 0.3, rtol=0.1)


def test_averaging_keeps_parts_apart():
    labels = np.zeros((24, 32), dtype=np.int64)
    labels[:, 16:] = 1
    tones = np.where(labels == 1, 0.5, 0.3)
    out = denoised(*noisy(1, tones, 0.05), labels)
    assert out[:, :16].max() < 0.4 < out[:, 16:].min()


def test_averaging_leaves_a_picture_without_noise():
    ramp = np.linspace(0.2, 0.6, 32)[None, :, None] * np.ones((24, 1, 3))
    np.testing.assert_allclose(denoised(ramp, ramp, np.zeros((24, 32), dtype=np.int64)), ramp, rtol=0.05)
