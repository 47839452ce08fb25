"""Smooth paths through keyframes."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from lerf.errors import ConfigError
from lerf.geometry.camera import Camera
from lerf.scenes.keyframes import through_keyframes

COUNT = 6


def ring(count=COUNT):
    """Cameras on a circle that look inwards, each with another focal length."""
    cameras = []
    for number in range(count):
        turn = Rotation.from_euler("z", 360 * number / count, degrees=True).as_matrix()
        look = turn @ np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
        pose = np.concatenate([look, turn @ np.array([[2.0], [0.0], [0.5]])], 1)
        cameras.append(Camera(40, 30, 30.0 + number, 31.0 + number, 20.0, 15.0, pose))
    return cameras


@pytest.mark.parametrize("loop", [False, True])
def test_the_path_is_at_every_keyframe_in_turn(loop):
    cameras = ring()
    path = through_keyframes(cameras, 2.0, 10.0, loop)
    assert len(path.cameras) == (120 if loop else 100)
    assert len(path.keyframes) == COUNT
    steps = np.linspace(0, COUNT - 1, 100)
    for number, camera in enumerate(cameras):
        place = number * 20 if loop else int(np.abs(steps - number).argmin())
        reached = path.cameras[place]
        close = {"atol": 1e-9} if loop or number in (0, COUNT - 1) else {"atol": 0.05}
        np.testing.assert_allclose(reached.camera_to_world, camera.camera_to_world, **close)
        assert reached.fx == pytest.approx(camera.fx, rel=1e-2)
    assert path.loop == loop


def test_poses_stay_poses_and_nothing_jumps():
    path = through_keyframes(ring(), 1.0, 30.0, loop=True)
    poses = np.stack([camera.camera_to_world for camera in path.cameras])
    np.testing.assert_allclose(np.linalg.det(poses[:, :, :3]), 1.0, atol=1e-9)
    around = np.concatenate([poses, poses[:1]])
    moved = np.linalg.norm(np.diff(around[:, :, 3], axis=0), axis=1)
    assert moved.max() < 1.1 * moved.mean()
    # A ring is followed closely, its end and beginning no worse than the rest.
    np.testing.assert_allclose(np.linalg.norm(poses[:, :2, 3], axis=1), 2.0, atol=0.02)


def test_two_keyframes_make_a_straight_line():
    first, second = ring()[:2]
    path = through_keyframes([first, second], 1.0, 5.0)
    middle = path.cameras[2].camera_to_world[:, 3]
    np.testing.assert_allclose(middle, (first.camera_to_world[:, 3] + second.camera_to_world[:, 3]) / 2, atol=1e-9)
    assert path.cameras[2].fx == pytest.approx((first.fx * second.fx) ** 0.5)


@pytest.mark.parametrize(("count", "seconds", "speed"), [(1, 1.0, 24.0), (2, 0.0, 24.0), (2, 1.0, -1.0)])
def test_paths_that_cannot_be(count, seconds, speed):
    with pytest.raises(ConfigError):
        through_keyframes(ring()[:count], seconds, speed)
