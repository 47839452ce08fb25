"""Every way a capture can be unusable gives one sentence that names the culprit and says what to do."""

import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scene_files import ring, transforms, write_capture, write_transforms

from lerf.errors import SceneError
from lerf.scenes import load_scene
from lerf.scenes.pose_checks import check_poses


def change(key, value):
    def apply(document):
        document[key] = value

    return apply


def change_pose(make):
    def apply(document):
        document["frames"][1]["transform_matrix"] = make(np.array(document["frames"][1]["transform_matrix"]))

    return apply


def with_entry(matrix, row, column, value):
    matrix[row, column] = value
    return matrix.tolist()


def scaled_axis(matrix):
    return (matrix * [1, 1.5, 1, 1]).tolist()


CASES = {
    "no frames": (change("frames", []), "has no frames: export"),
    "frames of another kind": (change("frames", {"a": 1}), "has no frames: export"),
    "frame without a photo": (lambda d: d["frames"][2].pop("file_path"), "Frame 2 of .* has no file_path"),
    "nan": (
        change_pose(lambda m: with_entry(m, 0, 3, np.nan)),
        r"pose of photo images/0001\.png contains NaN or infinity",
    ),
    "infinite": (
        change_pose(lambda m: with_entry(m, 1, 1, np.inf)),
        r"pose of photo images/0001\.png contains NaN or infinity",
    ),
    "enormous": (change_pose(lambda m: with_entry(m, 1, 3, 1e200)), r"0001\.png holds the number 1e\+200, where"),
    "far": (change_pose(lambda m: with_entry(m, 1, 3, 1e20)), r"0001\.png holds the number 1e\+20, where"),
    "singular": (change_pose(lambda m: (m * [0, 1, 1, 1]).tolist()), r"0001\.png is not a rotation"),
    "all zero": (change_pose(lambda m: (m * 0).tolist()), r"0001\.png does not end in the row 0 0 0 1"),
    "stretched": (change_pose(scaled_axis), r"0001\.png is not a rotation"),
    "mirrored": (change_pose(lambda m: (m * [-1, 1, 1, 1]).tolist()), r"0001\.png is not a rotation"),
    "not square": (change_pose(lambda m: m[:2].tolist()), r"0001\.png is not a 4x4 matrix"),
    "ragged": (change_pose(lambda m: [[1, 2], [3]]), r"0001\.png is not a 4x4 matrix"),
    "no pose": (lambda d: d["frames"][1].pop("transform_matrix"), r"0001\.png is not a 4x4 matrix"),
    "last row": (change_pose(lambda m: with_entry(m, 3, 0, 2.0)), "row 0 0 0 1"),
    "zero focal": (change("fl_x", 0), r"focal length of photo images/0000\.png is 0 x 11 pixels: give a positive"),
    "negative focal": (change("fl_y", -3.0), "is 10 x -3 pixels: give a positive"),
    "focal that is not a number": (change("fl_x", float("nan")), r"has NaN or infinity in its fl_x"),
    "focal as text": (change("fl_x", "long"), r"transforms\.json has another content .*'str' at '\.fl_x'"),
    "tiny focal": (change("fl_x", 1e-9), "is 1e-09 x 11 pixels: give a positive"),
    "huge focal": (change("fl_x", 1e30), r"is 1e\+30 x 11 pixels: give a positive"),
    "no focal": (lambda d: (d.pop("fl_x"), d.pop("fl_y")), "has no focal length: give fl_x"),
    "principal point": (change("cx", 1e40), r"principal point of photo images/0000\.png is \(1e\+40, 4\.5\), far"),
    "distortion": (change("k1", -1e9), r"distortion of photo images/0000\.png \(k1 -1e\+09\) cannot be undone"),
    "a fold in the picture": (change("k1", -100.0), r"\(k1 -100\) cannot be undone within the picture"),
    "tangential distortion": (change("p1", 3e3), r"\(p1 3000\) cannot be undone within the picture"),
    "size": (change("w", 0), "picture size of photo .* is 0 x 8"),
    "huge size": (change("w", 1e300), "picture size of photo .* is 1e"),
    "other size": (change("w", 30), r"0000\.png is 12x8 pixels but its camera is for 30x8: use the photos"),
    "model": (change("camera_model", "EQUIRECTANGULAR"), "camera model EQUIRECTANGULAR, which is not supported"),
    "twice": (lambda d: d["frames"][3].update(file_path="./images/0000"), r"0000\.png is listed twice: keep one"),
    "missing": (lambda d: d["frames"][3].update(file_path="images/77.png"), r"77\.png is missing: restore it"),
    "missing mask": (lambda d: d["frames"][3].update(mask_path="m.png"), r"Mask .*m\.png is missing: restore it"),
    "one photo": (lambda d: d.update(frames=d["frames"][:1]), "one photo only"),
}


