"""Open3D's trajectories: matrices by columns, pixel centres at whole numbers, photos that are not named."""

import json
import math

import numpy as np
import pytest
from posed_samples import LARGEST_ERROR, points_before, project, write_small
from scene_files import look_at

from lerf.errors import SceneError
from lerf.scenes.load import find_poses, read_scene

SIZE = (64, 48)
COUNT = 6
MATRIX = np.array([[52.5, 0.0, 31.5], [0.0, 53.0, 23.25], [0.0, 0.0, 1.0]])
POSES = [
    look_at((2, 0.2 * number, 1.0 - 0.1 * number), (0, 0.1 * number, 0)) @ np.diag([1.0, -1.0, -1.0, 1.0])
    for number in range(COUNT)
]
"""Camera to world, y down and z forwards."""


def intrinsic(size=SIZE, matrix=MATRIX):
    return {"width": size[0], "height": size[1], "intrinsic_matrix": matrix.ravel(order="F").tolist()}


def trajectory(poses=POSES, **changes):
    """As PinholeCameraTrajectory is written."""
    one = {"class_name": "PinholeCameraParameters", "version_major": 1, "version_minor": 0}
    listed = [
        {**one, "extrinsic": np.linalg.inv(pose).ravel(order="F").tolist(), "intrinsic": intrinsic(), **changes}
        for pose in poses
    ]
    return {"class_name": "PinholeCameraTrajectory", "version_major": 1, "version_minor": 0, "parameters": listed}


def log(poses=POSES, places=None):
    """As WritePinholeCameraTrajectoryToLOG does, with eight digits."""
    lines = []
    for place, pose in zip(places or range(len(poses)), poses, strict=True):
        lines += [f"{place} {place} {place + 1}", *(" ".join(f"{value:.8f}" for value in row) for row in pose)]
    return "\n".join(lines) + "\n"


def write(folder, content, name, photos=COUNT, place="image", size=SIZE):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))
    write_small(folder / place, [f"{number}.jpg" for number in range(photos)], size)
    return folder


def pixels(points, pose, matrix):
    """intrinsic * extrinsic * point, as Open3D inverts it for the point of a pixel with whole coordinates."""
    extrinsic = np.linalg.inv(pose)
    image = (points @ extrinsic[:3, :3].T + extrinsic[:3, 3]) @ matrix.T
    return image[:, :2] / image[:, 2:]


def test_json_projects_as_open3d_does(tmp_path):
    scene = read_scene(write(tmp_path, trajectory(), "trajectory.json"))
    for photo, pose in zip(scene.photos, POSES, strict=True):
        points = points_before(photo.camera.camera_to_world)
        assert np.abs(project(photo.camera, points) - 0.5 - pixels(points, pose, MATRIX)).max() < LARGEST_ERROR
    assert (scene.notes, scene.metadata["format"]) == ((), "open3d")


@pytest.mark.parametrize("beside", ["camera_intrinsic.json", "intrinsic.json", "scene/camera.json"])
def test_a_log_takes_the_intrinsics_beside_it(tmp_path, beside):
    write(tmp_path, log(), "scene/trajectory.log")
    write(tmp_path, intrinsic(), beside)
    scene = read_scene(tmp_path)
    for photo, pose in zip(scene.photos, POSES, strict=True):
        rounded = np.round(pose, 8)
        u, _, vt = np.linalg.svd(rounded[:3, :3])
        rounded[:3, :3] = u @ vt
        points = points_before(photo.camera.camera_to_world)
        assert np.abs(project(photo.camera, points) - 0.5 - pixels(points, rounded, MATRIX)).max() < LARGEST_ERROR
    assert scene.notes == ()


def test_a_log_without_intrinsics_is_of_the_prime_sense(tmp_path):
    scene = read_scene(write(tmp_path / "small", log(), "trajectory.log", size=(320, 240)))
    camera = scene.photos[0].camera
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == (262.5, 262.5, 160.0, 120.0)
    assert "Open3D's default is used" in scene.notes[0]
    write(tmp_path / "large", log(), "trajectory.log", size=(400, 200))
    with pytest.raises(SceneError, match=r"has no focal length: write Open3D's intrinsics of its 400x200 photos into"):
        read_scene(tmp_path / "large")


