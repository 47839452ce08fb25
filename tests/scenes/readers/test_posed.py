"""Where the photos of pose files are that state them in other systems' ways, and captures that lie above a file."""

import numpy as np
import pytest
from pose_tools import loaded, poses, refused, write_photos
from scene_files import colmap_images, picture, save, write_colmap_binary

from lerf.errors import SceneError
from lerf.scenes.listing import Optics
from lerf.scenes.readers.posed import Posed, PoseFile, listing_of, shown_size, stored_size

NAMES = [f"{number}.jpg" for number in range(4)]
LENS = Optics((60, 40), (50.0, 50.0))


def listing(folder, stated, root=None):
    posed = [Posed(name, pose, LENS) for name, pose in zip(stated, poses(len(stated)), strict=True)]
    return listing_of(PoseFile("a tool", folder / "poses.xyz", ["said"]), posed, root or folder)


@pytest.mark.parametrize(
    "form",
    ["{}", "images/{}", "./images/{}", r"images\{}", r"C:\Users\somebody\capture\images\{}", "/home/somebody/images/{}",
     r"\\server\share\images\{}", "../capture/images/{}", "IMAGES/{}", "photos of a day/{}"],
)  # fmt: skip
def test_names_of_other_machines(tmp_path, form):
    folder = tmp_path / "capture"
    write_photos(folder / "images", NAMES)
    found = listing(folder, [form.format(name) for name in NAMES])
    assert [shot.path for shot in found.shots] == [folder / "images" / name for name in NAMES]
    assert [shot.name for shot in found.shots] == [f"images/{name}" for name in NAMES]


def test_names_without_or_with_another_extension(tmp_path):
    write_photos(tmp_path / "images", NAMES)
    stated = ["0", "1.JPG", "2.png", "3"]
    assert [shot.path.name for shot in listing(tmp_path, stated).shots] == NAMES


def test_what_the_file_says_is_kept(tmp_path):
    write_photos(tmp_path, NAMES)
    found = listing_of(
        PoseFile("a tool", tmp_path / "poses.xyz", ["said"], tmp_path / "points", metadata={"origin": [1.0]}),
        [
            Posed(name, pose, lambda photo: Optics(stored_size(photo), (9.0, 9.0)))
            for name, pose in zip(NAMES, poses(4), strict=True)
        ],
        tmp_path,
    )
    assert found.metadata == {"format": "a tool", "origin": [1.0]}
    assert found.points_path == tmp_path / "points"
    assert found.notes[0] == "said"
    assert {shot.optics.size for shot in found.shots} == {(60, 40)}
    assert found.split is None


def test_photos_are_in_the_order_of_their_names(tmp_path):
    write_photos(tmp_path, NAMES)
    assert [shot.name for shot in listing(tmp_path, NAMES[::-1]).shots] == NAMES


def test_photos_above_the_file(tmp_path):
    write_photos(tmp_path / "images", NAMES)
    below = tmp_path / "cache/node/0a1b"
    below.mkdir(parents=True)
    found = listing(below, NAMES)
    assert found.root == tmp_path.resolve()
    assert [shot.name for shot in found.shots] == [f"images/{name}" for name in NAMES]
    write_photos(below, NAMES)
    assert listing(below, NAMES).root == below


def test_a_photo_without_a_name(tmp_path):
    with pytest.raises(SceneError, match=r"A photo in .*poses\.xyz has no name"):
        listing(tmp_path, ["", "a.jpg"])


def test_a_name_that_two_photos_have(tmp_path):
    write_photos(tmp_path / "a", NAMES)
    write_photos(tmp_path / "b", NAMES)
    with pytest.raises(SceneError, match=r"may be .*a/0\.jpg or .*b/0\.jpg"):
        listing(tmp_path, NAMES)


def test_sizes_as_stored_and_as_shown(tmp_path):
    turned = save(tmp_path / "turned.jpg", picture(60, 40), orientation=6)
    assert stored_size(turned) == (60, 40)
    assert shown_size(turned) == (40, 60)
    assert stored_size(tmp_path / "missing.jpg") is None
    assert shown_size(tmp_path / "missing.jpg") is None


@pytest.mark.parametrize(
    ("model", "photos"),
    [
        ("sparse", "images"),
        ("sparse/0", "images"),
        ("colmap/sparse/0", "images"),
        ("dense/0/sparse", "dense/0/images"),
        ("undistorted/sparse", "undistorted/images"),
        ("undistorted", "undistorted/images"),
        ("distorted/sparse/0", "input"),
        ("sparse/0", "input"),
    ],
)
def test_colmaps_layouts(tmp_path, model, photos):
    """Other photos lie about, of another size, that are not the model's."""
    names = [f"{number:04d}.png" for number in range(6)]
    write_colmap_binary(tmp_path / model, {1: ("PINHOLE", 60, 40, [50.0, 51.0, 30.0, 20.0])}, colmap_images(6, names))
    write_photos(tmp_path / photos, names)
    if photos not in ("images", "input"):
        write_photos(tmp_path / "images", names, (62, 42))
    if photos == "input" and "distorted" in model:
        write_photos(tmp_path / "images", names, (62, 42))
    scene = loaded(tmp_path, "colmap")
    assert [photo.name for photo in scene.photos] == [f"{photos}/{name}" for name in names]
    np.testing.assert_array_equal(scene.pixels(2), picture(60, 40, 2))


def test_nothing_that_can_be_read(tmp_path):
    (tmp_path / "cameras.xml").write_text("<note/>")
    (tmp_path / "sfm.json").write_text("{}")
    (tmp_path / "a.nvm").write_text("")
    assert "holds no capture" in refused(tmp_path)
