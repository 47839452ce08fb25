"""COLMAP's files: several models, what they state of themselves, text in every dress, damaged bytes, masks beside."""

import struct

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
)

from lerf.errors import LerfWarning, SceneError
from lerf.scenes import load_scene
from lerf.scenes.load import read_scene

CAMERAS = {1: ("PINHOLE", 12, 8, [10.0, 11.0, 5.5, 4.5])}
WRITERS = [write_colmap_text, write_colmap_binary]


def photos(folder, count, start=0):
    for number in range(start, start + count):
        save(folder / f"{number:04d}.png", picture(12, 8, number))


def part(count, start=0):
    return colmap_images(count, [f"{number:04d}.png" for number in range(start, start + count)])


@pytest.mark.filterwarnings("ignore:.* have no pose and are not used")
@pytest.mark.filterwarnings("ignore:Only .* have a pose")
@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize(
    ("small", "large"),
    [("sparse/0", "sparse/1"), ("sparse", "sparse/2"), (".", "sparse/0"), ("sparse/0", "dense/0/sparse"),
     ("colmap/sparse/0", "colmap/sparse/10"), ("sparse/0", "my model")],
)  # fmt: skip
def test_the_largest_model_is_used_and_told(tmp_path, write, small, large):
    write(tmp_path / small, CAMERAS, part(2))
    write(tmp_path / large, CAMERAS, part(7, 2))
    photos(tmp_path / "images", 9)
    shown = "that of the folder itself" if small == "." else small
    with pytest.warns(LerfWarning, match=rf"2 COLMAP models: {large} with 7 photos is used, {shown} \(2\) is not"):
        scene = load_scene(tmp_path)
    assert [photo.name for photo in scene.photos] == [f"images/{number:04d}.png" for number in range(2, 9)]


@pytest.mark.filterwarnings("ignore:.* have no pose and are not used")
@pytest.mark.filterwarnings("ignore:Only .* have a pose")
def test_a_models_own_folder_is_used_whatever_its_size(tmp_path):
    write_colmap_text(tmp_path / "sparse/0", CAMERAS, part(2))
    write_colmap_text(tmp_path / "sparse/1", CAMERAS, part(7, 2))
    photos(tmp_path / "images", 9)
    assert len(load_scene(tmp_path / "sparse/0").photos) == 2
    with pytest.warns(LerfWarning, match="1 with 7 photos is used"):
        assert load_scene(tmp_path / "sparse").root == tmp_path


@pytest.mark.filterwarnings("ignore:.* have no pose and are not used")
@pytest.mark.filterwarnings("ignore:Only .* have a pose")
def test_a_broken_model_beside_a_good_one_is_told(tmp_path):
    write_colmap_binary(tmp_path / "sparse/0", CAMERAS, part(8))
    whole = (tmp_path / "sparse/0/images.bin").read_bytes()
    (tmp_path / "sparse/0/images.bin").write_bytes(whole[:-9])
    write_colmap_binary(tmp_path / "sparse/1", CAMERAS, part(4))
    photos(tmp_path / "images", 8)
    with pytest.warns(LerfWarning, match=r"sparse/1 with 4 photos is used, sparse/0 \(broken\) is not"):
        load_scene(tmp_path)


def test_gaussian_splattings_layout(tmp_path):
    write_colmap_binary(
        tmp_path / "distorted/sparse/0", {1: ("OPENCV", 14, 9, [10.0, 11, 7, 4, 0.1, 0, 0, 0])}, part(4)
    )
    write_colmap_binary(tmp_path / "sparse/0", CAMERAS, part(4))
    photos(tmp_path / "images", 4)
    for number in range(4):
        save(tmp_path / f"input/{number:04d}.png", picture(14, 9, number))
    with pytest.warns(LerfWarning, match="sparse/0 with 4 photos is used, distorted/sparse/0"):
        scene = load_scene(tmp_path)
    assert scene.photos[0].path == tmp_path / "images/0000.png"
    assert load_scene(tmp_path / "distorted/sparse/0").photos[0].path == tmp_path / "input/0000.png"


