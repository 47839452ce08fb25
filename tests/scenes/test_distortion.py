"""Lens models: hand-computed values, inverses, and what happens past the fold."""

import numpy as np
import pytest
import torch
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from lerf.geometry import distortion as lenses
from lerf.geometry.camera import Camera

FOX = (0.0578421, -0.0805099, 0.0, 0.0, -0.000980296, 0.00015575)

radial = st.floats(-0.3, 0.3)
small = st.floats(-0.03, 0.03)
tangential = st.floats(-0.002, 0.002)
perspective = st.tuples(radial, st.floats(-0.15, 0.15), small, small, tangential, tangential)
fisheye = st.tuples(st.floats(-0.1, 0.1), small, small, st.floats(-0.01, 0.01), st.just(0.0), st.just(0.0))


def camera(distortion, is_fisheye=False):
    return Camera(10, 10, 5.0, 5.0, 5.0, 5.0, np.eye(4)[:3], distortion, is_fisheye)


def inside(lens, share=0.9):
    """Points of the plane within the limit, in all directions, as seen by a wide camera at most."""
    reach = min(lens[6], 1.5) * share
    radius, angle = np.meshgrid(np.linspace(0, reach, 9), np.linspace(0, 2 * np.pi, 8))
    return np.stack([(radius * np.cos(angle)).ravel(), (radius * np.sin(angle)).ravel()], -1)


def test_by_hand():
    # x = 0.5, y = -0.25: r2 = 0.3125, radial = 1 + 0.1 r2 + 0.2 r2^2 + 0.3 r2^3 + 0.4 r2^4
    r2 = 0.3125
    rad = 1 + 0.03125 + 0.01953125 + 0.3 * r2**3 + 0.4 * r2**4
    x = 0.5 * rad + 2 * 0.01 * 0.5 * -0.25 + 0.02 * (r2 + 0.5)
    y = -0.25 * rad + 0.01 * (r2 + 0.125) + 2 * 0.02 * 0.5 * -0.25
    found = camera((0.1, 0.2, 0.3, 0.4, 0.01, 0.02)).distort(np.array([0.5, -0.25]))
    np.testing.assert_allclose(found, [x, y], rtol=1e-14)


def test_fisheye_by_hand():
    # 45 degrees to the right: theta = pi / 4.
    theta = np.pi / 4
    expected = theta * (1 + 0.05 * theta**2 - 0.02 * theta**4)
    found = camera((0.05, -0.02, 0.0, 0.0, 0.0, 0.0), True).distort(np.array([[1.0, 0.0], [0.0, 0.0]]))
    np.testing.assert_allclose(found, [[expected, 0.0], [0.0, 0.0]], rtol=1e-14)


@settings(max_examples=150, deadline=None)
@given(perspective)
# Newton's method alone goes to and fro between two radii for ever with each of these.
@example((0.02480309866271946, 0.14999999999999997, 0.0, -0.005386857063624857, 0.001953125, 0.001729048440695954))
@example((0.2057775605800954, 0.1218126769304754, -0.002956757802517404, -0.008901505438565372, 0.0, 0.0))
@example((0.0, 0.15, 0.03, -0.03, 0.0, -0.002))
def test_undistort_inverts_perspective(distortion):
    lens = lenses.lens_of(distortion, False)
    points = inside(lens)
    lands = camera(distortion).distort(points)
    again = camera(distortion).undistort(lands)
    np.testing.assert_allclose(again, points, atol=1e-9)
    np.testing.assert_allclose(camera(distortion).distort(again), lands, atol=1e-10)


@settings(max_examples=100, deadline=None)
@given(fisheye)
def test_undistort_inverts_fisheye(distortion):
    lens = lenses.lens_of(distortion, True)
    theta = np.linspace(0, lens[6], 40)
    np.testing.assert_allclose(lenses.unbend(lenses.bend(theta, lens), lens), theta, atol=1e-9)
    points = inside(lens, 0.6)
    np.testing.assert_allclose(
        camera(distortion, True).undistort(camera(distortion, True).distort(points)), points, atol=1e-9
    )


@settings(max_examples=60, deadline=None)
@given(st.tuples(radial, radial, small, small, st.just(0.0), st.just(0.0)))
def test_image_always_grows_outwards(distortion):
    lens = lenses.lens_of(distortion, False)
    radius = np.linspace(0, 20, 2000)
    assert (np.diff(lenses.distort_plane(radius, 0 * radius, lens)[0]) > 0).all()


def test_past_the_fold_stays_out_of_the_picture():
    # The bare polynomial would put this point, 64 degrees off the axis, near the middle of the fox photos.
    far = camera(FOX).distort(np.array([2.05, 0.0]))
    assert abs(2.05 * (1 + FOX[0] * 2.05**2 + FOX[1] * 2.05**4)) < 0.5
    assert far[0] > 1.2


def test_fisheye_past_a_right_angle_has_no_point_on_the_plane():
    assert np.isnan(camera((0.0,) * 6, True).undistort(np.array([1.7, 0.0]))).all()


@pytest.mark.parametrize("is_fisheye", [False, True])
def test_torch_and_numpy_agree(is_fisheye):
    lens = lenses.lens_of(FOX, is_fisheye)
    x, y = np.random.default_rng(0).uniform(-0.8, 0.8, (2, 50))
    if is_fisheye:
        calls = [(function, (abs(x),)) for function in (lenses.bend, lenses.unbend)]
    else:
        calls = [(function, (x, y)) for function in (lenses.distort_plane, lenses.undistort_plane)]
    for function, points in calls:
        theirs = function(*map(torch.tensor, points), lens)
        ours = torch.tensor(np.array(function(*points, lens)))
        torch.testing.assert_close(theirs if is_fisheye else torch.stack(theirs), ours, atol=1e-14, rtol=0)


def test_absurd_coefficients_stay_finite():
    lens = lenses.lens_of((-50.0, 300.0, -20.0, 5.0, 2.0, -3.0), False)
    x, y = np.random.default_rng(0).uniform(-3, 3, (2, 200))
    assert np.isfinite(lenses.undistort_plane(x, y, lens)).all()
    assert np.isfinite(lenses.distort_plane(x, y, lens)).all()


@settings(max_examples=60, deadline=None)
@given(st.tuples(st.floats(-0.3, -0.1), st.floats(-0.15, 0), small, small, tangential, tangential))
def test_pixels_past_the_limit_stay_close_to_where_they_are(distortion):
    """The tangential terms make the inverse approximate there: by hundredths of the picture, and never a leap."""
    lens = lenses.lens_of(distortion, False)
    assume(np.isfinite(lens[6]))
    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    lands = np.stack([np.cos(angle), np.sin(angle)], -1) * np.linspace(1.0, 1.3, 4)[:, None, None] * lens[7]
    again = camera(distortion).distort(camera(distortion).undistort(lands))
    assert np.hypot(*(again - lands).T).max() < 0.1 * lens[7]