@pytest.mark.parametrize("case", CASES)
def test_transforms(tmp_path, case):
    write_capture(tmp_path)
    document = transforms()
    spoil, message = CASES[case]
    spoil(document)
    write_transforms(tmp_path, document)
    with pytest.raises(SceneError, match=message) as caught:
        load_scene(tmp_path)
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith(".")
    assert ": " in str(caught.value)


def test_angle(tmp_path):
    document = transforms(camera_angle_x=4.0)
    del document["fl_x"], document["fl_y"]
    write_capture(tmp_path, document)
    with pytest.raises(SceneError, match=r"viewing angle .* is 4 radians"):
        load_scene(tmp_path)


def test_one_point(tmp_path):
    document = transforms()
    for frame in document["frames"]:
        for row in frame["transform_matrix"]:
            row[3] = row[3] if row is frame["transform_matrix"][3] else 1.0
    write_capture(tmp_path, document)
    with pytest.raises(SceneError, match=r"All photos are taken from one point, .*: add photos"):
        load_scene(tmp_path)


@pytest.mark.parametrize("content", [b"{", b"", b"\xff\xfe\x00", b"[" * 100000])
def test_not_json(tmp_path, content):
    (tmp_path / "transforms.json").write_bytes(content)
    with pytest.raises(SceneError, match=r"transforms\.json (is not valid JSON|has another content).*: export"):
        load_scene(tmp_path)


def test_json_of_another_kind(tmp_path):
    write_transforms(tmp_path, [1, 2])
    with pytest.raises(SceneError, match=r"another content than it should \(expected 'object', got 'array'\): export"):
        load_scene(tmp_path)


def test_no_capture(tmp_path):
    with pytest.raises(SceneError, match=r"holds no capture: it needs transforms\.json"):
        load_scene(tmp_path)
    with pytest.raises(SceneError, match="does not exist: give the folder"):
        load_scene(tmp_path / "nowhere")


@pytest.mark.parametrize("downscale", [0, -2])
def test_downscale(tmp_path, downscale):
    with pytest.raises(SceneError, match="downscale of"):
        load_scene(write_capture(tmp_path), downscale)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.1, 10))
def test_rounded_and_scaled_poses_are_repaired(seed, scale):
    random = np.random.default_rng(seed)
    truth = ring(5)[seed % 5]
    given_pose = truth.copy()
    given_pose[:3, :3] = scale * (truth[:3, :3] + random.uniform(-1e-4, 1e-4, (3, 3)))
    checked = check_poses([given_pose.tolist()], ["a"])
    assert not checked.problems
    assert bool(checked.notes) == (abs(scale - 1) > 1e-3)
    pose = checked.poses[0]
    np.testing.assert_allclose(pose[:, :3].T @ pose[:, :3], np.eye(3), atol=1e-12)
    np.testing.assert_allclose(pose, truth[:3], atol=1e-3)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("loop", r"cannot be opened \(.*symbolic links"),
        ("long", r"cannot be opened \(file name too long"),
        ("nul", "cannot be a path"),
        ("pipe", "is neither a file nor a folder"),
        ("dangling", "does not exist"),
        ("below a file", r"cannot be opened \(not a directory"),
    ],
)
def test_a_path_that_leads_nowhere_says_why(tmp_path, kind, message):
    place = tmp_path / {"long": "n" * 300, "nul": "a\0b", "below a file": "file/below"}.get(kind, kind)
    if kind == "loop":
        place.symlink_to("loop")
    elif kind == "pipe":
        os.mkfifo(place)
    elif kind == "dangling":
        place.symlink_to("nowhere")
    elif kind == "below a file":
        (tmp_path / "file").write_text("")
    with pytest.raises(SceneError, match=message):
        load_scene(place)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every folder")
def test_a_folder_without_permission_says_so(tmp_path):
    folder = write_capture(tmp_path / "capture")
    folder.chmod(0)
    try:
        with pytest.raises(SceneError, match=r"cannot be opened \(permission denied\)"):
            load_scene(folder)
    finally:
        folder.chmod(0o700)


def test_photos_without_poses_are_told_the_command_that_finds_them(tmp_path):
    folder = tmp_path / "my photos"
    folder.mkdir()
    for number in range(2):
        Image.new("RGB", (8, 6)).save(folder / f"{number}.jpg")
    with pytest.raises(
        SceneError, match=r"photos without poses: first find these with lerf poses '.*my photos' --output"
    ):
        load_scene(folder)
    (folder / "0.jpg").unlink()
    with pytest.raises(SceneError, match="holds no capture"):
        load_scene(folder)
