"""What lies beside a transforms.json: the split's files, masks, points; and what converters write."""

import json
import warnings

import numpy as np
import pytest
from posed_samples import LARGEST_ERROR, points_before, project, write_small
from scene_files import picture, ring, save, transforms, write_capture, write_transforms

from lerf.errors import LerfWarning, SceneError
from lerf.scenes import load_scene
from lerf.scenes.load import find_poses, read_points, read_scene

COUNT = 8


def side(document, numbers):
    return {**document, "frames": [document["frames"][number] for number in numbers]}


def test_files_of_each_side_are_the_split(tmp_path):
    document = transforms(COUNT)
    write_capture(tmp_path, document)
    write_transforms(tmp_path, side(document, (0, 1, 2, 3)), "transforms_train.json")
    write_transforms(tmp_path, side(document, (6,)), "transforms_test.json")
    write_transforms(tmp_path, side(document, (3, 5)), "transforms_val.json")
    with pytest.warns(
        LerfWarning, match=r"transforms_train\.json and transforms_val\.json and transforms_test\.json"
    ) as told:
        scene = load_scene(tmp_path)
    assert (scene.train, scene.test) == ((0, 1, 2), (3, 5, 6))
    assert [str(one.message) for one in told] == [
        "The split is that of transforms_train.json and transforms_val.json and transforms_test.json beside "
        "transforms.json: 3 photos to train on, 3 held out, 2 on neither side."
    ]
    assert scene.metadata["split_files"][0] == "transforms_train.json"


@pytest.mark.parametrize(
    ("files", "train", "test"),
    [
        ({"test": (1, 2)}, (0, 3, 4, 5, 6, 7), (1, 2)),
        ({"val": (0,)}, (1, 2, 3, 4, 5, 6, 7), (0,)),
        ({"train": (0, 1, 2, 3, 4, 5)}, (0, 1, 2, 3, 4, 5), (6, 7)),
        ({"train": (0, 1), "test": (1, 2)}, (0,), (1, 2)),
    ],
)
def test_one_side_alone_makes_the_other_the_rest(tmp_path, files, train, test):
    document = transforms(COUNT)
    write_capture(tmp_path, document)
    for name, numbers in files.items():
        write_transforms(tmp_path, side(document, numbers), f"transforms_{name}.json")
    scene = read_scene(tmp_path)
    assert (scene.train, scene.test) == (train, test)
    assert scene.notes[0].startswith("The split is that of transforms_")
    assert read_scene(tmp_path / "transforms.json").test == test


def test_lists_in_the_file_go_before_files_beside_it(tmp_path):
    document = transforms(COUNT, test_filenames=["images/0007.png"])
    write_capture(tmp_path, document)
    write_transforms(tmp_path, side(document, (1,)), "transforms_test.json")
    assert read_scene(tmp_path).test == (7,)


def test_files_of_other_photos_make_no_split(tmp_path):
    document = transforms(COUNT)
    write_capture(tmp_path, document)
    others = json.loads(json.dumps(document).replace("images/", "renders/"))
    write_transforms(tmp_path, others, "transforms_train.json")
    scene = read_scene(tmp_path)
    assert (scene.test, len(scene.notes)) == ((0,), 1)
    assert "has transforms.json and Blender's transforms_train.json: the first is used" in scene.notes[0]
    write_transforms(tmp_path, side(document, (4,)), "transforms_test.json")
    mixed = read_scene(tmp_path)
    assert mixed.test == (4,)
    assert "8 photos of transforms_train.json are not in transforms.json and not used: renders/0000" in mixed.notes[1]


def test_sides_that_leave_nothing_are_told(tmp_path):
    document = transforms(COUNT)
    write_capture(tmp_path, document)
    for name in ("train", "test"):
        write_transforms(tmp_path, document, f"transforms_{name}.json")
    scene = read_scene(tmp_path)
    assert scene.test == (0,)
    assert "leave no photo to train on: every 8th photo is held out" in scene.notes[0]
    (tmp_path / "transforms_test.json").write_text('{"frames": 3}')
    with pytest.raises(SceneError, match=r"transforms_test\.json has another content"):
        read_scene(tmp_path)


