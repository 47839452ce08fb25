"""transforms.json: intrinsics, file names, splits, resolutions, masks, orientation."""

import numpy as np
import pytest
from PIL import Image
from scene_files import fox_folder, picture, ring, save, transforms, write_capture, write_transforms

from lerf.errors import LerfWarning, SceneError
from lerf.scenes import load_scene
from lerf.scenes.load import read_scene


def test_fox():
    folder = fox_folder()
    scene = load_scene(folder)
    assert [scene.photos[i].path.stem for i in scene.test] == ["0001", "0012", "0027", "0042", "0073", "0089", "0110"]
    assert len(scene) == 50
    assert len(scene.train) == 43
    assert not set(scene.train) & set(scene.test)
    pixels = scene.pixels(0)
    assert pixels.shape == (960, 540, 3)  # portrait: rows first
    np.testing.assert_array_equal(
        pixels[700, 100], Image.open(scene.photos[0].path).convert("RGB").getpixel((100, 700))
    )
    camera = scene.photos[0].camera
    assert (camera.width, camera.height, camera.fx, camera.cy) == (540, 960, 687.76, 482.634)
    assert camera.distortion == (0.0578421, -0.0805099, 0.0, 0.0, -0.000980296, 0.00015575)
    assert scene.metadata["aabb_scale"] == 4
    assert scene.background is None
    half = load_scene(folder / "transforms.json", downscale=2)
    assert half.pixels(3).shape == (480, 270, 3)
    np.testing.assert_allclose(half.to_original_pixel(3, 1.0, 2.0), [2.0, 4.0])


def test_camera_and_pixels(tmp_path):
    scene = load_scene(write_capture(tmp_path))
    camera = scene.photos[2].camera
    assert (camera.width, camera.height, camera.fx, camera.fy, camera.cx, camera.cy) == (12, 8, 10.0, 11.0, 5.5, 4.5)
    np.testing.assert_allclose(camera.camera_to_world, ring(4)[2][:3], atol=1e-12)
    np.testing.assert_array_equal(scene.pixels(2), picture(12, 8, 2))
    assert scene.alpha(2) is None
    assert scene.mask(2) is None
    moved = scene.normalised_camera(2).camera_to_world
    np.testing.assert_allclose(np.linalg.norm(moved[:, 3]), 1)


def test_frames_keep_their_order_and_hold_out_follows_names(tmp_path):
    document = transforms(10)
    document["frames"].reverse()
    scene = load_scene(write_capture(tmp_path, document))
    assert [photo.name for photo in scene.photos] == [f"images/{i:04d}.png" for i in range(9, -1, -1)]
    assert [scene.photos[i].name for i in scene.test] == ["images/0008.png", "images/0000.png"]


def test_three_photos_are_all_trained_on(tmp_path):
    scene = load_scene(write_capture(tmp_path, transforms(3)))
    assert (scene.train, scene.test) == ((0, 1, 2), ())


def test_angles_alone(tmp_path):
    document = transforms()
    for key in ("fl_x", "fl_y", "cx", "cy", "w", "h"):
        del document[key]
    document["camera_angle_x"] = np.pi / 2
    camera = load_scene(write_capture(tmp_path / "a", document)).photos[0].camera
    np.testing.assert_allclose([camera.fx, camera.fy, camera.cx, camera.cy], [6, 6, 6, 4])
    document["camera_angle_y"] = np.pi / 2
    camera = load_scene(write_capture(tmp_path / "b", document)).photos[0].camera
    np.testing.assert_allclose([camera.fx, camera.fy], [6, 4])
    # Angles hold at every resolution.
    camera = load_scene(tmp_path / "b", downscale=2).photos[0].camera
    np.testing.assert_allclose([camera.width, camera.fx, camera.fy, camera.cx], [6, 3, 2, 3])


def test_each_frame_may_have_its_own_camera(tmp_path):
    document = transforms(5)
    document["frames"][1] |= {"w": 20, "h": 30, "fl_x": 40, "fl_y": 41, "cx": 10, "cy": 15}
    document["frames"][2] |= {"camera_model": "OPENCV_FISHEYE", "k1": 0.1, "k4": 0.02}
    write_capture(tmp_path, document)
    save(tmp_path / "images/0001.png", picture(20, 30))
    scene = load_scene(tmp_path)
    assert scene.pixels(1).shape == (30, 20, 3)
    assert (scene.photos[1].camera.fx, scene.photos[0].camera.fx) == (40.0, 10.0)
    assert scene.photos[2].camera.fisheye
    assert scene.photos[2].camera.distortion == (0.1, 0, 0, 0.02, 0, 0)
    assert not scene.photos[3].camera.fisheye


def test_instant_ngp_names(tmp_path):
    document = transforms(4)
    names = ["./images/a", "images/b.JPG", "images\\c.jpg", "images/d.v2"]
    for frame, name in zip(document["frames"], names, strict=True):
        frame["file_path"] = name
    for number, name in enumerate(["a.PNG", "b.jpg", "c.jpg", "d.v2.jpeg"]):
        save(tmp_path / "images" / name, picture(12, 8, number), format="PNG")
    scene = load_scene(write_transforms(tmp_path, document))
    assert [photo.name for photo in scene.photos] == [
        "images/a.PNG",
        "images/b.jpg",
        "images/c.jpg",
        "images/d.v2.jpeg",
    ]
    np.testing.assert_array_equal(scene.pixels(3), picture(12, 8, 3))


