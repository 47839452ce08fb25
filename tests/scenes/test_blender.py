"""Blender captures: splits in files of their own, transparency onto white."""

import json

import numpy as np
import pytest
from scene_files import picture, ring, save, write_transforms

from lerf.errors import LerfWarning, SceneError
from lerf.scenes import load_scene
from lerf.scenes.load import read_scene


def write_split(folder, split, count, channels=4):
    frames = []
    for number, pose in enumerate(ring(count, height=1.0 + 0.1 * len(split))):
        frames.append({"file_path": f"./{split}/r_{number}", "transform_matrix": pose.tolist()})
        save(folder / f"{split}/r_{number}.png", picture(6, 6, number, channels))
    document = {"camera_angle_x": 0.7, "frames": frames}
    return write_transforms(folder, document, f"transforms_{split}.json")


def test_splits(tmp_path):
    write_split(tmp_path, "train", 4)
    assert load_scene(tmp_path).test == ()
    write_split(tmp_path, "val", 2)
    assert len(load_scene(tmp_path).test) == 2
    write_split(tmp_path, "test", 3)
    with pytest.warns(
        LerfWarning, match=r"transforms_train\.json and transforms_test\.json are used, and not transforms_val"
    ):
        scene = load_scene(tmp_path)
    assert (scene.train, scene.test) == ((0, 1, 2, 3), (4, 5, 6))
    assert scene.photos[4].name == "test/r_0.png"
    assert read_scene(tmp_path / "transforms_train.json").test == scene.test
    assert scene.photos[0].camera.fx == pytest.approx(3 / np.tan(0.35))


def test_transparency_onto_white(tmp_path):
    scene = load_scene(write_split(tmp_path, "train", 4))
    assert scene.background == "alpha"
    raw = picture(6, 6, 1, 4).astype(float)
    alpha = raw[..., 3:] / 255
    assert np.abs(scene.pixels(1) - (raw[..., :3] * alpha + 255 * (1 - alpha))).max() <= 0.51
    np.testing.assert_allclose(scene.alpha(1), alpha[..., 0], atol=1e-6)
    assert scene.alpha(1).dtype == np.float32


def test_opaque_photos_have_no_alpha(tmp_path):
    scene = load_scene(write_split(tmp_path, "train", 4, channels=3))
    assert scene.background is None
    assert scene.alpha(0) is None


@pytest.mark.parametrize(("hole", "background"), [(0, None), (1, "alpha")])
def test_an_alpha_channel_alone_is_no_cut_out(tmp_path, hole, background):
    folder = write_split(tmp_path, "train", 4, channels=3)
    write_split(tmp_path, "test", 2)  # held-out photos do not count
    opaque = picture(6, 6, 0, 4)
    opaque[..., 3] = 255
    opaque[:hole, :2, 3] = 0  # 2 of 144 pixels
    save(folder / "train/r_2.png", opaque)
    scene = load_scene(folder)
    assert scene.background == background
    assert scene.photos[2].has_alpha


def test_corrupt_alpha(tmp_path):
    photo = write_split(tmp_path, "train", 4) / "train/r_0.png"
    photo.write_bytes(photo.read_bytes()[:100])
    with pytest.raises(SceneError, match="cut off or corrupt"):
        load_scene(tmp_path)


def test_same_photo_in_both_splits(tmp_path):
    write_split(tmp_path, "train", 4)
    (tmp_path / "transforms_test.json").write_text((tmp_path / "transforms_train.json").read_text())
    with pytest.raises(SceneError, match=r"train/r_0\.png is listed twice"):
        load_scene(tmp_path)


@pytest.mark.parametrize("split", ["test", "val"])
def test_photos_that_were_posed_and_never_rendered(tmp_path, split):
    write_split(tmp_path, "train", 4)
    write_split(tmp_path, split, 3)
    for photo in (tmp_path / split).iterdir():
        photo.unlink()
    with pytest.raises(SceneError, match=rf"None of the 3 photos of transforms_{split}\.json .*render.*move") as caught:
        load_scene(tmp_path)
    assert "restore" not in str(caught.value)
    (tmp_path / f"transforms_{split}.json").unlink()
    assert load_scene(tmp_path).test == ()


def test_one_photo_that_is_missing_is_named(tmp_path):
    write_split(tmp_path, "train", 4)
    write_split(tmp_path, "test", 3)
    (tmp_path / "test/r_1.png").unlink()
    with pytest.raises(SceneError, match="test/r_1"):
        load_scene(tmp_path)


def test_keys_of_both_files_are_told(tmp_path):
    for split in ("train", "test"):
        document = json.loads((write_split(tmp_path, split, 4) / f"transforms_{split}.json").read_text())
        write_transforms(tmp_path, {**document, "haze": 1, "frames": document["frames"]}, f"transforms_{split}.json")
    with pytest.warns(LerfWarning, match="haze") as caught:
        load_scene(tmp_path)
    assert {str(each.message).split()[2] for each in caught} == {"transforms_train.json", "transforms_test.json"}


@pytest.mark.parametrize("stated", ["./{split}/r_{number}", "{split}/r_{number}.png", ".\\{split}\\r_{number}.png"])
def test_names_with_and_without_extensions(tmp_path, stated):
    for split, count in (("train", 4), ("test", 2)):
        write_split(tmp_path, split, count)
        document = json.loads((tmp_path / f"transforms_{split}.json").read_text())
        for number, frame in enumerate(document["frames"]):
            frame["file_path"] = stated.format(split=split, number=number)
        write_transforms(tmp_path, document, f"transforms_{split}.json")
    for number in range(2):
        save(tmp_path / f"test/r_{number}_depth_0001.png", picture(6, 6, number))
        save(tmp_path / f"test/r_{number}_normal_0001.png", picture(6, 6, number))
    scene = load_scene(tmp_path)
    assert [photo.name for photo in scene.photos] == [
        *(f"train/r_{n}.png" for n in range(4)),
        "test/r_0.png",
        "test/r_1.png",
    ]
    assert scene.background == "alpha"


def test_further_files_are_told(tmp_path):
    write_split(tmp_path, "train", 4)
    for split in ("train_2", "all"):
        write_split(tmp_path, split, 3)
    with pytest.warns(LerfWarning, match=r"is used, and not transforms_all\.json, transforms_train_2\.json\."):
        scene = load_scene(tmp_path)
    assert len(scene.photos) == 4


def test_frames_of_a_scene_that_moves_are_told(tmp_path):
    write_split(tmp_path, "train", 4)
    document = json.loads((tmp_path / "transforms_train.json").read_text())
    for number, frame in enumerate(document["frames"]):
        frame |= {"time": number / 4, "rotation": 0.1}
    write_transforms(tmp_path, document, "transforms_train.json")
    with pytest.warns(
        LerfWarning, match=r"Keys of transforms_train\.json not used: time \(the scene is taken to stand"
    ):
        load_scene(tmp_path)
