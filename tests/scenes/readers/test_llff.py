"""LLFF's poses_bounds.npy: axes down, right, backwards, and photos that it does not name."""

import numpy as np
import pytest
from posed_samples import LARGEST_ERROR, points_before, project, write_small
from scene_files import colmap_images, look_at, ring, write_colmap_binary

from lerf.errors import SceneError
from lerf.scenes.load import find_poses, read_scene

SIZE, FOCAL = (36, 24), 30.5
COUNT = 6


def rows(poses=None, size=SIZE):
    """As its README says: columns down, right, backwards, position, then height, width, focal; then the depths."""
    made = []
    for number, pose in enumerate(poses or ring(COUNT)):
        right, up, backwards, position = pose[:3].T
        matrix = np.column_stack([-up, right, backwards, position, [size[1], size[0], FOCAL]])
        made.append([*matrix.ravel(), 0.5 + number, 20.0])
    return np.array(made)


def write(folder, array, photos=COUNT, place="images", size=SIZE, ending="JPG"):
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "poses_bounds.npy", array)
    write_small(folder / place, [f"IMG_{number:04d}.{ending}" for number in range(photos)], size)
    return folder


def test_a_point_lands_where_nerfs_rays_come_from(tmp_path):
    """A ray of column i, row j leaves along right * (i - W / 2) / f + down * (j - H / 2) / f - backwards."""
    array = rows([look_at((2, 0.3 * number, 1.0), (0, 0.1 * number, 0)) for number in range(COUNT)])
    for photo, row in zip(read_scene(write(tmp_path, array)).photos, array, strict=True):
        matrix = row[:15].reshape(3, 5)
        points = points_before(photo.camera.camera_to_world)
        found = project(photo.camera, points)
        across, along = ((found - np.array(SIZE) / 2) / FOCAL).T
        rays = np.outer(across, matrix[:, 1]) + np.outer(along, matrix[:, 0]) - matrix[:, 2]
        depths = (matrix[:, 3] - points) @ matrix[:, 2]
        missed = matrix[:, 3] + rays * depths[:, None] - points
        assert np.abs(missed).max() * FOCAL / depths.min() < LARGEST_ERROR


def test_photos_are_the_sorted_files_and_bounds_are_kept(tmp_path):
    scene = read_scene(write(tmp_path, rows()))
    assert [photo.name for photo in scene.photos] == [f"images/IMG_{number:04d}.JPG" for number in range(COUNT)]
    assert scene.metadata["bounds"]["images/IMG_0003.JPG"] == [3.5, 20.0]
    assert scene.notes == ()
    assert [reader.name for reader, _ in find_poses(tmp_path / "poses_bounds.npy")] == ["llff"]
    assert read_scene(tmp_path / "poses_bounds.npy").photos[0].path == scene.photos[0].path


def test_reductions_are_used_and_stand_in_for_photos(tmp_path):
    full = (720, 480)
    write(tmp_path, rows(size=full), size=full)
    write_small(tmp_path / "images_4", [f"image{number:03d}.png" for number in range(COUNT)], (180, 120))
    assert read_scene(tmp_path, downscale=1).photos[0].path.name == "IMG_0000.JPG"
    alone = write(tmp_path / "alone", rows(size=full), place="images_4", size=(180, 120), ending="png")
    write_small(alone / "images_8", [f"IMG_{number:04d}.png" for number in range(COUNT)], (90, 60))
    scene = read_scene(alone, downscale=1)
    assert scene.photos[0].path == alone / "images_4/IMG_0000.png"
    assert (scene.photos[0].camera.width, scene.photos[0].camera.fx) == (180, FOCAL / 4)
    assert scene.notes == (f"{alone} has no folder images: the photos are those of images_4.",)


@pytest.mark.parametrize(("photos", "hint"), [(5, "LLFF has one pose for each"), (8, "LLFF has one pose for each")])
def test_another_number_of_photos_is_refused(tmp_path, photos, hint):
    write(tmp_path, rows(), photos)
    with pytest.raises(SceneError, match=rf"has 6 poses without names, and .*images has {photos} photos .*{hint}"):
        read_scene(tmp_path)
    write_small(tmp_path / "images_2", [f"image{number:03d}.png" for number in range(COUNT)], (18, 12))
    with pytest.raises(SceneError, match="where images_2 has 6: remove those without a pose"):
        read_scene(tmp_path)


def test_films_of_a_scene_that_moves_are_named(tmp_path):
    write(tmp_path, rows(), 0)
    with pytest.raises(SceneError, match="has no folder images: put its photos there"):
        read_scene(tmp_path)
    for number in range(COUNT):
        (tmp_path / f"cam{number:02d}.mp4").touch()
    with pytest.raises(SceneError, match=r"films, cam00\.mp4, .* of a scene that moves, which is not supported"):
        read_scene(tmp_path)


def test_a_whole_colmap_model_goes_first_and_a_part_of_one_does_not(tmp_path):
    names = [f"IMG_{number:04d}.JPG" for number in range(COUNT)]
    camera = {1: ("SIMPLE_PINHOLE", *SIZE, [FOCAL, 18.0, 12.0])}
    write_colmap_binary(write(tmp_path, rows()) / "sparse/0", camera, colmap_images(COUNT, names))
    scene = read_scene(tmp_path)
    assert (scene.metadata["format"], scene.notes) == ("colmap", ())
    own = read_scene(tmp_path / "poses_bounds.npy")
    for first, second in zip(scene.photos, own.photos, strict=True):
        np.testing.assert_allclose(first.camera.camera_to_world, second.camera.camera_to_world, atol=1e-12)
    (tmp_path / "sparse/0/images.bin").unlink()
    assert read_scene(tmp_path).metadata["format"] == "llff"


def test_one_pose_of_many_is_none(tmp_path):
    array = rows()
    array[4, 7] = np.nan
    write(tmp_path, array)
    with pytest.raises(SceneError, match=r"IMG_0004\.JPG contains NaN"):
        read_scene(tmp_path)
    assert len(read_scene(tmp_path, missing="skip").photos) == COUNT - 1


BROKEN = {
    "too few columns": (rows()[:, :15], r"array of shape \[6, 15\] and not rows of 17"),
    "one row": (rows()[0], r"array of shape \[17\]"),
    "no size": (rows() * np.where(np.arange(17) == 4, 0.0, 1.0), "picture size"),
    "no rotation": (rows() * np.where(np.arange(17) == 0, 3.0, 1.0), "not a rotation"),
    "words": (np.full((6, 17), "a"), "no plain numbers"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_arrays_that_cannot_be(tmp_path, case):
    array, said = BROKEN[case]
    write(tmp_path, array)
    with pytest.raises(SceneError, match=said):
        read_scene(tmp_path)


def test_a_pickle_is_never_opened(tmp_path):
    write(tmp_path, rows())
    np.save(tmp_path / "poses_bounds.npy", np.array([[print] * 17] * 6, object), allow_pickle=True)
    with pytest.raises(SceneError, match="no plain numbers"):
        read_scene(tmp_path)
    (tmp_path / "poses_bounds.npy").write_bytes(b"\x93NUMPY\x01\x00")
    with pytest.raises(SceneError, match="its header is damaged"):
        read_scene(tmp_path)
