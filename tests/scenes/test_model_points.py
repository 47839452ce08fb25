"""Points of a COLMAP model beside a transforms.json that was made from it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scene_files import colmap_images, ring, transforms, write_capture, write_colmap_text
from scipy.spatial.transform import Rotation

from lerf.geometry.similarity import Similarity, similarity_between
from lerf.scenes.load import read_points, read_scene
from lerf.scenes.record import scene_from_plain, scene_to_plain

POINTS = np.array([[0.25, -0.5, 0.125], [0.0, 0.5, -0.25], [-0.5, 0.0, 0.375]])
CAMERAS = {1: ("PINHOLE", 12, 8, [10.0, 11.0, 5.5, 4.5])}


def frame(seed: int = 0) -> Similarity:
    random = np.random.default_rng(seed)
    rotation = Rotation.random(random_state=seed).as_matrix()
    return Similarity(rotation, random.normal(size=3), float(np.exp(random.normal())))


def write(folder, moved: Similarity, photos: int = 5):
    """A capture whose transforms.json is the model's cameras in another frame."""
    document = transforms(photos)
    poses = moved.apply_poses(np.stack([pose[:3] for pose in ring(photos)]))
    for entry, pose in zip(document["frames"], poses, strict=True):
        entry["transform_matrix"] = [*pose.tolist(), [0, 0, 0, 1]]
    write_capture(folder, document)
    write_colmap_text(folder / "sparse/0", CAMERAS, colmap_images(photos))
    lines = [f"{number + 1} {x} {y} {z} 10 20 30 0.5 1 0" for number, (x, y, z) in enumerate(POINTS)]
    (folder / "sparse/0/points3D.txt").write_text("\n".join(lines) + "\n")
    return document


@given(seed=st.integers(0, 10_000), count=st.integers(2, 12))
@settings(max_examples=50, deadline=None)
def test_the_similarity_between_poses_is_found(seed, count):
    poses = np.stack([pose[:3] for pose in ring(count)])
    found = similarity_between(poses, frame(seed).apply_poses(poses))
    np.testing.assert_allclose(found.rotation, frame(seed).rotation, atol=1e-9)
    np.testing.assert_allclose(found.translation, frame(seed).translation, atol=1e-9 * frame(seed).scale + 1e-9)
    assert found.scale == pytest.approx(frame(seed).scale)


def test_cameras_in_one_place_have_no_similarity():
    pose = np.stack([ring(1)[0][:3]] * 3)
    assert similarity_between(pose, pose) is None


def test_points_come_in_the_frame_of_the_file(tmp_path):
    write(tmp_path, frame(3))
    scene = read_scene(tmp_path)
    np.testing.assert_allclose(read_points(scene).positions, frame(3).apply_points(POINTS), atol=1e-9)
    assert len(read_points(scene).names) == 5
    again = scene_from_plain(scene_to_plain(scene))
    np.testing.assert_allclose(read_points(again).positions, frame(3).apply_points(POINTS), atol=1e-9)


def test_a_model_with_other_cameras_gives_no_points(tmp_path):
    document = write(tmp_path, frame(3))
    document["frames"][2]["transform_matrix"][0][3] += 0.1
    write_capture(tmp_path, document)
    assert read_points(read_scene(tmp_path)) is None


def test_a_model_that_cannot_be_read_gives_no_points(tmp_path):
    write(tmp_path, frame(3))
    (tmp_path / "sparse/0/cameras.txt").write_text("1 PINHOLE twelve\n")
    assert read_points(read_scene(tmp_path)) is None
