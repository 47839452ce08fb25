"""Photos are found where pose files of other machines and programs say, in every format alike."""

import os
import shutil
import time
import unicodedata
import warnings

import numpy as np
import pytest
from scene_files import (
    colmap_images,
    picture,
    save,
    transforms,
    write_capture,
    write_colmap_binary,
    write_colmap_text,
    write_transforms,
)

from lerf.errors import LerfWarning, SceneError
from lerf.scenes import load_scene
from lerf.scenes.finder import PhotoFinder
from lerf.scenes.load import read_scene

CAMERAS = {1: ("PINHOLE", 12, 8, [10.0, 11.0, 5.5, 4.5])}
COUNT = 5


def write_poses(folder, form, names):
    """A capture that states `names` for its photos."""
    if form == "transforms.json":
        document = transforms(len(names))
        for frame, name in zip(document["frames"], names, strict=True):
            frame["file_path"] = name
        write_transforms(folder, document)
    else:
        write = write_colmap_text if form == "text" else write_colmap_binary
        write(folder / "sparse/0", CAMERAS, colmap_images(len(names), names))


def photos(folder, names):
    for number, name in enumerate(names):
        save(folder / name, picture(12, 8, number))


def check(scene, folder, names):
    assert [photo.path for photo in scene.photos] == [folder / name for name in names]
    for number in range(len(names)):
        np.testing.assert_array_equal(scene.pixels(number), picture(12, 8, number))


