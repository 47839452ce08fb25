"""From a capture's files to cameras of a path that nerfstudio's viewer saved, for each format and orientation.

`training_poses` restates the data parsers of nerfstudio 1.1.5 in single steps, as a reference."""

import json
import math

import numpy as np
import pytest
from scene_files import picture, ring, save, transforms, write_capture, write_colmap_text, write_transforms
from scipy.spatial.transform import Rotation

from lerf.errors import LerfWarning, SceneError
from lerf.geometry.similarity import Similarity
from lerf.scenes import load_scene
from lerf.scenes.camera_path import CameraPath, read_camera_path, read_nerfstudio_transform, write_camera_path
from lerf.scenes.nerfstudio_frame import nerfstudio_frame
from lerf.scenes.record import scene_from_plain, scene_to_plain

TILT = Rotation.from_euler("xyz", [35, -20, 50], degrees=True).as_matrix()


def between(a, b):
    """The rotation from one direction to another by Rodrigues' formula with an axis and an angle."""
    a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    axis = np.cross(a, b)
    if np.abs(axis).sum() < 1e-6:
        axis = np.cross(a, [1.0, 0, 0] if abs(a[0]) < 1e-6 else [0, 1.0, 0])
    return Rotation.from_rotvec(axis / np.linalg.norm(axis) * math.acos(np.clip(a @ b, -1, 1))).as_matrix()


def vertical(poses, up):
    """The direction that looks most vertical in all photos."""
    matrix = poses[:, :3, 0]
    values, vectors = np.linalg.eigh(matrix.T @ matrix)  # ascending
    if math.sqrt(max(values[1], 0)) > 0.17 * math.sqrt(len(poses)):
        return vectors[:, 0] * np.sign(vectors[:, 0] @ up)
    first = vectors[:, 2]
    return up - first * (up @ first)


def training_poses(poses, parser, orientation="up"):
    """The poses that nerfstudio trains with, [n, 4, 4], of those that its parser finds in the files."""
    poses = np.array(poses, float)
    if parser == "blender":
        return poses
    if parser == "colmap":
        poses = poses[:, [0, 2, 1, 3], :]
        poses[:, 2] *= -1
    up = poses[:, :3, 1].mean(0)
    rotation = np.eye(3)
    if orientation != "none":
        up = up / np.linalg.norm(up)
        rotation = between(vertical(poses, up) if orientation == "vertical" else up, np.array([0, 0, 1.0]))
    whole = np.eye(4)
    whole[:3, :3], whole[:3, 3] = rotation, -rotation @ poses[:, :3, 3].mean(0)
    poses = whole @ poses
    poses[:, :3, 3] /= np.abs(poses[:, :3, 3]).max()
    return poses


def tilted(count=7):
    """Poses on a ring of uneven heights that is turned and far from the origin."""
    moved = Similarity(TILT, np.array([3.0, -2, 1]), 1.0)
    poses = [pose[:3] for height in (0.3, 1.2) for pose in ring(count, height=height, target=(0.1, 0.2, 0))][
        : 2 * count - 3
    ]
    return np.concatenate([moved.apply_poses(np.stack(poses)), np.tile([[[0.0, 0, 0, 1]]], (len(poses), 1, 1))], 1)


def write_kind(folder, kind, poses):
    """A capture of a kind whose camera-to-world poses are `poses`."""
    names = [f"images/{number:04d}.png" for number in range(len(poses))]
    for number, name in enumerate(names):
        save(folder / name, picture(12, 8, number))
    frames = [{"file_path": n, "transform_matrix": p.tolist()} for n, p in zip(names, poses, strict=True)]
    if kind == "colmap":
        images = []
        for number, (pose, name) in enumerate(zip(poses, names, strict=True)):
            world = np.linalg.inv(pose @ np.diag([1.0, -1, -1, 1]))
            x, y, z, w = Rotation.from_matrix(world[:3, :3]).as_quat().tolist()
            images.append((number + 1, [w, x, y, z], world[:3, 3].tolist(), 1, name.removeprefix("images/")))
        write_colmap_text(folder / "sparse/0", {1: ("PINHOLE", 12, 8, [10.0, 11.0, 6.0, 4.0])}, images)
    elif kind == "blender":
        write_transforms(folder, {"camera_angle_x": 0.8, "frames": frames}, "transforms_train.json")
    else:
        extra = {} if kind == "up" else {"orientation_override": kind}
        write_transforms(folder, {**transforms(), "frames": frames, **extra})
    return folder


