"""COLMAP models: binary and text load equal, conventions, folders, and files that cannot be used."""

import numpy as np
import pytest
import torch
from scene_files import colmap_images, picture, ring, save, write_colmap_binary, write_colmap_text
from scipy.spatial.transform import Rotation

from lerf.errors import SceneError
from lerf.geometry.camera_table import CameraTable
from lerf.scenes import load_scene

CAMERAS = {
    1: ("SIMPLE_PINHOLE", 12, 8, [10.0, 6.0, 4.0]),
    2: ("PINHOLE", 12, 8, [10.0, 11.0, 5.5, 4.5]),
    3: ("SIMPLE_RADIAL", 12, 8, [10.0, 6.0, 4.0, 0.01]),
    5: ("RADIAL", 12, 8, [10.0, 6.0, 4.0, 0.01, 0.02]),
    8: ("OPENCV", 9, 14, [10.0, 11.0, 5.0, 7.5, 0.01, 0.02, 0.003, 0.004]),
    9: ("OPENCV_FISHEYE", 12, 8, [10.0, 11.0, 5.5, 4.5, 0.01, 0.02, 0.03, 0.04]),
}


def posed(count, names=None):
    return colmap_images(count, names or [f"sub folder/{number}.png" for number in range(count)], tuple(CAMERAS))


def write_photos(folder, images):
    for number, (_, _, _, camera, name) in enumerate(images):
        _, width, height, _ = CAMERAS[camera]
        save(folder / name, picture(width, height, number))


def same(left, right):
    assert (left.train, left.test) == (right.train, right.test)
    for ours, theirs in zip(left.photos, right.photos, strict=True):
        assert ours.name == theirs.name
        assert ours.original_size == theirs.original_size
        np.testing.assert_array_equal(ours.camera.camera_to_world, theirs.camera.camera_to_world)
        for entry in ("width", "height", "fx", "fy", "cx", "cy", "distortion", "fisheye"):
            assert getattr(ours.camera, entry) == getattr(theirs.camera, entry)


def test_binary_and_text_load_equal(tmp_path):
    images = posed(9)
    for kind, write in (("binary", write_colmap_binary), ("text", write_colmap_text)):
        write(tmp_path / kind / "sparse/0", CAMERAS, list(reversed(images)))
        write_photos(tmp_path / kind / "images", images)
    binary, text = load_scene(tmp_path / "binary"), load_scene(tmp_path / "text")
    same(binary, text)
    assert [photo.name for photo in binary.photos] == [f"images/sub folder/{i}.png" for i in range(9)]
    assert binary.test == (0, 8)
    for number, pose in enumerate(ring(9)):
        np.testing.assert_allclose(binary.photos[number].camera.camera_to_world, pose[:3], atol=1e-12)
        _, width, height, _ = CAMERAS[images[number][3]]
        np.testing.assert_array_equal(binary.pixels(number), picture(width, height, number))


def test_models(tmp_path):
    images = posed(6)
    write_colmap_text(tmp_path / "sparse", CAMERAS, images)
    write_photos(tmp_path / "images", images)
    cameras = [photo.camera for photo in load_scene(tmp_path).photos]
    assert [(camera.fx, camera.fy, camera.cx, camera.cy) for camera in cameras[:2]] == [
        (10.0, 10.0, 6.0, 4.0),
        (10.0, 11.0, 5.5, 4.5),
    ]
    assert [camera.distortion for camera in cameras] == [
        (0, 0, 0, 0, 0, 0),
        (0, 0, 0, 0, 0, 0),
        (0.01, 0, 0, 0, 0, 0),
        (0.01, 0.02, 0, 0, 0, 0),
        (0.01, 0.02, 0, 0, 0.003, 0.004),
        (0.01, 0.02, 0.03, 0.04, 0, 0),
    ]
    assert [camera.fisheye for camera in cameras] == [False] * 5 + [True]


def test_world_point_lands_where_colmap_says(tmp_path):
    images = posed(6)
    write_colmap_binary(tmp_path / "colmap/sparse/0", CAMERAS, images)
    write_photos(tmp_path / "images", images)
    scene = load_scene(tmp_path)
    point = np.array([0.1, -0.2, 0.15])
    _, (w, x, y, z), translation, _, _ = images[1]
    local = Rotation.from_quat([x, y, z, w]).apply(point) + translation
    fx, fy, cx, cy = CAMERAS[2][3]
    expected = [fx * local[0] / local[2] + cx, fy * local[1] / local[2] + cy]
    table = CameraTable.from_cameras([scene.normalised_camera(i) for i in range(6)])
    normalised = torch.tensor(scene.similarity.apply_points(point[None]), dtype=torch.float32)
    pixels, depth = table.project(1, normalised)
    np.testing.assert_allclose(pixels[0], expected, atol=1e-4)
    np.testing.assert_allclose(depth[0] / scene.similarity.scale, local[2], rtol=1e-5)


@pytest.mark.parametrize("where", ["sparse/0", "sparse", "colmap/sparse/0"])
def test_the_model_folder_itself(tmp_path, where):
    images = posed(6)
    write_colmap_binary(tmp_path / where, CAMERAS, images)
    write_photos(tmp_path / "images", images)
    same(load_scene(tmp_path / where), load_scene(tmp_path))
    same(load_scene(tmp_path / where / "cameras.bin"), load_scene(tmp_path))


def test_photos_beside_the_model(tmp_path):
    images = posed(6)
    write_colmap_text(tmp_path, CAMERAS, images)
    write_photos(tmp_path, images)
    assert load_scene(tmp_path).photos[0].path == tmp_path / "sub folder/0.png"


def test_cut_off_binary(tmp_path):
    images = posed(4)
    for name in ("cameras.bin", "images.bin"):
        write_colmap_binary(tmp_path, CAMERAS, images)
        whole = (tmp_path / name).read_bytes()
        for length in (0, 7, 30, len(whole) // 2, len(whole) - 1):
            (tmp_path / name).write_bytes(whole[:length])
            with pytest.raises(SceneError, match=f"{name} is cut off"):
                load_scene(tmp_path)


def test_broken_text(tmp_path):
    write_colmap_text(tmp_path, CAMERAS, posed(4))
    for name, line in (
        ("images.txt", "1 a b\n"),
        ("images.txt", "1 1 0 0 0 0 0 0 1\n"),
        ("cameras.txt", "1 PINHOLE\n"),
    ):
        write_colmap_text(tmp_path, CAMERAS, posed(4))
        (tmp_path / name).write_text(line)
        with pytest.raises(SceneError, match="export it again"):
            load_scene(tmp_path)


def test_incomplete_models(tmp_path):
    write_colmap_text(tmp_path, CAMERAS, posed(4))
    (tmp_path / "images.txt").unlink()
    with pytest.raises(SceneError, match=r"images\.txt cannot be read"):
        load_scene(tmp_path)
    write_colmap_text(tmp_path, {1: CAMERAS[1]}, posed(4))
    with pytest.raises(SceneError, match="uses camera 2, which"):
        load_scene(tmp_path)
    write_colmap_text(tmp_path, CAMERAS, [])
    with pytest.raises(SceneError, match="lists no photos"):
        load_scene(tmp_path)
    images = posed(4)
    images[1][1][:] = [0.0, 0.0, 0.0, 0.0]
    write_colmap_text(tmp_path, CAMERAS, images)
    with pytest.raises(SceneError, match=r"1\.png contains NaN or infinity"):
        load_scene(tmp_path)