FORMS = ["transforms.json", "text", "binary"]
PLAIN = [f"images/{number:04d}.png" for number in range(COUNT)]
SILENT = {
    "with the folder": (PLAIN, PLAIN),
    "backslashes": ([f"images\\cam 1\\{i}.png" for i in range(COUNT)], [f"images/cam 1/{i}.png" for i in range(COUNT)]),
    "a dot": ([f"./images/{i}.png" for i in range(COUNT)], [f"images/{i}.png" for i in range(COUNT)]),
    "decomposed": (
        [unicodedata.normalize("NFD", f"images/é{i}.png") for i in range(COUNT)],
        [f"images/é{i}.png" for i in range(COUNT)],
    ),
    "composed": (
        [f"images/ü{i}.png" for i in range(COUNT)],
        [unicodedata.normalize("NFD", f"images/ü{i}.png") for i in range(COUNT)],
    ),
    "spaces": (
        [f"images/my photo {i} .png" for i in range(COUNT)],
        [f"images/my photo {i} .png" for i in range(COUNT)],
    ),
    "no extension": ([f"images/{i:04d}" for i in range(COUNT)], [f"images/{i:04d}.png" for i in range(COUNT)]),
    "case": ([f"images/IMG_{i}.PNG" for i in range(COUNT)], [f"images/img_{i}.png" for i in range(COUNT)]),
}
TOLD = {
    "another machine": (
        [f"/home/me/capture/images/{i}.png" for i in range(COUNT)], [f"images/{i}.png" for i in range(COUNT)],
    ),
    "a Windows machine": (
        [f"C:\\Users\\me\\capture\\images\\{i}.png" for i in range(COUNT)], [f"images/{i}.png" for i in range(COUNT)],
    ),
    "another folder": ([f"images/{i}.png" for i in range(COUNT)], [f"photos/day 1/{i}.png" for i in range(COUNT)]),
    "another format": ([f"images/{i}.tiff" for i in range(COUNT)], [f"images/{i}.png" for i in range(COUNT)]),
    "case of the folder": ([f"Images/{i}.png" for i in range(COUNT)], [f"images/{i}.png" for i in range(COUNT)]),
    "folders above": (
        [f"../../data/scan/images/{i}.png" for i in range(COUNT)], [f"images/{i}.png" for i in range(COUNT)],
    ),
    "up and down again": (
        [f"poses/../images/{i}.png" for i in range(COUNT)], [f"images/{i}.png" for i in range(COUNT)],
    ),
    "mixed slashes": ([f"./uploads\\images/{i}.png" for i in range(COUNT)], [f"images/{i}.png" for i in range(COUNT)]),
    "one extension more": ([f"images/{i}.png" for i in range(COUNT)], [f"images/{i}.png.png" for i in range(COUNT)]),
    "one extension less": ([f"images/{i}.JPG.png" for i in range(COUNT)], [f"images/{i}.png" for i in range(COUNT)]),
    "no extension, and two": (
        [f"images/{i:04d}" for i in range(COUNT)], [f"images/{i:04d}.jpg.png" for i in range(COUNT)],
    ),
    "the longest tail": (
        [f"/data/{i % 2}/{i // 2}.png" for i in range(COUNT)], [f"rig/{i % 2}/{i // 2}.png" for i in range(COUNT)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("case", SILENT)
def test_the_same_file_under_another_spelling(tmp_path, form, case):
    stated, there = SILENT[case]
    write_poses(tmp_path, form, stated)
    photos(tmp_path, there)
    check(load_scene(tmp_path), tmp_path, there)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("case", TOLD)
def test_a_file_elsewhere_is_told(tmp_path, form, case):
    stated, there = TOLD[case]
    write_poses(tmp_path, form, stated)
    photos(tmp_path, there)
    with pytest.warns(LerfWarning, match=rf"{COUNT} files are not where the capture says .*: {there[0]} is taken for"):
        scene = load_scene(tmp_path)
    if case == "the longest tail":
        assert {photo.path for photo in scene.photos} == {tmp_path / name for name in there}
    else:
        check(scene, tmp_path, there)


@pytest.mark.parametrize("form", FORMS)
def test_two_candidates_are_refused_by_name(tmp_path, form):
    write_poses(tmp_path, form, [f"/data/{i}.png" for i in range(COUNT)])
    for folder in ("left", "right"):
        photos(tmp_path, [f"{folder}/{i}.png" for i in range(COUNT)])
    with pytest.raises(SceneError, match=r"may be .*left/0\.png or .*right/0\.png: keep one"):
        load_scene(tmp_path)


def test_a_missing_photo_is_not_replaced_by_a_namesake(tmp_path):
    write_capture(tmp_path, transforms(COUNT))
    (tmp_path / "renders").mkdir()
    (tmp_path / "images/0003.png").rename(tmp_path / "renders/0003.png")
    with pytest.raises(
        SceneError, match=r"images/0003\.png is missing while others .* or put renders/0003\.png in its .* skip leaves"
    ):
        load_scene(tmp_path)
    scene = read_scene(tmp_path, missing="skip")
    assert [photo.name for photo in scene.photos] == [f"images/{number:04d}.png" for number in (0, 1, 2, 4)]
    assert scene.notes == ("1 of 5 photos, whose file is not there, are left out: images/0003.png.",)


def test_a_namesake_is_no_mask_either(tmp_path):
    document = transforms(COUNT)
    for number, frame in enumerate(document["frames"]):
        frame["mask_path"] = f"masks/{number:04d}.png"
    write_capture(tmp_path, document)
    for number in (0, 1, 2, 4):
        save(tmp_path / f"masks/{number:04d}.png", np.full((8, 12), 255, np.uint8))
    save(tmp_path / "old/masks/0003.png", np.full((8, 12), 255, np.uint8))
    for missing in ("refuse", "skip"):
        with pytest.raises(SceneError, match=r"masks/0003\.png is missing while others .* put old/masks/0003\.png in"):
            read_scene(tmp_path, missing=missing)


def test_a_photo_in_another_format_in_the_same_folder_is_taken(tmp_path):
    write_capture(tmp_path, transforms(COUNT))
    (tmp_path / "images/0003.png").rename(tmp_path / "images/0003.bmp")
    scene = read_scene(tmp_path)
    assert scene.photos[3].path == tmp_path / "images/0003.bmp"
    assert "One file is not where the capture says" in scene.notes[0]


def test_a_pose_file_in_a_folder_beside_that_of_the_photos(tmp_path):
    write_poses(tmp_path / "poses", "transforms.json", [f"../images/{i}.png" for i in range(COUNT)])
    photos(tmp_path, [f"images/{i}.png" for i in range(COUNT)])
    scene = load_scene(tmp_path / "poses")
    assert [photo.path.resolve() for photo in scene.photos] == [tmp_path / f"images/{i}.png" for i in range(COUNT)]


def test_the_same_extension_elsewhere_goes_before_another_one(tmp_path):
    write_poses(tmp_path, "transforms.json", [f"images/{i}.png" for i in range(COUNT)])
    photos(tmp_path, [f"images/{i}.bmp" for i in range(COUNT)])
    photos(tmp_path, [f"photos/{i}.png" for i in range(COUNT)])
    assert read_scene(tmp_path).photos[0].path == tmp_path / "photos/0.png"


@pytest.mark.parametrize("folder", ["masks", "images_8", "depths", "labels", "sky_mask"])
def test_files_beside_photos_are_never_taken_for_them(tmp_path, folder):
    write_poses(tmp_path, "transforms.json", [f"images/{i}.png" for i in range(COUNT)])
    photos(tmp_path, [f"{folder}/{i}.png" for i in range(COUNT)])
    with pytest.raises(
        SceneError, match=r"Each of the 5 photos is missing from where .*images/0\.png, images/1\.png, images/2\.png"
    ):
        load_scene(tmp_path)


def test_a_photo_is_never_taken_for_its_mask(tmp_path):
    document = transforms(COUNT)
    document["frames"][1]["mask_path"] = "masks/0001.png"
    write_capture(tmp_path, document)
    with pytest.raises(SceneError, match=r"Mask .*masks/0001\.png is missing"):
        load_scene(tmp_path)


@pytest.mark.parametrize(("form", "remedy"), [("transforms.json", "remove their entries"), ("text", "image_deleter")])
def test_the_cause_decides_the_remedy(tmp_path, form, remedy):
    names = [f"images/{i}.png" for i in range(COUNT)]
    write_poses(tmp_path, form, names)
    photos(tmp_path, names[:-2])
    with pytest.raises(
        SceneError, match=rf"2 of the 5 photos are not where .*3\.png, .*4\.png.*: restore them or .*{remedy}"
    ):
        load_scene(tmp_path)
    shutil.rmtree(tmp_path / "images")
    with pytest.raises(
        SceneError, match=r"Each of the 5 photos is missing from where .*: put them there, or correct the paths"
    ):
        load_scene(tmp_path)


def test_names_that_are_not_unicode(tmp_path):
    names = [f"images/caf\u00e9 {i}.png" for i in range(COUNT)]
    write_poses(tmp_path, "text", names)
    file = tmp_path / "sparse/0/images.txt"
    file.write_bytes(file.read_text().encode("latin-1"))
    photos(tmp_path, names)
    with pytest.warns(LerfWarning, match=r"images\.txt is not in UTF-8: its names are read as Latin-1"):
        scene = load_scene(tmp_path)
    check(scene, tmp_path, names)
    os.rename(tmp_path / names[0], os.fsencode(tmp_path / "images") + b"/caf\xe9 0.png")
    with pytest.raises(SceneError, match=r"is not valid Unicode: rename the file"):
        read_scene(tmp_path)


def test_loops_of_links_and_hidden_folders(tmp_path):
    write_poses(tmp_path, "transforms.json", [f"/data/{i}.png" for i in range(COUNT)])
    photos(tmp_path, [f"deep/{i}.png" for i in range(COUNT)])
    photos(tmp_path, [f".trash/{i}.png" for i in range(COUNT)])
    (tmp_path / "deep/up").symlink_to(tmp_path)
    (tmp_path / "loop").symlink_to("loop")
    scene = read_scene(tmp_path)
    assert scene.photos[0].path == tmp_path / "deep/0.png"


def test_a_linked_folder_is_searched(tmp_path):
    write_poses(tmp_path / "capture", "transforms.json", [f"/data/{i}.png" for i in range(COUNT)])
    photos(tmp_path, [f"store/{i}.png" for i in range(COUNT)])
    (tmp_path / "capture/linked").symlink_to(tmp_path / "store")
    assert read_scene(tmp_path / "capture").photos[1].path == tmp_path / "capture/linked/1.png"


def test_the_tree_is_listed_once(tmp_path):
    for number in range(3000):
        (tmp_path / f"{number % 30}").mkdir(exist_ok=True)
        (tmp_path / f"{number % 30}" / f"{number}.png").touch()
    finder = PhotoFinder(tmp_path)
    start = time.process_time()
    found = [finder.find(tmp_path / f"elsewhere/{number}.png") for number in range(3000)]
    assert time.process_time() - start < 5
    assert all(path.name == f"{number}.png" for number, path in enumerate(found))
    assert len(finder.notes()) == 1


def test_without_a_root_nothing_is_searched(tmp_path):
    photos(tmp_path, ["deep/0.png"])
    assert PhotoFinder().find(tmp_path / "0.png") == tmp_path / "0.png"
    assert PhotoFinder(tmp_path).find(tmp_path / "0.png") == tmp_path / "deep/0.png"


@pytest.mark.parametrize(
    ("photo", "camera"),
    [((325, 241), (320, 240)), ((321, 241), (320, 240)), ((1296, 970), (1280, 960)), ((1937, 1090), (1920, 1080)),
     ((316, 237), (320, 240)), ((320, 239), (320, 240)), ((644, 483), (640, 480))],
)  # fmt: skip
def test_undistorted_photos_with_the_distorted_cameras_are_refused(tmp_path, photo, camera):
    document = transforms(4, *camera)
    for number, frame in enumerate(document["frames"]):
        save(tmp_path / frame["file_path"], picture(*photo, number))
    write_transforms(tmp_path, document)
    with pytest.raises(
        SceneError, match=rf"is {photo[0]}x{photo[1]} pixels but .*{camera[0]}x{camera[1]}.* undistorted"
    ):
        load_scene(tmp_path)


@pytest.mark.parametrize(
    ("photo", "camera"),
    [((160, 120), (320, 240)), ((107, 80), (320, 240)), ((106, 80), (320, 240)), ((40, 30), (320, 241)),
     ((320, 240), (40, 30)), ((240, 180), (320, 240)), ((300, 200), (360, 240))],
)  # fmt: skip
def test_reductions_by_one_factor_are_used(tmp_path, photo, camera):
    document = transforms(4, *camera)
    for number, frame in enumerate(document["frames"]):
        save(tmp_path / frame["file_path"], picture(*photo, number))
    write_transforms(tmp_path, document)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = load_scene(tmp_path).photos[0].camera
    assert (found.width, found.height) == photo
    assert found.fx == pytest.approx(10.0 * photo[0] / camera[0])
    assert found.fy == pytest.approx(11.0 * photo[1] / camera[1])