def saved_path(place, poses):
    """A file as nerfstudio's viewer writes it."""
    frames = [{"camera_to_world": pose.reshape(-1).tolist(), "fov": 50.0, "aspect": 1.5} for pose in poses]
    place.write_text(json.dumps({"render_width": 12, "render_height": 8, "camera_path": frames, "fps": 24.0}))
    return place


def angles_between(ours, theirs):
    """Degrees between rotations."""
    return np.degrees(Rotation.from_matrix(np.transpose(ours, (0, 2, 1)) @ theirs).magnitude())


@pytest.mark.parametrize("kind", ["up", "vertical", "none", "colmap", "blender"])
def test_a_path_leads_through_the_photos_it_was_made_at(tmp_path, kind):
    """A path at the very poses that nerfstudio trains with is one at the capture's own, also through a run."""
    poses = tilted()
    scene = load_scene(write_kind(tmp_path / "capture", kind, poses))
    parser, orientation = (kind, "up") if kind in ("colmap", "blender") else ("nerfstudio", kind)
    trained = training_poses(poses, parser, orientation)
    place = saved_path(tmp_path / "path.json", trained)
    run = scene_from_plain(json.loads(json.dumps(scene_to_plain(scene))))
    for each in (scene, run):
        found = np.stack([camera.camera_to_world for camera in read_camera_path(place, each).cameras])
        assert angles_between(found[:, :, :3], poses[:, :3, :3]).max() < 1e-4
        np.testing.assert_allclose(found[:, :, 3], poses[:, :3, 3], atol=1e-6)
    # And back: what is written is what nerfstudio reads.
    cameras = tuple(photo.camera for photo in scene.photos)
    write_camera_path(tmp_path / "ours.json", CameraPath(cameras, 24.0), run)
    written = json.loads((tmp_path / "ours.json").read_text())["camera_path"]
    np.testing.assert_allclose([np.reshape(f["camera_to_world"], (4, 4)) for f in written], trained, atol=1e-6)


@pytest.mark.parametrize("up", [(0, 0, 1), (0, 0, -1), (1e-9, 0, -1), (0.2, -0.3, -0.9), (1, 0, 0)])
def test_up_in_every_direction(tmp_path, up):
    turn = between(np.array([0, 0, 1.0]), np.array(up, float))
    poses = np.stack(ring(5))
    poses[:, :3] = turn @ poses[:, :3]
    scene = load_scene(write_kind(tmp_path, "up", poses))
    found = nerfstudio_frame(scene).apply_poses(poses[:, :3])
    np.testing.assert_allclose(found, training_poses(poses, "nerfstudio")[:, :3], atol=1e-6)


def test_vertical_of_cameras_that_look_one_way(tmp_path):
    poses = np.stack([np.eye(4) for _ in range(5)])
    poses[:, :3, :3] = Rotation.from_euler("yxz", [[a, 20 + 3 * a, 5] for a in range(5)], degrees=True).as_matrix()
    poses[:, 0, 3] = np.arange(5)
    scene = load_scene(write_kind(tmp_path, "vertical", poses))
    expected = training_poses(poses, "nerfstudio", "vertical")[:, :3]
    np.testing.assert_allclose(nerfstudio_frame(scene).apply_poses(poses[:, :3]), expected, atol=1e-6)


def test_principal_components_are_refused_to_read_and_left_out_of_what_is_written(tmp_path):
    scene = load_scene(write_kind(tmp_path, "pca", tilted()))
    with pytest.raises(SceneError, match="--transforms"):
        read_camera_path(saved_path(tmp_path / "path.json", tilted()), scene)
    cameras = tuple(photo.camera for photo in scene.photos)
    with pytest.warns(LerfWarning, match="saved in the capture's frame"):
        write_camera_path(tmp_path / "ours.json", CameraPath(cameras, 24.0), scene)
    again = read_camera_path(tmp_path / "ours.json", scene)
    np.testing.assert_allclose([c.camera_to_world for c in again.cameras], tilted()[:, :3], atol=1e-9)