@pytest.mark.parametrize("photos", ["images", "rgb/day 1", "."])
def test_masks_beside_are_used_and_told(tmp_path, photos):
    document = transforms(4)
    for number, frame in enumerate(document["frames"]):
        frame["file_path"] = f"{photos}/{number:04d}.png"
    write_capture(tmp_path, document)
    for number in range(3):
        save(tmp_path / f"masks/{number:04d}.png", picture(12, 8, number, 1)[..., 0] // 128 * 255)
    scene = read_scene(tmp_path)
    assert [photo.mask_path for photo in scene.photos] == [*(tmp_path / f"masks/{n:04d}.png" for n in range(3)), None]
    assert scene.notes[0] == f"Masks are those in {tmp_path / 'masks'}, where white takes part: no frame names any."
    assert "3 of 4 photos have a mask" in scene.notes[1]
    np.testing.assert_array_equal(scene.mask(1), picture(12, 8, 1, 1)[..., 0] >= 128)


def test_masks_of_other_names_and_masks_that_frames_name(tmp_path):
    write_capture(tmp_path, transforms(4))
    save(tmp_path / "masks/sky.png", picture(12, 8, 1, 1)[..., 0])
    assert "none of the 1 pictures in masks is named after a photo" in read_scene(tmp_path).notes[0]
    document = transforms(4)
    document["frames"][0]["mask_path"] = "masks/sky.png"
    scene = read_scene(write_transforms(tmp_path, document))
    assert (scene.photos[0].mask_path, scene.photos[1].mask_path) == (tmp_path / "masks/sky.png", None)
    assert scene.notes == ()


PLY = """ply
format ascii 1.0
element vertex 3
property float x
property float y
property float z
property uint8 red
property uint8 green
property uint8 blue
end_header
1.000000 2.000000 -3.000000 1 2 3
0.500000 nan 0.000000 4 5 6
-1.000000 0.000000 0.250000 7 8 9
"""


@pytest.mark.parametrize(
    "stated", ["sparse_pc.ply", "./sparse_pc.ply", "C:\\data\\scan\\sparse_pc.ply", "/home/me/sparse_pc.ply"]
)
def test_points_that_the_file_names_are_read(tmp_path, stated):
    write_capture(tmp_path, transforms(4, ply_file_path=stated))
    (tmp_path / "sparse_pc.ply").write_text(PLY)
    scene = read_scene(tmp_path)
    assert (scene.points_path, scene.notes) == (tmp_path / "sparse_pc.ply", ())
    with pytest.warns(LerfWarning, match=r"1 of the 3 points of .*sparse_pc\.ply have no position"):
        points = read_points(scene)
    np.testing.assert_array_equal(points.positions, [[1, 2, -3], [-1, 0, 0.25]])
    np.testing.assert_array_equal(points.colours, [[1, 2, 3], [7, 8, 9]])


def test_points_that_are_gone_or_damaged(tmp_path):
    write_capture(tmp_path, transforms(4, ply_file_path="sparse_pc.ply"))
    scene = read_scene(tmp_path)
    assert scene.points_path is None
    assert scene.notes == ("The points of transforms.json, sparse_pc.ply, are not there and not used.",)
    assert read_points(scene) is None
    (tmp_path / "sparse_pc.ply").write_text(PLY[:150])
    with pytest.raises(SceneError, match=r"sparse_pc\.ply cannot be read as a point cloud"):
        read_points(read_scene(tmp_path))


def test_points_are_in_the_frame_of_the_poses(tmp_path):
    """ns-process-data applies one transform to COLMAP's poses and points: a point stays where a photo sees it."""
    applied = np.array([[1.0, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0]])
    point = np.array([0.1, -0.2, 0.3])
    document = transforms(4, applied_transform=applied.tolist(), ply_file_path="sparse_pc.ply")
    before = ring(4)
    for frame, pose in zip(document["frames"], before, strict=True):
        frame["transform_matrix"] = [*(applied[:, :3] @ pose[:3]).tolist(), [0, 0, 0, 1]]
    write_capture(tmp_path, document)
    moved = applied[:, :3] @ point + applied[:, 3]
    header = (
        PLY.split("element")[0] + "element vertex 1\nproperty float x\nproperty float y\nproperty float z\nend_header\n"
    )
    (tmp_path / "sparse_pc.ply").write_text(header + " ".join(f"{value:8f}" for value in moved) + "\n")
    scene = read_scene(tmp_path)
    found = read_points(scene).positions
    for photo, pose in zip(scene.photos, before, strict=True):
        x, y, z = pose[:3, :3].T @ (point - pose[:3, 3])
        expected = [photo.camera.fx * x / -z + photo.camera.cx, photo.camera.fy * -y / -z + photo.camera.cy]
        np.testing.assert_allclose(project(photo.camera, found)[0], expected, atol=1e-4)


def test_mitsubas_cameras_as_instant_ngp_has_them(tmp_path):
    """instant-ngp: columns 1 and 2 change sign, then 0 and 2; its rays go along x right, y down, z forwards."""
    document = transforms(4)
    turned = {**document, "from_mitsuba": True, "frames": []}
    for frame in document["frames"]:
        matrix = np.array(frame["transform_matrix"]) * [-1.0, 1.0, -1.0, 1.0]
        turned["frames"].append({**frame, "transform_matrix": matrix.tolist()})
    for photo, frame in zip(read_scene(write_capture(tmp_path, turned)).photos, turned["frames"], strict=True):
        matrix = np.array(frame["transform_matrix"]) * [1, -1, -1, 1] * [-1, 1, -1, 1]
        points = points_before(photo.camera.camera_to_world)
        x, y, z = ((points - matrix[:3, 3]) @ matrix[:3, :3]).T
        expected = np.stack([10.0 * x / z + 5.5, 11.0 * y / z + 4.5], 1)
        assert np.abs(project(photo.camera, points) - expected).max() < LARGEST_ERROR
    del turned["from_mitsuba"]
    (tmp_path / "other").mkdir()
    again = read_scene(write_capture(tmp_path / "other", {**turned, "normal_mts_args": ["scene.xml"]}))
    np.testing.assert_allclose(again.photos[0].camera.camera_to_world, ring(4)[0][:3], atol=1e-12)


def test_polycams_and_record3ds_converted_captures(tmp_path):
    """process_data of nerfstudio: intrinsics in each frame, `orientation_override`, axes permuted; K's focal length."""
    polycam = {"camera_model": "OPENCV", "orientation_override": "none", "frames": []}
    for number, pose in enumerate(ring(4)):
        frame = {"fl_x": 30.0 + number, "fl_y": 31.0, "cx": 11.5, "cy": 8.25, "w": 24, "h": 18}
        frame |= {"file_path": f"./images/frame_{number + 1:05d}.jpg", "transform_matrix": pose[[2, 0, 1, 3]].tolist()}
        polycam["frames"].append(frame)
    write_transforms(tmp_path / "polycam", polycam)
    write_small(tmp_path / "polycam/images", [f"frame_{number + 1:05d}.jpg" for number in range(4)], (24, 18))
    scene = read_scene(tmp_path / "polycam")
    assert [photo.camera.fx for photo in scene.photos] == [30.0, 31.0, 32.0, 33.0]
    assert scene.metadata["orientation_override"] == "none"
    record3d = {"fl_x": 30.0, "fl_y": 30.0, "cx": 12.0, "cy": 9.0, "w": 24, "h": 18, "camera_model": "OPENCV"}
    frames = [
        {"file_path": f"images/frame_{number + 1:05d}.jpg", "transform_matrix": pose.tolist()}
        for number, pose in enumerate(ring(4))
    ]
    write_transforms(tmp_path / "polycam", {**record3d, "frames": frames})
    again = read_scene(tmp_path / "polycam")
    assert (again.photos[0].camera.cx, again.photos[0].camera.fisheye) == (12.0, False)


def test_a_file_of_another_name_is_found_where_it_is_the_only_one(tmp_path):
    write_capture(tmp_path)
    (tmp_path / "transforms.json").rename(tmp_path / "cameras_of_the_room.json")
    (tmp_path / "base_cam.json").write_text('{"path": [], "time": 1.0}')
    scene = read_scene(tmp_path)
    assert (len(scene.photos), scene.notes, scene.metadata["format"]) == (4, (), "transforms.json")
    write_transforms(tmp_path, transforms(), "transforms_2.json")
    assert find_poses(tmp_path) == []
    with pytest.raises(
        SceneError, match=r"has 2 files that list frames, cameras_of_the_room\.json, transforms_2\.json"
    ):
        read_scene(tmp_path)


def test_a_capture_inside_a_folder_is_read_and_told(tmp_path):
    write_capture(tmp_path / "project/data")
    (tmp_path / "project/notes.txt").touch()
    scene = read_scene(tmp_path / "project")
    assert scene.root == tmp_path / "project/data"
    assert scene.notes == (
        f"{tmp_path / 'project'} holds no capture itself: that in {tmp_path / 'project/data'} is read.",
    )
    write_capture(tmp_path / "project/old")
    with pytest.raises(SceneError, match="holds 2 captures, data, old: give one of them"):
        read_scene(tmp_path / "project")
    save(tmp_path / "project/0.png", picture(12, 8))
    save(tmp_path / "project/1.png", picture(12, 8))
    with pytest.raises(SceneError, match="holds photos without poses"):
        read_scene(tmp_path / "project")


def test_an_orthographic_camera_is_refused_by_name(tmp_path):
    write_capture(tmp_path, transforms(orthographic=True))
    with pytest.raises(SceneError, match="has orthographic, rays that do not meet, which is not supported"):
        read_scene(tmp_path)


def test_a_usual_capture_is_silent(tmp_path):
    write_capture(tmp_path, transforms(COUNT, ply_file_path=None, from_mitsuba=False))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_scene(tmp_path)