def test_photos_beside_an_undistorted_model(tmp_path):
    write_colmap_binary(tmp_path / "dense/sparse", CAMERAS, part(4))
    photos(tmp_path / "dense/images", 4)
    assert load_scene(tmp_path).photos[0].name == "dense/images/0000.png"
    assert load_scene(tmp_path / "dense").photos[0].name == "images/0000.png"
    assert load_scene(tmp_path / "dense/sparse").photos[0].path == tmp_path / "dense/images/0000.png"


def test_poses_in_other_forms_are_told(tmp_path):
    write_capture(tmp_path, transforms(4))
    write_colmap_text(tmp_path / "colmap/sparse/0", CAMERAS, part(4))
    load_scene(tmp_path)
    write_colmap_text(tmp_path / "colmap/sparse/1", CAMERAS, part(9))
    with pytest.warns(LerfWarning, match=r"transforms\.json with 4 photos is used, not the COLMAP model .*1 with 9"):
        load_scene(tmp_path)


def text_of(lines):
    return "\n".join(lines) + "\n"


def rewrite(path, change):
    lines = path.read_text().splitlines()
    path.write_text(text_of(change(lines)))


def images_only(lines):
    return [line for line in lines if line.startswith("#") or len(line.split()) == 10]


CHANGES = {
    "as written": (lambda lines: lines, None),
    "no observations": (images_only, r"lacks the line of observations of 12 of its 12 images: all 12 are used"),
    "one line missing": (lambda lines: lines[:2] + lines[3:], "lacks the line of observations of 1 of its 12 images"),
    "blank lines between": (lambda lines: [part for line in lines for part in (line, "")], None),
    "blank line before each image": (
        lambda lines: [part for line in lines for part in (["", line] if len(line.split()) == 10 else [line])], None,
    ),
    "a header that agrees": (lambda lines: ["# Number of images: 12, mean observations per image: 3", *lines], None),
    "a header that does not": (
        lambda lines: ["# Number of images: 30, mean observations per image: 3", *lines], "says that it has 30",
    ),
    "spaces and tabs": (lambda lines: ["  " + line.replace(" ", "\t") + " " for line in lines], None),
}  # fmt: skip


@pytest.mark.parametrize("case", CHANGES)
def test_no_image_of_a_text_file_is_lost(tmp_path, case):
    write_colmap_text(tmp_path / "sparse/0", CAMERAS, part(12))
    photos(tmp_path / "images", 12)
    change, told = CHANGES[case]
    rewrite(tmp_path / "sparse/0/images.txt", change)
    scene = read_scene(tmp_path)
    assert len(scene.photos) == 12
    assert len(scene.notes) == (told is not None)
    if told:
        with pytest.warns(LerfWarning, match=told):
            load_scene(tmp_path)


@pytest.mark.parametrize(
    "line", ["1.5 2.5 -1 3.5", "1.5 2.5", "words", "1 1 0 0 0 0 0 0 one a.png", "1 1 0 0 0 0 0 1 a.png"]
)
def test_a_line_that_is_neither_is_refused(tmp_path, line):
    write_colmap_text(tmp_path / "sparse/0", CAMERAS, part(12))
    photos(tmp_path / "images", 12)
    rewrite(tmp_path / "sparse/0/images.txt", lambda lines: [*lines[:4], line, *lines[5:]])
    with pytest.raises(SceneError, match="has a line that is not an image"):
        load_scene(tmp_path)


