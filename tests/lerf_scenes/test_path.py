"""Cameras: upright, looking at the scene, the same for the same seed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lerf_scenes.arrange import compose
from lerf_scenes.composition import SETTINGS
from lerf_scenes.path import capture_cameras, looking, training_cameras


@pytest.fixture(scope="module", params=SETTINGS)
def composition(request):
    return compose(5, request.param, objects=(3, 4))


def seen_at(camera, point):
    """Position in the picture, -1 to 1 across, and depth."""
    x, y, z = (np.asarray(point) - camera.pose[:3, 3]) @ camera.pose[:3, :3]
    return np.array([x, y]) / -z / np.tan(np.deg2rad(camera.fov) / 2), -z


coordinates = st.tuples(st.floats(-3, 3), st.floats(-3, 3), st.floats(-3, 3)).map(np.array)


@given(coordinates, coordinates, st.floats(-20, 20))
def test_looking(position, target, roll):
    if np.linalg.norm((position - target)[:2]) < 0.05:
        return
    pose = looking(position, target, roll)
    np.testing.assert_allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3), atol=1e-9)
    np.testing.assert_allclose(np.linalg.det(pose[:3, :3]), 1)
    np.testing.assert_allclose(pose[:3, 3], position)
    np.testing.assert_array_equal(pose[3], [0, 0, 0, 1])
    towards = (target - position) / np.linalg.norm(target - position)
    np.testing.assert_allclose(-pose[:3, 2], towards, atol=1e-9)
    assert pose[2, 1] > 0, "up in the picture is up in the scene"
    upright = looking(position, target)
    np.testing.assert_allclose(upright[2, 0], 0, atol=1e-9)
    np.testing.assert_allclose(upright[:3, 0] @ pose[:3, 0], np.cos(np.deg2rad(roll)), atol=1e-9)


@pytest.mark.parametrize(("views", "held_out"), [(2, 0), (12, 3), (30, 30)])
def test_cameras_of_a_capture(composition, views, held_out):
    taken, between = capture_cameras(composition, views, held_out)
    assert (len(taken), len(between)) == (views, held_out)
    assert len({camera.fov for camera in (*taken, *between)}) == 1
    for camera in (*taken, *between):
        position, depth = seen_at(camera, composition.middle)
        assert depth > 0
        assert np.abs(position).max() < 0.75
        assert camera.pose[2, 1] > 0.5
    positions = np.array([camera.pose[:3, 3] for camera in (*taken, *between)])
    assert len(np.unique(positions, axis=0)) == views + held_out
    for camera, again in zip((*taken, *between), sum(capture_cameras(composition, views, held_out), ()), strict=True):
        np.testing.assert_array_equal(camera.pose, again.pose)


def test_cameras_of_a_capture_are_outside_of_things(composition):
    positions = np.array([camera.pose[:3, 3] for camera in capture_cameras(composition, 40, 5)[0]])
    for thing in composition.things:
        described = thing.described()
        if thing.kind in ("wall", "floor") or not thing.furniture:
            inside = (positions > described.minimum) & (positions < described.maximum)
            assert not inside.all(1).any(), thing.kind


def test_training_cameras(composition):
    cameras = training_cameras(composition, np.random.default_rng(0), 50)
    assert len(cameras) == 50
    assert len({camera.fov for camera in cameras}) > 40
    shown = [seen_at(camera, placed.position) for camera in cameras for placed in composition.objects]
    assert np.mean([depth > 0 and np.abs(position).max() < 1 for position, depth in shown]) > 0.6
    again = training_cameras(composition, np.random.default_rng(0), 50)
    assert all(np.array_equal(a.pose, b.pose) for a, b in zip(cameras, again, strict=True))
