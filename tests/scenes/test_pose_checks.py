"""Poses that are nearly right: repaired and told, or refused by name; and one broken pose never stops many."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scene_files import colmap_images, picture, ring, save, transforms, write_capture, write_colmap_text
from scipy.linalg import polar

from lerf.errors import SceneError
from lerf.scenes.load import read_scene
from lerf.scenes.pose_checks import SHEAR_TOLERANCE, check_poses

COUNT = 80


def written(folder, change, count=COUNT):
    """A capture whose poses went through a function of (number, 4x4 matrix)."""
    document = transforms(count)
    for number, frame in enumerate(document["frames"]):
        frame["transform_matrix"] = np.asarray(change(number, np.array(frame["transform_matrix"]))).tolist()
    return write_capture(folder, document)


def rotations_of(scene):
    return np.stack([photo.camera.camera_to_world[:, :3] for photo in scene.photos])


@pytest.mark.parametrize("digits", [4, 6])
def test_rounding_is_repaired_in_silence(tmp_path, digits):
    scene = read_scene(written(tmp_path, lambda number, pose: np.round(pose, digits), 8))
    assert scene.notes == ()
    rotations = rotations_of(scene)
    np.testing.assert_allclose(
        rotations @ rotations.transpose(0, 2, 1), np.broadcast_to(np.eye(3), (8, 3, 3)), atol=1e-12
    )
    np.testing.assert_allclose(rotations, [pose[:3, :3] for pose in ring(8)], atol=10.0**-digits)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.001, 0.01))
def test_the_nearest_rotation_is_the_polar_decompositions(seed, size):
    pose = ring(7)[seed % 7]
    pose[:3, :3] += np.random.default_rng(seed).uniform(-size, size, (3, 3))
    checked = check_poses([pose], ["a"])
    assert not checked.problems
    np.testing.assert_allclose(checked.poses[0, :, :3], polar(pose[:3, :3])[0], atol=1e-12)


@pytest.mark.parametrize("factor", [0.5, 1.01, 250.0])
def test_a_uniform_scale_is_dropped_and_told(tmp_path, factor):
    scene = read_scene(written(tmp_path, lambda number, pose: pose @ np.diag([factor] * 3 + [1]), 8))
    np.testing.assert_allclose(rotations_of(scene), [pose[:3, :3] for pose in ring(8)], atol=1e-12)
    assert len(scene.notes) == 1
    assert f"The axes of 8 of 8 poses, that of photo images/0000.png for one, are {factor:.4g} long" in scene.notes[0]


def test_scales_of_each_photos_own_are_told_with_their_bounds(tmp_path):
    scene = read_scene(written(tmp_path, lambda number, pose: pose @ np.diag([1.0 + number / 4] * 3 + [1]), 8))
    assert "The axes of 7 of 8 poses, that of photo images/0001.png for one, are 1.25 to 2.75 long" in scene.notes[0]


def test_shear_within_the_bound_is_repaired_and_told_and_beyond_it_refused(tmp_path):
    def sheared(share):
        return lambda number, pose: pose @ np.diag([1.0, 1.0, 1.0 - share if number == 3 else 1.0, 1.0])

    scene = read_scene(written(tmp_path / "a", sheared(0.8 * SHEAR_TOLERANCE), 8))
    assert scene.notes[-1].startswith("1 of 8 poses, that of photo images/0003.png for one,")
    assert scene.notes[-1].endswith("are used.")
    with pytest.raises(SceneError, match=r"images/0003\.png is not a rotation .*--missing skip leaves it out"):
        read_scene(written(tmp_path / "b", sheared(1.5 * SHEAR_TOLERANCE), 8))


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("side", ["camera", "world"])
def test_a_reflection_in_all_frames_is_refused_by_its_name(tmp_path, axis, side):
    mirror = np.diag([-1.0 if place == axis else 1.0 for place in range(4)])
    change = (lambda number, pose: pose @ mirror) if side == "camera" else (lambda number, pose: mirror @ pose)
    written(tmp_path, change, 8)
    for missing in ("refuse", "skip"):
        with pytest.raises(
            SceneError, match=r"The poses of all 8 photos are mirrored|0 of the 8 photos .* can be used"
        ):
            read_scene(tmp_path, missing=missing)
    with pytest.raises(
        SceneError, match=r"The poses of all 8 photos are mirrored, .* export the capture with right-handed"
    ):
        read_scene(tmp_path)


def test_one_mirrored_pose_is_that_photos_fault(tmp_path):
    written(tmp_path, lambda number, pose: pose * [-1, 1, 1, 1] if number == 5 else pose, 8)
    with pytest.raises(SceneError, match=r"images/0005\.png is not a rotation"):
        read_scene(tmp_path)
    assert len(read_scene(tmp_path, missing="skip").photos) == 7


BROKEN = {
    "NaN": (lambda pose: pose * np.where(np.arange(16).reshape(4, 4) == 6, math.nan, 1.0), "contains NaN or infinity"),
    "infinity": (
        lambda pose: pose + np.where(np.arange(16).reshape(4, 4) == 3, math.inf, 0.0),
        "contains NaN or infinity",
    ),
    "zeros": (lambda pose: pose * 0 + np.diag([0, 0, 0, 1]), "is not a rotation"),
    "far away": (lambda pose: pose + np.where(np.arange(16).reshape(4, 4) == 3, 1e13, 0.0), "holds the number 1e"),
    "transposed": (lambda pose: pose.T, "does not end in the row 0 0 0 1"),
    "three rows of three": (lambda pose: pose[:3, :3], "is not a 4x4 matrix"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_one_broken_pose_does_not_refuse_a_capture_of_eighty(tmp_path, case):
    change, said = BROKEN[case]
    written(tmp_path, lambda number, pose: change(pose) if number == 33 else pose)
    with pytest.raises(SceneError, match=rf"images/0033\.png {said}.*; --missing skip leaves it out\."):
        read_scene(tmp_path)
    scene = read_scene(tmp_path, missing="skip")
    assert len(scene.photos) == COUNT - 1
    assert scene.notes == ("1 of 80 photos, whose pose cannot be used, are left out: images/0033.png.",)


def test_broken_poses_of_colmap_are_skipped_too(tmp_path):
    images = colmap_images(10)
    images[2][1][:] = [0.0] * 4
    images[7][2][:] = [math.nan] * 3
    write_colmap_text(tmp_path / "sparse/0", {1: ("PINHOLE", 12, 8, [10.0, 11.0, 5.5, 4.5])}, images)
    for number in range(10):
        save(tmp_path / f"images/{number:04d}.png", picture(12, 8, number))
    with pytest.raises(SceneError, match=r"0002\.png contains NaN.*skip leaves the 2 photos with such poses out"):
        read_scene(tmp_path)
    assert len(read_scene(tmp_path, missing="skip").photos) == 8
