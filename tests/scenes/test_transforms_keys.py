"""Keys of transforms.json: used in groups, harmless, told, or refused by name."""

import math
import time

import numpy as np
import pytest
from scene_files import picture, ring, save, transforms, write_capture, write_transforms

from lerf.apps.main import main
from lerf.errors import LerfWarning, SceneError
from lerf.scenes import load_scene
from lerf.scenes.assemble import PhotoFinder
from lerf.scenes.load import read_scene
from lerf.scenes.pose_checks import check_poses
from lerf.scenes.readers.transforms_json import read_frames, read_shots
from lerf.scenes.readers.transforms_keys import (
    CARRIED,
    HARMLESS_IN_FRAMES,
    HARMLESS_ON_TOP,
    USED_IN_FRAMES,
    USED_ON_TOP,
    WHY_NOT,
)


def first_camera(folder, top=None, frame=None, without=()):
    """The camera of the first photo when keys are added on top and to its frame."""
    document = transforms(**(top or {}))
    document = {key: value for key, value in document.items() if key not in without}
    document["frames"][0] |= frame or {}
    return read_scene(write_capture(folder, document)).photos[0].camera


REFUSED = {
    "equirectangular": ({"camera_model": "EQUIRECTANGULAR"}, "EQUIRECTANGULAR"),
    "another program's model": ({"camera_model": "FISHEYE624"}, "FISHEYE624"),
    "a model of another type": ({"camera_model": 4}, "camera_model"),
    "a fraction": ({"camera_model": "FULL_OPENCV", "k4": 0.1}, "k4, a fraction"),
    "k5": ({"k5": 1e-3}, "k5"),
    "k6": ({"k6": -1e-3}, "k6"),
    "fisheye k5": ({"is_fisheye": True, "k5": 1e-3}, "k5"),
    "thin prism": ({"s1": 1e-4}, "s1, a thin prism"),
    "fisheye p1": ({"camera_model": "OPENCV_FISHEYE", "p1": 0.01}, "p1, a fisheye's tangential"),
    "fisheye p2": ({"is_fisheye": True, "p2": 0.01}, "p2, a fisheye's tangential"),
    "F-theta": ({"ftheta_p1": 0.001}, "ftheta_p1, an F-theta"),
    "latlong": ({"latlong": True}, "latlong, a panorama"),
    "panorama": ({"equirectangular": True}, "equirectangular, a panorama"),
    "rolling shutter": ({"rolling_shutter": [0, 0, 1, 0]}, "rolling_shutter"),
    "a list of sixteen": ({"distortion_params": [0.1] * 16}, "distortion_params"),
    "two distortions": ({"distortion_params": [0.1, 0, 0, 0, 0, 0], "k1": 0.2}, "distortion_params"),
    "fisheye by text": ({"is_fisheye": "no"}, "is_fisheye"),
    "fisheye by number": ({"is_fisheye": 1}, "is_fisheye"),
    "a fisheye that is none": ({"is_fisheye": False, "camera_model": "OPENCV_FISHEYE"}, "contradict"),
    "none that is a fisheye": ({"is_fisheye": True, "camera_model": "OPENCV"}, "contradict"),
    "coefficient as text": ({"k1": "0.1"}, "k1"),
    "coefficient as truth": ({"k1": True}, "k1"),
}


@pytest.mark.parametrize("place", ["top", "frame"])
@pytest.mark.parametrize("case", REFUSED)
def test_what_no_camera_can_do_is_refused_by_name(tmp_path, case, place):
    keys, message = REFUSED[case]
    with pytest.raises(SceneError, match=message):
        first_camera(tmp_path, **{place: keys})


def test_zeros_of_these_are_fine(tmp_path):
    zeros = {
        "k5": 0,
        "k6": 0.0,
        "s1": 0,
        "ftheta_p0": 0,
        "latlong": False,
        "rolling_shutter": [0, 0, 0, 0],
        "is_fisheye": False,
    }
    assert not any(first_camera(tmp_path, top={**zeros, "distortion_params": [0] * 6}).distortion)


