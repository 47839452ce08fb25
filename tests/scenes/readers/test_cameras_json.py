"""Gaussian splatting's cameras.json: the trainer's conventions, and photos that lie elsewhere than the file."""

import json
import math

import numpy as np
import pytest
from posed_samples import LARGEST_ERROR, points_before, project, write_small
from scene_files import colmap_images, look_at, picture, ring, save, write_colmap_binary

from lerf.errors import SceneError
from lerf.scenes.load import find_poses, read_scene

SIZE = (36, 24)
FOCAL = (30.0, 31.5)
NAMES = [f"{number:04d}" for number in range(5)]


def entries(names=NAMES, poses=None):
    """As `camera_to_JSON` writes: the inverse of world to camera, rows of its rotation, and the camera's centre."""
    listed = []
    for number, (name, pose) in enumerate(zip(names, poses or ring(len(names)), strict=True)):
        rotation = (pose[:3, :3] * [1, -1, -1]).tolist()
        listed.append(
            {"id": number, "img_name": name, "width": SIZE[0], "height": SIZE[1], "position": pose[:3, 3].tolist(),
             "rotation": rotation, "fy": FOCAL[1], "fx": FOCAL[0]}
        )  # fmt: skip
    return listed


def write(folder, listed, place="cameras.json"):
    (folder / place).parent.mkdir(parents=True, exist_ok=True)
    (folder / place).write_text(json.dumps(listed))


def photos(folder, names=NAMES, ending=".png"):
    write_small(folder, [f"{name}{ending}" for name in names], SIZE)


def test_a_point_lands_where_the_rasteriser_has_it(tmp_path):
    """Fields of view, a symmetric projection, and `ndc2Pix`, by which pixel centres are at whole numbers."""
    poses = [look_at((2, 0.1 * number, 1 - 0.3 * number), (0.1, 0, 0.2 * number)) for number in range(5)]
    listed = entries(poses=poses)
    write(tmp_path, listed)
    photos(tmp_path / "images")
    for photo, entry in zip(read_scene(tmp_path).photos, listed, strict=True):
        points = points_before(photo.camera.camera_to_world)
        local = (points - entry["position"]) @ np.array(entry["rotation"])
        expected = []
        for axis, (size, focal) in enumerate(zip(SIZE, FOCAL, strict=True)):
            device = local[:, axis] / local[:, 2] / math.tan(math.atan(size / (2 * focal)))
            expected.append(((device + 1.0) * size - 1.0) * 0.5)
        found = project(photo.camera, points) - 0.5
        assert np.abs(found - np.stack(expected, 1)).max() < LARGEST_ERROR


@pytest.mark.parametrize(
    "place", ["cameras.json", "output/cameras.json", "output/1b2c/cameras.json", "model/cameras.json"]
)
def test_the_file_is_found_in_a_capture_and_photos_from_the_file(tmp_path, place):
    write(tmp_path, entries(), place)
    photos(tmp_path / "images", ending=".jpg")
    scene = read_scene(tmp_path)
    assert [photo.name for photo in scene.photos] == [f"images/{name}.jpg" for name in NAMES]
    assert scene.notes == ()
    assert scene.metadata["format"] == "cameras.json"
    for given in (tmp_path / place, (tmp_path / place).parent):
        again = read_scene(given)
        assert [photo.path for photo in again.photos] == [photo.path for photo in scene.photos]
        assert len(again.notes) == (place != "cameras.json")


def test_the_trainers_note_of_where_the_photos_are(tmp_path):
    photos(tmp_path / "a/deep/capture/images")
    write(tmp_path / "results/run", entries())
    (tmp_path / "results/run/cfg_args").write_text(
        f"Namespace(data_device='cuda', eval=True, images='images', source_path='{tmp_path / 'a/deep/capture'}')"
    )
    scene = read_scene(tmp_path / "results/run")
    assert scene.root == tmp_path / "a/deep/capture"
    assert "are looked for in" in scene.notes[0]


def test_names_with_extensions_and_in_the_folder_itself(tmp_path):
    """As OpenSplat writes them, and an app that puts photos beside the file."""
    write(tmp_path, entries([f"frame_{number:05d}.jpg" for number in range(5)]))
    write_small(tmp_path, [f"frame_{number:05d}.jpg" for number in range(5)], SIZE)
    assert [photo.name for photo in read_scene(tmp_path).photos][:2] == ["frame_00000.jpg", "frame_00001.jpg"]