@pytest.mark.parametrize("stated", [True, False])
def test_the_transform_of_a_run_starts_from_before_the_applied_one(tmp_path, stated):
    """Captures of an older ns-process-data do not state the axes that it changed; nerfstudio knows them."""
    applied = np.array([[0.0, 1, 0, 0], [1, 0, 0, 0], [0, 0, -1, 0], [0, 0, 0, 1]])
    poses = tilted()
    folder = write_kind(tmp_path / "capture", "up", poses)
    if stated:
        document = json.loads((folder / "transforms.json").read_text())
        write_transforms(folder, {**document, "applied_transform": applied[:3].tolist(), "applied_scale": 0.5})
    else:
        (folder / "colmap/sparse/0").mkdir(parents=True)
    scene = load_scene(folder)
    rotation, shift, scale = Rotation.from_rotvec([0.3, 0.1, -0.2]).as_matrix(), np.array([1.0, 2, 3]), 0.25
    matrix = np.vstack([np.column_stack([rotation, shift]), [0, 0, 0, 1]]) @ applied
    place = tmp_path / "dataparser_transforms.json"
    place.write_text(json.dumps({"transform": matrix[:3].tolist(), "scale": scale * (0.5 if stated else 1.0)}))
    if stated:
        frame = read_nerfstudio_transform(place, scene)
    else:
        with pytest.warns(LerfWarning, match="applied_transform"):
            frame = read_nerfstudio_transform(place, scene)
    expected = scale * (poses[:, :3, 3] @ rotation.T + shift)
    np.testing.assert_allclose(frame.apply_points(poses[:, :3, 3]), expected, atol=1e-9)


def test_a_blender_run_has_the_frame_of_its_file(tmp_path):
    folder = write_kind(tmp_path, "blender", tilted())
    document = json.loads((folder / "transforms_train.json").read_text())
    applied = [[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, -1, 0]]
    write_transforms(folder, {**document, "applied_transform": applied}, "transforms_train.json")
    place = tmp_path / "dataparser_transforms.json"
    place.write_text(json.dumps({"transform": np.eye(4)[:3].tolist(), "scale": 1.0}))
    scene = load_scene(folder)
    assert scene.metadata["applied_transform"] == applied
    np.testing.assert_array_equal(
        read_nerfstudio_transform(place, scene).apply_points(np.ones((2, 3))), np.ones((2, 3))
    )


def test_what_a_file_says_of_its_coordinates_reaches_the_run(tmp_path):
    said = {
        "applied_transform": [[1, 0, 0, 2], [0, 0, 1, 0], [0, -1, 0, 0]],
        "applied_scale": 0.25,
        "orientation_override": "vertical",
        "aabb_scale": 16,
    }
    scene = load_scene(write_capture(tmp_path, transforms(**said)))
    assert scene.metadata == {"format": "transforms.json", **said}
    assert scene_from_plain(json.loads(json.dumps(scene_to_plain(scene)))).metadata == scene.metadata


WRONG = {
    "a shear": ("applied_transform", [[1, 0.5, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]]),
    "a mirror": ("applied_transform", [[-1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]]),
    "a scale": ("applied_transform", [[2, 0, 0, 0], [0, 2, 0, 0], [0, 0, 2, 0]]),
    "two rows": ("applied_transform", [[1, 0, 0, 0], [0, 1, 0, 0]]),
    "far": ("applied_transform", [[1, 0, 0, 1e200], [0, 1, 0, 0], [0, 0, 1, 0]]),
    "text": ("applied_transform", "none"),
    "no scale": ("applied_scale", 0.0),
    "a negative scale": ("applied_scale", -1.0),
    "a huge scale": ("applied_scale", 1e300),
    "NaN": ("applied_scale", math.nan),
    "an unknown orientation": ("orientation_override", "sideways"),
    "an orientation of another type": ("orientation_override", 3),
}


@pytest.mark.parametrize("case", WRONG)
def test_coordinates_that_cannot_be_are_refused_before_anything_is_trained(tmp_path, case):
    key, value = WRONG[case]
    write_capture(tmp_path)
    write_transforms(tmp_path, transforms(**{key: value}))
    with pytest.raises(SceneError, match=key):
        load_scene(tmp_path)