@pytest.mark.parametrize(
    ("keys", "distortion", "fisheye"),
    [
        ({"distortion_params": [0.1, 0.02, 0.003, 0.0004, 1e-3, 2e-3]}, (0.1, 0.02, 0.003, 0.0004, 1e-3, 2e-3), False),
        ({"camera_model": "FULL_OPENCV", "k1": 0.1, "k3": 0.01}, (0.1, 0, 0.01, 0, 0, 0), False),
        ({"camera_model": "SIMPLE_RADIAL_FISHEYE", "k1": 0.1}, (0.1, 0, 0, 0, 0, 0), True),
        ({"is_fisheye": True, "distortion_params": [0.1, 0, 0, 0.01, 0, 0]}, (0.1, 0, 0, 0.01, 0, 0), True),
    ],
)
def test_what_is_the_same_under_another_name_is_used(tmp_path, keys, distortion, fisheye):
    camera = first_camera(tmp_path, top=keys)
    assert (camera.distortion, camera.fisheye) == (distortion, fisheye)


def test_a_frame_states_a_whole_group_or_nothing_of_it(tmp_path):
    top = {"k1": 0.1, "p1": 0.01, "camera_angle_x": 2 * math.atan(6 / 10)}
    camera = first_camera(tmp_path / "focal", top, {"fl_x": 20.0})
    assert (camera.fx, camera.fy) == (20.0, 20.0)
    assert (camera.cx, camera.cy, camera.distortion[0]) == (5.5, 4.5, 0.1)
    camera = first_camera(tmp_path / "angle", top, {"camera_angle_x": math.pi / 2})
    assert (camera.fx, camera.fy) == (pytest.approx(6.0), pytest.approx(6.0))
    camera = first_camera(tmp_path / "other axis", top, {"fl_y": 15.0})
    assert (camera.fx, camera.fy) == (15.0, 15.0)
    camera = first_camera(tmp_path / "centre", top, {"cx": 7.0})
    assert (camera.cx, camera.cy) == (7.0, 4.0)
    camera = first_camera(tmp_path / "distortion", top, {"k2": 0.05})
    assert camera.distortion == (0, 0.05, 0, 0, 0, 0)
    camera = first_camera(tmp_path / "model", {"camera_model": "OPENCV_FISHEYE"}, {"is_fisheye": False})
    assert not camera.fisheye
    camera = first_camera(tmp_path / "null", top, {"fl_x": None, "k1": None})
    assert (camera.fx, camera.fy, camera.distortion[0]) == (10.0, 11.0, 0.1)


def test_instant_ngps_degrees(tmp_path):
    camera = first_camera(tmp_path / "x", {"x_fov": 90.0}, without=("fl_x", "fl_y"))
    assert (camera.fx, camera.fy) == (pytest.approx(6.0), pytest.approx(6.0))
    camera = first_camera(tmp_path / "y", {"camera_angle_y": math.pi / 2}, without=("fl_x", "fl_y"))
    assert (camera.fx, camera.fy) == (pytest.approx(4.0), pytest.approx(4.0))


def told(folder, top=None, frame=None):
    document = transforms(**(top or {}))
    for each in document["frames"]:
        each.update(frame or {})
    return " ".join(read_scene(write_capture(folder, document)).notes)


def test_each_known_key_is_in_one_place():
    assert not HARMLESS_ON_TOP & USED_ON_TOP
    assert not HARMLESS_IN_FRAMES & USED_IN_FRAMES
    assert not set(WHY_NOT) & (HARMLESS_ON_TOP | HARMLESS_IN_FRAMES | USED_ON_TOP | USED_IN_FRAMES)
    assert set(CARRIED) <= USED_ON_TOP


def test_harmless_keys_are_not_told(tmp_path):
    top = dict.fromkeys(HARMLESS_ON_TOP, 1.0)
    assert told(tmp_path, top, dict.fromkeys(HARMLESS_IN_FRAMES, 1.0)) == ""


@pytest.mark.parametrize("key", WHY_NOT)
def test_keys_that_are_not_used_are_told_with_the_reason(tmp_path, key):
    for name, keys in (("top", {"top": {key: 1}}), ("frame", {"frame": {key: 1}})):
        assert f"not used: {key} ({WHY_NOT[key]})" in told(tmp_path / name, **keys)