@pytest.mark.parametrize("ends", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_text_of_other_systems(tmp_path, ends, mark):
    write_colmap_text(tmp_path / "sparse/0", CAMERAS, part(6))
    photos(tmp_path / "images", 6)
    before = load_scene(tmp_path)
    for name in ("cameras.txt", "images.txt"):
        path = tmp_path / "sparse/0" / name
        path.write_bytes(mark + path.read_bytes().replace(b"\n", ends))
    after = load_scene(tmp_path)
    assert [photo.name for photo in after.photos] == [photo.name for photo in before.photos]


def test_utf_16_is_named(tmp_path):
    write_colmap_text(tmp_path / "sparse/0", CAMERAS, part(6))
    path = tmp_path / "sparse/0/images.txt"
    path.write_bytes(path.read_text().encode("utf-16"))
    with pytest.raises(SceneError, match=r"images\.txt is written in UTF-16: save it as UTF-8"):
        load_scene(tmp_path)


def test_cameras_are_counted(tmp_path):
    write_colmap_text(tmp_path / "sparse/0", CAMERAS, part(4))
    photos(tmp_path / "images", 4)
    path = tmp_path / "sparse/0/cameras.txt"
    rewrite(path, lambda lines: [line.replace("cameras: 1", "cameras: 3") for line in lines])
    with pytest.warns(LerfWarning, match="says that it has 3 cameras but lists 1"):
        load_scene(tmp_path)
    rewrite(path, lambda lines: [*lines, lines[-1]])
    with pytest.raises(SceneError, match="lists two cameras with the same number"):
        load_scene(tmp_path)


@pytest.mark.filterwarnings("ignore:.* have no pose and are not used")
@pytest.mark.filterwarnings("ignore:Only .* have a pose")
def test_bytes_behind_the_count_are_told(tmp_path):
    write_colmap_binary(tmp_path / "sparse/0", CAMERAS, part(4))
    photos(tmp_path / "images", 4)
    path = tmp_path / "sparse/0/images.bin"
    path.write_bytes(struct.pack("<Q", 3) + path.read_bytes()[8:])
    with pytest.warns(LerfWarning, match=r"images\.bin goes on for \d+ bytes after the entries that it counts"):
        assert len(load_scene(tmp_path).photos) == 3


@pytest.mark.parametrize("name", ["cameras.bin", "images.bin"])
@pytest.mark.parametrize("count", [5, 10**6, 2**63, 2**64 - 1])
def test_counts_are_held_against_the_file(tmp_path, name, count):
    write_colmap_binary(tmp_path / "sparse/0", CAMERAS, part(4))
    path = tmp_path / "sparse/0" / name
    path.write_bytes(struct.pack("<Q", count) + path.read_bytes()[8:])
    with pytest.raises(SceneError, match=f"{name} is cut off"):
        load_scene(tmp_path)


def test_a_name_without_an_end(tmp_path):
    write_colmap_binary(tmp_path / "sparse/0", CAMERAS, colmap_images(4, ["a" * 5000] * 4))
    with pytest.raises(SceneError, match="whose name does not end"):
        load_scene(tmp_path)


def test_rotations_that_are_normalised_are_told(tmp_path):
    images = part(4)
    images[2] = (3, [2 * value for value in images[2][1]], *images[2][2:])
    write_colmap_text(tmp_path / "sparse/0", CAMERAS, images)
    photos(tmp_path / "images", 4)
    with pytest.warns(LerfWarning, match=r"rotations of 1 photos, 0002\.png for one, are not unit"):
        load_scene(tmp_path)


@pytest.mark.filterwarnings("ignore:.* have no pose and are not used")
@pytest.mark.filterwarnings("ignore:Only .* have a pose")
def test_binary_beside_text_of_another_count(tmp_path):
    write_colmap_binary(tmp_path / "sparse/0", CAMERAS, part(4))
    write_colmap_text(tmp_path / "sparse/0", CAMERAS, part(4))
    photos(tmp_path / "images", 6)
    load_scene(tmp_path)
    write_colmap_text(tmp_path / "sparse/0", CAMERAS, part(6))
    with pytest.warns(LerfWarning, match=r"images\.txt of .* has 6 photos and images\.bin 4: images\.bin is used"):
        load_scene(tmp_path)


@pytest.mark.parametrize("suffix", [".bin", ".txt"])
@pytest.mark.parametrize("name", ["cameras", "images"])
def test_damaged_bytes_are_refused_or_read(tmp_path, suffix, name):
    (write_colmap_binary if suffix == ".bin" else write_colmap_text)(tmp_path / "sparse/0", CAMERAS, part(5))
    photos(tmp_path / "images", 5)
    path = tmp_path / "sparse/0" / f"{name}{suffix}"
    whole = path.read_bytes()
    random = np.random.default_rng(2)
    refused = 0
    for _ in range(200):
        data = bytearray(whole)
        for place in random.integers(0, len(data), random.integers(1, 5)):
            data[place] = random.choice([0, 255, 10, 32, random.integers(0, 256)])
        path.write_bytes(data[: random.integers(0, len(data))] if random.random() < 0.3 else data)
        try:
            with np.errstate(all="ignore"):
                read_scene(tmp_path)
        except SceneError:
            refused += 1
    assert refused > 50


MASK_NAMES = {
    "COLMAP's": ("masks", "{}.png"),
    "by stem": ("masks", "{stem}.png"),
    "same name": ("masks", "{}"),
    "another format": ("mask", "{stem}.jpg"),
    "other case": ("masks", "{stem}.PNG"),
}


@pytest.mark.parametrize("case", MASK_NAMES)
@pytest.mark.parametrize("deep", [False, True])
def test_masks_beside_photos_are_used(tmp_path, case, deep):
    names = [f"{'cam 1/' * deep}{number:04d}.png" for number in range(5)]
    write_colmap_binary(tmp_path / "sparse/0", CAMERAS, colmap_images(5, names))
    folder, form = MASK_NAMES[case]
    for number, name in enumerate(names):
        save(tmp_path / "images" / name, picture(12, 8, number))
        mask = np.full((8, 12), 255, np.uint8)
        mask[:, : number + 1] = 0
        image = form.format(name, stem=name.removesuffix(".png"))
        save(tmp_path / folder / image, mask, **({"quality": 100} if image.endswith("jpg") else {}))
    scene = load_scene(tmp_path)
    for number in range(5):
        assert not scene.mask(number)[:, : number + 1].any()
        assert scene.mask(number)[:, number + 1 :].all()


def test_masks_that_fit_nothing_are_told(tmp_path):
    write_colmap_binary(tmp_path / "sparse/0", CAMERAS, part(5))
    photos(tmp_path / "images", 5)
    white = np.full((8, 12), 255, np.uint8)
    for number in range(5):
        save(tmp_path / f"masks/frame {number}.png", white)
    with pytest.warns(LerfWarning, match=r"Masks found and not used: none of the 5 pictures in masks is named after"):
        scene = load_scene(tmp_path)
    assert scene.mask(0) is None
    for number in range(5):
        save(tmp_path / f"masks/{number:04d}.png.png", np.full((9, 13), 255, np.uint8))
    with pytest.warns(LerfWarning, match=r"Masks found and not used: .* 13x9 pixels where the camera .* is for 12x8"):
        load_scene(tmp_path)
    save(tmp_path / "masks/0003.png.png", white)
    with pytest.raises(SceneError, match=r"Mask .*0000\.png\.png is 13x9 pixels but photo .* is 12x8"):
        load_scene(tmp_path)


def test_masks_of_some_photos(tmp_path):
    write_colmap_binary(tmp_path / "sparse/0", CAMERAS, part(5))
    photos(tmp_path / "images", 5)
    save(tmp_path / "masks/0003.png.png", np.full((8, 12), 255, np.uint8))
    with pytest.warns(
        LerfWarning, match=r"1 of 5 photos have a mask in masks; the others, 0000\.png for one, are used"
    ):
        scene = load_scene(tmp_path)
    assert [scene.mask(number) is None for number in range(5)] == [True, True, True, False, True]