@pytest.mark.parametrize(
    ("lists", "train", "test"),
    [
        ({"train_filenames": [0, 1], "val_filenames": [2], "test_filenames": [3]}, (0, 1), (2, 3)),
        ({"train_filenames": [0, 1], "val_filenames": [3], "test_filenames": []}, (0, 1), (3,)),
        ({"train_filenames": [0, 1, 3], "test_filenames": [3]}, (0, 1), (3,)),
        ({"train_filenames": [0, 1]}, (0, 1), (2, 3)),
        ({"val_filenames": [1]}, (0, 2, 3), (1,)),
    ],
)
def test_split_of_the_file(tmp_path, lists, train, test):
    named = {key: [f"./images/{i:04d}.png" for i in value] for key, value in lists.items()}
    scene = load_scene(write_capture(tmp_path, transforms(**named)))
    assert (scene.train, scene.test) == (train, test)


def test_split_that_cannot_be(tmp_path):
    write_capture(tmp_path, transforms(test_filenames=["images/9.png"]))
    with pytest.raises(SceneError, match=r"lists 'images/9\.png', which is not a frame"):
        load_scene(tmp_path)
    write_transforms(tmp_path, transforms(test_filenames=[f"images/{i:04d}" for i in range(4)]))
    with pytest.raises(SceneError, match="no photo to train on"):
        load_scene(tmp_path)


def test_large_photos_are_halved_until_they_fit(tmp_path):
    document = transforms(4, w=4000, h=8)
    write_capture(tmp_path, document, width=4000)
    save(tmp_path / "images/0001.png", picture(1600, 8))
    document["frames"][1] |= {"w": 1600}
    scene = load_scene(write_transforms(tmp_path, document))
    assert scene.pixels(0).shape == (2, 1000, 3)
    assert scene.photos[0].original_size == (4000, 8)
    assert scene.photos[0].camera.fx == pytest.approx(10 / 4)
    assert scene.pixels(1).shape == (8, 1600, 3)
    assert load_scene(tmp_path, downscale=1).pixels(0).shape == (8, 4000, 3)


def test_ready_made_reductions(tmp_path):
    write_capture(tmp_path)
    for number in range(4):
        save(tmp_path / f"images_2/{number:04d}.jpg", picture(6, 4, 50 + number), format="PNG")
    save(tmp_path / "images_2/0003.jpg", picture(9, 6), format="PNG")  # not a half: something else
    with pytest.warns(LerfWarning, match=r"folder images_2 is not used where .*images/0003\.png"):
        scene = load_scene(tmp_path, downscale=2)
    np.testing.assert_array_equal(scene.pixels(1), picture(6, 4, 51))
    assert scene.photos[1].path == tmp_path / "images_2/0001.jpg"
    assert scene.photos[1].name == "images/0001.png"
    assert scene.photos[1].original_size == (12, 8)
    assert scene.photos[3].path == tmp_path / "images/0003.png"
    assert load_scene(tmp_path, downscale=4).pixels(1).shape == (2, 3, 3)
    # Captures are often shipped without the full-size photos.
    (tmp_path / "images/0001.png").unlink()
    np.testing.assert_array_equal(read_scene(tmp_path, downscale=2).pixels(1), picture(6, 4, 51))
    with pytest.raises(SceneError, match=r"0001\.png is missing"):
        load_scene(tmp_path, downscale=4)


def test_intrinsics_at_another_resolution(tmp_path):
    document = transforms(w=24, h=16)
    camera = load_scene(write_capture(tmp_path, document)).photos[0].camera
    assert (camera.width, camera.fx, camera.cx) == (12, 5.0, 2.75)


def test_exif_trap(tmp_path):
    write_capture(tmp_path)
    for number in range(4):
        save(tmp_path / f"images/{number:04d}.png", picture(12, 8, number), orientation=6)
    stored = load_scene(tmp_path)  # intrinsics say 12 x 8, as stored
    np.testing.assert_array_equal(stored.pixels(1), picture(12, 8, 1))
    turned = load_scene(write_transforms(tmp_path, transforms(w=8, h=12)))
    np.testing.assert_array_equal(turned.pixels(1), np.rot90(picture(12, 8, 1), -1))
    document = transforms()
    del document["w"], document["h"]
    unstated = load_scene(write_transforms(tmp_path, document))
    np.testing.assert_array_equal(unstated.pixels(1), np.rot90(picture(12, 8, 1), -1))
    assert unstated.photos[1].original_size == (8, 12)


def test_masks(tmp_path):
    document = transforms()
    document["frames"][1]["mask_path"] = "masks/1.png"
    mask = np.full((8, 12), 255, np.uint8)
    mask[2, 9] = 0
    save(tmp_path / "masks/1.png", mask)
    scene = load_scene(write_capture(tmp_path, document))
    assert scene.mask(0) is None
    np.testing.assert_array_equal(scene.mask(1), mask > 0)
    expected = np.ones((4, 6), bool)
    expected[1, 4] = False
    np.testing.assert_array_equal(load_scene(tmp_path, downscale=2).mask(1), expected)
    save(tmp_path / "masks/1.png", mask[:, :10])
    with pytest.raises(SceneError, match=r"1\.png is 10x8 pixels but photo images/0001\.png is 12x8"):
        load_scene(tmp_path)


def test_metadata_and_capture_frame(tmp_path):
    applied = [[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, -1, 0]]
    scene = load_scene(write_capture(tmp_path, transforms(applied_transform=applied)))
    assert scene.metadata["applied_transform"] == applied
    np.testing.assert_allclose(scene.photos[0].camera.camera_to_world, ring(4)[0][:3], atol=1e-12)