@pytest.mark.parametrize("place", ["image", "rgb", "color", "images"])
def test_photos_are_in_the_order_of_their_numbers(tmp_path, place):
    poses = [look_at((2, 0.1 * number, 1)) @ np.diag([1.0, -1.0, -1.0, 1.0]) for number in range(12)]
    scene = read_scene(write(tmp_path, trajectory(poses), "camera_trajectory.json", 12, place))
    assert [photo.name for photo in scene.photos] == [f"{place}/{number}.jpg" for number in range(12)]


def test_a_log_may_say_which_photos_it_is_of(tmp_path):
    write(tmp_path, intrinsic(), "intrinsic.json")
    scene = read_scene(write(tmp_path, log(places=[9, 0, 3, 4, 6, 7]), "key.log", 10))
    assert [photo.path.stem for photo in scene.photos] == ["9", "0", "3", "4", "6", "7"]
    assert "4 of 10 photos have no pose and are not used: image/1.jpg, image/2.jpg, image/5.jpg, ..." in scene.notes[0]
    shuffled = read_scene(write(tmp_path / "all", log(places=[1, 0, 2, 3, 5, 4]), "key.log", COUNT, size=(640, 480)))
    assert [photo.path.stem for photo in shuffled.photos] == ["1", "0", "2", "3", "5", "4"]


@pytest.mark.parametrize("photos", [5, 7])
def test_another_number_of_photos_is_refused(tmp_path, photos):
    write(tmp_path, trajectory(), "trajectory.json", photos)
    with pytest.raises(SceneError, match=rf"has 6 poses without names, and .*image has {photos} photos"):
        read_scene(tmp_path)
    write(tmp_path, log(), "trajectory.log", photos, size=(640, 480))
    with pytest.raises(SceneError, match="leave those alone there that poses are of"):
        read_scene(tmp_path / "trajectory.log")


def test_a_matrix_written_row_by_row_is_refused(tmp_path):
    content = trajectory()
    for one, pose in zip(content["parameters"], POSES, strict=True):
        one["extrinsic"] = np.linalg.inv(pose).ravel().tolist()
    write(tmp_path, content, "trajectory.json")
    with pytest.raises(SceneError, match="does not end in the row 0 0 0 1"):
        read_scene(tmp_path)


def test_one_pose_of_many_is_none(tmp_path):
    content = trajectory()
    content["parameters"][3]["extrinsic"] = [math.nan] * 16
    write(tmp_path, content, "trajectory.json")
    with pytest.raises(SceneError, match=r"image/3\.jpg contains NaN"):
        read_scene(tmp_path)
    assert len(read_scene(tmp_path, missing="skip").photos) == COUNT - 1


@pytest.mark.parametrize(
    ("content", "name", "said"),
    [
        (trajectory(extrinsic=[1.0] * 15), "t.json", "another content than it should"),
        (trajectory(intrinsic=intrinsic(matrix=MATRIX.T)), "t.json", "is not fx, 0, 0, 0, fy, 0, cx, cy, 1"),
        (trajectory(intrinsic=intrinsic((64.5, 48))), "t.json", "picture size"),
        (log()[:-40], "t.log", "Pose 5 of .* is not a line of three whole numbers"),
        (log().replace("3 3 4", "three"), "t.log", "Pose 3 of .* is not a line"),
    ],
)
def test_files_that_cannot_be(tmp_path, content, name, said):
    write(tmp_path, content, name, size=(640, 480))
    with pytest.raises(SceneError, match=said):
        read_scene(tmp_path)


def test_another_log_is_left_alone(tmp_path):
    (tmp_path / "train.log").write_text("12:00:01 begin\nstep 1\n")
    (tmp_path / "other.json").write_text(json.dumps(intrinsic()))
    assert find_poses(tmp_path) == []
    write(tmp_path, log(), "trajectory.log", 0)
    with pytest.raises(SceneError, match="has no photos beside it: put them into a folder image there"):
        read_scene(tmp_path)