def test_names_cut_at_a_full_stop(tmp_path):
    write(tmp_path, entries([f"v{number}" for number in range(5)]))
    photos(tmp_path / "images", [f"v{number}.frame.final" for number in range(5)])
    scene = read_scene(tmp_path)
    assert [photo.path.name for photo in scene.photos] == [f"v{number}.frame.final.png" for number in range(5)]
    assert scene.notes == ("5 names of cameras.json are cut at a full stop: v0.frame.final.png is taken for v0.",)
    write(tmp_path, entries(["DJI"] * 5))
    photos(tmp_path / "images", [f"DJI.{number}" for number in range(5)])
    with pytest.raises(SceneError, match=r"DJI may be .*DJI\.0\.png or .*DJI\.1\.png, as the trainer cuts names"):
        read_scene(tmp_path)


def test_reductions_alone(tmp_path):
    write(tmp_path, entries())
    write_small(tmp_path / "images_2", [f"{name}.png" for name in NAMES], (SIZE[0] // 2, SIZE[1] // 2))
    scene = read_scene(tmp_path, downscale=2)
    assert scene.photos[0].path == tmp_path / "images_2/0000.png"
    assert (scene.photos[0].camera.width, scene.photos[0].camera.cx) == (18, 9.0)


def test_beside_the_model_it_was_made_from_it_is_no_news(tmp_path):
    """The layout of Gaussian splatting: input, distorted, images, sparse/0, and the trainer's result."""
    images = colmap_images(5, [f"{name}.png" for name in NAMES])
    camera = {1: ("PINHOLE", *SIZE, [*FOCAL, 18.0, 12.0])}
    write_colmap_binary(tmp_path / "sparse/0", camera, images)
    write_colmap_binary(
        tmp_path / "distorted/sparse/0", {1: ("OPENCV", 40, 28, [31, 32, 20, 14, 0.01, 0, 0, 0])}, images
    )
    write(tmp_path, entries(), "output/1b2c/cameras.json")
    photos(tmp_path / "images")
    for number, name in enumerate(NAMES):
        save(tmp_path / f"input/{name}.png", picture(40, 28, number))
    assert [reader.name for reader, _ in find_poses(tmp_path)] == ["colmap", "cameras.json"]
    scene = read_scene(tmp_path)
    assert scene.metadata["format"] == "colmap"
    assert scene.photos[0].path == tmp_path / "images/0000.png"
    assert len(scene.notes) == 1
    assert "sparse/0 with 5 photos is used" in scene.notes[0]
    own = read_scene(tmp_path / "output/1b2c")
    for first, second in zip(scene.photos, own.photos, strict=True):
        np.testing.assert_allclose(first.camera.camera_to_world, second.camera.camera_to_world, atol=1e-12)
        assert (first.camera.fx, first.camera.cx, first.camera.cy) == (
            second.camera.fx,
            second.camera.cx,
            second.camera.cy,
        )


def test_one_pose_that_is_none(tmp_path):
    listed = entries()
    listed[2]["rotation"][1][1] = math.nan
    write(tmp_path, listed)
    photos(tmp_path / "images")
    with pytest.raises(SceneError, match=r"0002\.png contains NaN or infinity.*--missing skip leaves it out"):
        read_scene(tmp_path)
    scene = read_scene(tmp_path, missing="skip")
    assert len(scene.photos) == 4
    assert "1 of 5 photos, whose pose cannot be used, are left out: images/0002.png." in scene.notes


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"rotation": [[1, 0], [0, 1]]}, r"Entry 1 of .*length >= 3.*rotation"),
        ({"position": [1, 2]}, r"Entry 1 of .*position"),
        ({"width": "wide"}, r"Entry 1 of .*width"),
        ({"width": 10.5}, "picture size"),
        ({"fx": -3.0}, "focal length"),
        ({"img_name": ""}, "Entry 1 of .* has no img_name"),
        ({"img_name": 7}, r"Entry 1 of .*img_name"),
    ],
)
def test_entries_that_cannot_be(tmp_path, change, said):
    listed = entries()
    listed[1].update(change)
    write(tmp_path, listed)
    photos(tmp_path / "images")
    with pytest.raises(SceneError, match=said):
        read_scene(tmp_path)


def test_another_cameras_json_is_left_alone(tmp_path):
    """OpenDroneMap's is an object of camera models."""
    write(tmp_path, {"v2 dji fc300x 4000": {"projection_type": "brown", "width": 4000}})
    assert find_poses(tmp_path) == []