def test_unknown_keys_are_told_once_before_training_and_by_info(tmp_path, capsys):
    folder = write_capture(tmp_path, transforms(lens_shading="strong", **{"\x1b[31m": 1}))
    with pytest.warns(LerfWarning, match="not known") as caught:
        scene = load_scene(folder)
    assert len(caught) == len(scene.notes) == 1
    assert main(["info", str(folder)]) == 0
    said = capsys.readouterr()
    assert "lens_shading" in said.err.replace("\n", " ")
    assert "\x1b[31m" not in said.err
    many = told(tmp_path / "many", frame={f"key_{number:03d}_{'x' * 60}": 1 for number in range(300)})
    assert "and 292 more" in many
    assert len(many) < 600


def test_contradictions_and_halves_are_told(tmp_path):
    assert "fl_x is used" in told(tmp_path / "angle", {"camera_angle_x": 2.5})
    assert told(tmp_path / "agree", {"camera_angle_x": 2 * math.atan(6 / 10.02)}) == ""
    document = transforms()
    del document["h"], document["cy"]
    said = " ".join(read_scene(write_capture(tmp_path / "half", document)).notes)
    assert "w without h" in said
    assert "cx without cy" in said


@pytest.mark.parametrize("value", [3, ["a.png"], {"path": "a.png"}, True])
@pytest.mark.parametrize("key", ["mask_path", "file_path"])
def test_paths_of_another_type_are_refused(tmp_path, key, value):
    document = transforms()
    write_capture(tmp_path, document)
    document["frames"][2][key] = value
    write_transforms(tmp_path, document)
    with pytest.raises(SceneError, match=rf"Frame 2 of .*{key}"):
        load_scene(tmp_path)


def test_masks_and_rays_beside_the_photos_are_told(tmp_path):
    folder = write_capture(tmp_path)
    assert read_scene(folder).notes == ()
    save(folder / "masks/0000.png", picture(12, 8, 1, 1)[..., 0])
    save(folder / "images/dynamic_mask_0001.png", picture(12, 8, 1, 1)[..., 0])
    (folder / "images/rays_0001.dat").write_bytes(b"1")
    said = " ".join(read_scene(folder).notes)
    assert "Masks are those in" in said
    assert "dynamic masks" in said
    assert "rays_*" in said
    document = transforms()
    document["frames"][0]["mask_path"] = "masks/0000.png"
    assert "Masks are" not in " ".join(read_scene(write_transforms(folder, document)).notes)


def test_a_camera_that_moves_within_a_photo_is_refused(tmp_path):
    document = transforms()
    for frame in document["frames"]:
        matrix = frame.pop("transform_matrix")
        frame |= {"transform_matrix_start": matrix, "transform_matrix_end": matrix}
    scene = read_scene(write_capture(tmp_path, document))
    np.testing.assert_allclose(scene.photos[1].camera.camera_to_world, ring(4)[1][:3], atol=1e-12)
    document["frames"][1]["transform_matrix_end"] = ring(4)[2].tolist()
    with pytest.raises(SceneError, match=r"Frame 1 of .* moves from transform_matrix_start"):
        load_scene(write_transforms(tmp_path, document))


def test_twenty_thousand_frames_take_seconds(tmp_path):
    """A tenth of a millisecond and a little more a frame, on a machine that does other work as well."""
    matrices = [pose.tolist() for pose in ring(20_000)]
    frames = [
        {"file_path": f"images/{number}.png", "transform_matrix": matrix} for number, matrix in enumerate(matrices)
    ]
    folder = write_transforms(tmp_path, {**transforms(), "frames": frames})
    content = read_frames(folder / "transforms.json")
    start = time.process_time()
    shots = read_shots(content, folder / "transforms.json", PhotoFinder(), [])
    assert time.process_time() - start < 10.0
    assert shots[-1].name == "images/19999.png"
    frames[15_000]["transform_matrix"] = [[0.0] * 4] * 3
    shots = read_shots({**transforms(), "frames": frames}, folder / "transforms.json", PhotoFinder(), [])
    start = time.process_time()
    checked = check_poses([shot.pose for shot in shots], [shot.name for shot in shots])
    assert time.process_time() - start < 10.0
    assert list(checked.problems) == [15_000]
    assert "15000.png is not a rotation" in checked.problems[15_000]
