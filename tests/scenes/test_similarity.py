"""The map between capture and normalised frame."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scene_files import look_at, ring
from scipy.spatial.transform import Rotation

from lerf.errors import SceneError
from lerf.geometry.camera import Camera
from lerf.geometry.similarity import Similarity, normalising_similarity, outlying_positions

numbers = st.floats(-50, 50)
similarities = st.builds(
    lambda angles, shift, scale: Similarity(Rotation.from_rotvec(angles).as_matrix(), np.array(shift), scale),
    st.tuples(*[st.floats(-3, 3)] * 3),
    st.tuples(numbers, numbers, numbers),
    st.floats(0.01, 100),
)


def stacked(poses):
    return np.stack(poses)[:, :3]


@settings(max_examples=50, deadline=None)
@given(similarities)
def test_inverse_and_saving(similarity):
    points = np.random.default_rng(0).normal(size=(5, 3))
    np.testing.assert_allclose(similarity.inverse().apply_points(similarity.apply_points(points)), points, atol=1e-8)
    again = Similarity.from_dict(json.loads(json.dumps(similarity.to_dict())))
    np.testing.assert_array_equal(again.apply_points(points), similarity.apply_points(points))


@settings(max_examples=50, deadline=None)
@given(similarities, st.floats(0.1, 10))
def test_a_point_before_a_camera_moves_with_it(similarity, depth):
    pose = look_at([1, 2, 3], [0, 0.5, 0])[:3]
    camera = Camera(10, 10, 9.0, 9.0, 5.0, 5.0, pose)
    moved = camera.moved(similarity).camera_to_world
    np.testing.assert_allclose(moved[:, :3].T @ moved[:, :3], np.eye(3), atol=1e-12)
    seen = moved @ [0.3, 0.2, -depth * similarity.scale, 1]
    point = similarity.apply_points(pose @ [0.3 / similarity.scale, 0.2 / similarity.scale, -depth, 1])
    np.testing.assert_allclose(seen, point, atol=1e-8 * max(1, similarity.scale))


def test_identity_and_bad_saves():
    np.testing.assert_array_equal(Similarity.identity().apply_points(np.ones((2, 3))), np.ones((2, 3)))
    with pytest.raises(SceneError, match="3x3"):
        Similarity.from_dict({"rotation": [1, 2]})


@settings(max_examples=40, deadline=None)
@given(similarities)
def test_ring_in_any_frame(similarity):
    """Wherever the capture lies: the target is at the origin, up is +z, cameras are 1 away."""
    poses = similarity.apply_poses(stacked(ring(7, target=(3, -1, 2))))
    normal = normalising_similarity(poses)
    target = similarity.apply_points(np.array([3.0, -1, 2]))
    np.testing.assert_allclose(normal.apply_points(target), 0, atol=1e-6)
    moved = normal.apply_poses(poses)
    np.testing.assert_allclose(np.linalg.norm(moved[:, :, 3], axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(moved[:, 2, 3], 0.7 / np.hypot(2, 0.7), atol=1e-6)
    assert np.linalg.det(normal.rotation) == pytest.approx(1)


@pytest.mark.parametrize("kind", ["parallel", "outwards"])
def test_without_convergence_the_cameras_are_the_centre(kind):
    if kind == "parallel":
        poses = stacked([look_at([x, 0, 0], [x, 9, 0]) for x in (0.0, 1, 2, 3, 4)])
    else:
        poses = stacked(
            [look_at([c, s, 0], [5 * c, 5 * s, 0]) for c, s in [(1, 0), (0, 1), (-1, 0), (0, -1), (0.6, 0.8)]]
        )
    normal = normalising_similarity(poses)
    centre = poses[:, :, 3].mean(0)
    np.testing.assert_allclose(normal.apply_points(centre), 0, atol=1e-12)
    distances = np.linalg.norm(normal.apply_poses(poses)[:, :, 3], axis=1)
    assert distances.mean() == pytest.approx(1)


def test_upside_down_capture_is_turned_up():
    poses = stacked(ring(5))
    flipped = Similarity(np.diag([1.0, -1, -1]), np.zeros(3), 1.0).apply_poses(poses)
    ups = normalising_similarity(flipped).apply_poses(flipped)[:, :, 1]
    np.testing.assert_allclose(ups.mean(0) / np.linalg.norm(ups.mean(0)), [0, 0, 1], atol=1e-12)


def test_one_point_is_refused_even_far_from_the_origin():
    poses = stacked([look_at([0, 0, 0], [np.cos(a), np.sin(a), 0]) for a in (0.0, 1, 2)])
    with pytest.raises(SceneError, match="one point"):
        normalising_similarity(poses)
    poses[:, :, 3] += [5e6, 4e5, 30]
    with pytest.raises(SceneError, match="one point"):
        normalising_similarity(poses)


def test_map_coordinates_of_millions_of_metres_are_fine():
    poses = stacked(ring(6))
    poses[:, :, 3] += [5e6, 4e5, 30]
    moved = normalising_similarity(poses).apply_poses(poses)
    np.testing.assert_allclose(np.linalg.norm(moved[:, :, 3], axis=1), 1, atol=1e-6)


def with_far_pose(count, far, direction=(0.5, -0.3, 0.8)):
    """A ring and the same ring with its last pose moved far away."""
    poses = stacked(ring(count))
    moved = poses.copy()
    moved[-1, :, 3] += far * np.array(direction) / np.linalg.norm(direction)
    return poses, moved


@pytest.mark.parametrize("far", [30.0, 880.0, 1e5])
@pytest.mark.parametrize("count", [4, 6, 12, 100])
def test_one_pose_does_not_decide_where_and_how_large_the_scene_is(count, far):
    poses, moved = with_far_pose(count, far)
    found, expected = normalising_similarity(moved), normalising_similarity(poses[:-1])
    np.testing.assert_array_equal(found.apply_points(poses[:, :, 3]), expected.apply_points(poses[:, :, 3]))
    # Which is nearly what the ring as a whole has.
    whole = normalising_similarity(poses)
    assert found.scale == pytest.approx(whole.scale, rel=0.05)
    np.testing.assert_allclose(found.apply_points(np.zeros(3)), whole.apply_points(np.zeros(3)), atol=0.05)


def test_one_pose_that_looks_away_does_not_move_the_centre_to_the_cameras():
    poses = stacked(ring(6))
    poses[2, :, :3] = poses[2, :, :3] @ np.diag([-1.0, 1, -1])
    np.testing.assert_allclose(normalising_similarity(poses).apply_points(np.zeros(3)), 0, atol=0.25)


def test_photos_of_several_places_are_no_outliers():
    near, far = np.zeros((6, 3)), np.full((4, 3), 100.0)
    places = np.concatenate([near, far]) + np.random.default_rng(0).normal(size=(10, 3))
    assert len(outlying_positions(places)) == 0
    walk = np.linspace([0, 0, 0], [100, 0, 0], 30)
    assert len(outlying_positions(walk)) == 0
    assert len(outlying_positions(np.zeros((5, 3)))) == 0
    assert outlying_positions(np.concatenate([walk, [[5000, 0, 0], [0, -7000, 0]]])).tolist() == [30, 31]


@pytest.mark.parametrize(
    "change",
    [{"scale": 0.0}, {"scale": -1.0}, {"scale": 1e300}, {"scale": "large"}, {"translation": [1e200, 0, 0]},
     {"rotation": (2 * np.eye(3)).tolist()}, {"rotation": np.diag([1.0, 1, -1]).tolist()},
     {"rotation": [[1e200] * 3] * 3}, {"rotation": [[float("nan")] * 3] * 3}],
)  # fmt: skip
def test_saved_frames_that_cannot_be(change):
    with pytest.raises(SceneError, match="3x3 rotation"):
        Similarity.from_dict({**Similarity.identity().to_dict(), **change})
