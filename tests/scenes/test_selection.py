"""Which listed photos are used, and what is said of those without a file, without a pose, or at one place."""

import shutil
import warnings

import pytest
from scene_files import picture, ring, save, transforms, write_capture, write_transforms

from lerf.errors import LerfWarning, SceneError
from lerf.scenes import load_scene
from lerf.scenes.load import read_scene

COUNT = 12


def gone(folder, numbers, count=COUNT):
    write_capture(folder, transforms(count))
    for number in numbers:
        (folder / f"images/{number:04d}.png").unlink()
    return folder


def test_poses_without_a_photo_are_refused_with_three_names_or_skipped_with_a_count(tmp_path):
    gone(tmp_path, (1, 4, 8, 9))
    with pytest.raises(SceneError) as refused:
        load_scene(tmp_path)
    said = str(refused.value)
    assert "4 of the 12 photos are not where the capture" in said
    assert "images/0001.png, images/0004.png, images/0008.png, ..." in said
    assert "--missing skip leaves them out" in said
    with pytest.warns(LerfWarning, match=r"4 of 12 photos, whose file is not there, are left out: images/0001\.png, "):
        scene = load_scene(tmp_path, missing="skip")
    assert [photo.name for photo in scene.photos] == [f"images/{n:04d}.png" for n in (0, 2, 3, 5, 6, 7, 10, 11)]
    assert scene.test == (0,)


def test_a_split_keeps_to_the_photos_that_are_left(tmp_path):
    document = transforms(COUNT, test_filenames=["images/0001.png", "images/0005.png"])
    write_capture(tmp_path, document)
    (tmp_path / "images/0001.png").unlink()
    scene = read_scene(tmp_path, missing="skip")
    assert [scene.photos[index].name for index in scene.test] == ["images/0005.png"]
    assert len(scene.train) == COUNT - 2


@pytest.mark.parametrize("left", [0, 1])
def test_nothing_is_learnt_from_fewer_than_two_photos(tmp_path, left):
    gone(tmp_path, range(left, COUNT))
    with pytest.raises(SceneError, match=f"{left} of the 12 photos .* can be used: {COUNT - left} are not there"):
        read_scene(tmp_path, missing="skip")


def test_photos_without_a_pose_are_counted(tmp_path):
    write_capture(tmp_path, transforms(COUNT))
    for number in range(3):
        save(tmp_path / f"images/extra {number}.jpg", picture(12, 8, number))
    scene = read_scene(tmp_path)
    assert scene.notes == (
        "3 of 15 photos have no pose and are not used: images/extra 0.jpg, images/extra 1.jpg, images/extra 2.jpg.",
    )
    assert scene.metadata["photos_without_pose"] == 3


def test_under_a_third_is_the_first_warning(tmp_path):
    """Three photos of 295 must not train in silence."""
    write_capture(tmp_path, transforms(3, ply_file_path="sparse_pc.ply"))
    save(tmp_path / "images/0.png", picture(12, 8))
    for number in range(1, 292):
        shutil.copyfile(tmp_path / "images/0.png", tmp_path / f"images/{number}.png")
    scene = read_scene(tmp_path)
    assert scene.notes[0].startswith("Only 3 of the 295 photos in")
    assert "a small part of what was taken. Estimate poses again" in scene.notes[0]
    assert len(scene.notes) == 2


BESIDE = [
    "images_2/0001.png", "images_8/0001.png", "masks/0001.png", "depth/0001.png", "normals/0001.png", "thumbnail.jpg",
    "images/0001_depth.png", "images/0001.mask.png", "images/0001.jpg", "images/0001.png.png", "depths/extra.png",
    "colmap/extra.png", "sparse/0/extra.png",
]  # fmt: skip
"""Pictures of the usual layouts that are no photos without a pose."""


@pytest.mark.parametrize("name", BESIDE)
def test_pictures_beside_photos_raise_no_alarm(tmp_path, name):
    write_capture(tmp_path, transforms(COUNT))
    save(tmp_path / name, picture(12, 8, 1))
    assert not any("pose" in note for note in read_scene(tmp_path).notes)


def test_photos_of_other_cameras_are_counted(tmp_path):
    document = transforms(COUNT)
    for frame in document["frames"]:
        frame["file_path"] = frame["file_path"].replace("images/", "images/left/")
    write_capture(tmp_path, document)
    save(tmp_path / "images/right/0001.png", picture(12, 8, 1))
    assert read_scene(tmp_path).notes[0].startswith("1 of 13 photos have no pose and are not used: images/right/0001")


def test_several_photos_at_each_place_are_told(tmp_path):
    """Films of cameras that stand, cut into frames."""
    poses = ring(4)
    document = transforms(COUNT)
    for number, frame in enumerate(document["frames"]):
        frame["transform_matrix"] = poses[number % 4].tolist()
    write_capture(tmp_path, document)
    with pytest.warns(LerfWarning, match="12 photos were taken from 4 places, several at each: the scene is taken to"):
        load_scene(tmp_path)
    for frame, pose in zip(document["frames"][:7], ring(7, height=0.9), strict=True):
        frame["transform_matrix"] = pose.tolist()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_scene(write_transforms(tmp_path, document))
