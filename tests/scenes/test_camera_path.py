"""nerfstudio's camera path files: its frame, reading, writing, and what is refused."""

import json
import math
import warnings
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from lerf.errors import ConfigError, LerfWarning, SceneError
from lerf.geometry.camera import Camera
from lerf.geometry.similarity import Similarity
from lerf.scenes.camera_path import (
    OWN_ENTRY,
    CameraPath,
    nerfstudio_frame,
    read_camera_path,
    read_nerfstudio_transform,
    write_camera_path,
)
from lerf.scenes.load import load_scene
from lerf.scenes.nerfstudio_frame import with_frame


@pytest.fixture(scope="module")
def scene(drawn):
    return load_scene(drawn.folder)


def by_nerfstudio(poses: np.ndarray) -> tuple[np.ndarray, float]:
    """nerfstudio's dataparser with its defaults, step by step: oriented poses [n, 4, 4] and the scale."""
    poses = poses.copy()
    centre = poses[:, :3, 3].mean(0)
    up = poses[:, :3, 1].mean(0)
    up = up / np.linalg.norm(up)
    v, c = np.cross(up, [0.0, 0.0, 1.0]), up[2]
    skew = np.array([[0, -v[2], v[1]], [v[2], 0, -v[0]], [-v[1], v[0], 0]])
    rotation = np.eye(3) + skew + skew @ skew * ((1 - c) / (v @ v + 1e-8))
    transform = np.concatenate([rotation, rotation @ -centre[:, None]], 1)
    poses[:, :3] = transform @ poses
    scale = 1.0 / np.abs(poses[:, :3, 3]).max()
    poses[:, :3, 3] *= scale
    return poses, scale


def homogeneous(poses: np.ndarray) -> np.ndarray:
    return np.concatenate([poses, np.tile([[[0.0, 0.0, 0.0, 1.0]]], (len(poses), 1, 1))], 1)


def capture_poses(scene) -> np.ndarray:
    return np.stack([photo.camera.camera_to_world for photo in scene.photos])


def document(scene, **changes):
    """A file as nerfstudio's viewer writes it, of cameras that stand where the photos' do."""
    poses, _ = by_nerfstudio(homogeneous(capture_poses(scene)))
    frames = [{"camera_to_world": pose.reshape(-1).tolist(), "fov": 50.0, "aspect": 4 / 3} for pose in poses]
    keyframes = [{"matrix": frame["camera_to_world"], "fov": 50.0, "aspect": 4 / 3} for frame in frames[::4]]
    whole = {
        "default_fov": 50.0, "default_transition_sec": 2.0, "keyframes": keyframes, "camera_type": "perspective",
        "render_height": 60, "render_width": 80, "fps": 30.0, "seconds": len(frames) / 12, "is_cycle": True,
        "smoothness_value": 0.0, "camera_path": frames, **changes,
    }  # fmt: skip
    return {name: value for name, value in whole.items() if value is not ...}


def written(tmp_path, content):
    path = tmp_path / "path.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_the_frame_is_that_of_nerfstudios_defaults(scene):
    expected, scale = by_nerfstudio(homogeneous(capture_poses(scene)))
    frame = nerfstudio_frame(scene)
    np.testing.assert_allclose(frame.apply_poses(capture_poses(scene)), expected[:, :3], atol=1e-6)
    assert frame.scale == pytest.approx(scale)
    assert np.abs(frame.apply_points(capture_poses(scene)[:, :, 3])).max() == pytest.approx(1.0)


def test_an_orientation_override_is_followed_or_refused(scene):
    plain = nerfstudio_frame(replace(scene, metadata={"orientation_override": "none"}))
    np.testing.assert_array_equal(plain.rotation, np.eye(3))
    with pytest.raises(SceneError, match="--transforms"):
        nerfstudio_frame(replace(scene, metadata={"orientation_override": "pca"}))


def test_a_file_of_nerfstudio_puts_cameras_where_the_photos_stand(scene, tmp_path):
    path = read_camera_path(written(tmp_path, document(scene)), scene)
    np.testing.assert_allclose([camera.camera_to_world for camera in path.cameras], capture_poses(scene), atol=1e-6)
    assert path.size == (80, 60)
    assert path.frames_a_second == pytest.approx(12.0)
    assert path.keyframes == tuple(range(0, len(scene), 4))
    assert path.loop
    first = path.cameras[0]
    # The ray through the middle of the upper border leaves at half the field of view.
    assert math.degrees(math.atan(first.cy / first.fy)) == pytest.approx(25.0)
    assert (first.fx, first.cx, first.cy) == (first.fy, 40.0, 30.0)


def test_speed_without_seconds_and_without_anything(scene, tmp_path):
    assert read_camera_path(written(tmp_path, document(scene, seconds=...)), scene).frames_a_second == 30.0
    assert read_camera_path(written(tmp_path, document(scene, seconds=..., fps=...)), scene).frames_a_second == 24.0


def test_the_transform_of_a_nerfstudio_run(scene, tmp_path):
    """nerfstudio's matrix starts from the frame before `applied_transform`, and its scale contains `applied_scale`."""
    applied = np.concatenate([Rotation.from_euler("xyz", [90, 20, 5], degrees=True).as_matrix(), [[0.3], [-1], [2]]], 1)
    oriented, scale = by_nerfstudio(homogeneous(capture_poses(scene)))
    frame = nerfstudio_frame(scene)
    matrix = np.concatenate([frame.rotation, frame.translation[:, None] / scale], 1)
    whole = matrix @ np.vstack([applied, [0, 0, 0, 1]])
    saved = written(tmp_path, {"transform": whole.tolist(), "scale": scale * 0.5})
    told = replace(scene, metadata={"applied_transform": applied.tolist(), "applied_scale": 0.5})
    found = read_nerfstudio_transform(saved, told)
    np.testing.assert_allclose(found.apply_poses(capture_poses(scene)), oriented[:, :3], atol=1e-6)
    for broken in (
        {"transform": whole.tolist()},
        {"transform": [[1]], "scale": 1},
        {"transform": (2 * whole).tolist(), "scale": 1},
    ):
        with pytest.raises(SceneError, match=r"path\.json"):
            read_nerfstudio_transform(written(tmp_path, broken), scene)


@settings(max_examples=8)
@given(st.integers(0, 2**32 - 1), st.booleans(), st.integers(1, 40))
def test_what_is_written_is_read_again(scene, tmp_path_factory, seed, fisheye, count):
    random = np.random.default_rng(seed)
    rotations = Rotation.random(count, random_state=seed).as_matrix()
    positions = random.normal(size=(count, 3, 1)) * 10
    focal = random.uniform(20, 200, count)
    cameras = tuple(
        Camera(64, 48, f, f, 32.0, 24.0, np.concatenate([r, p], 1), fisheye=fisheye)
        for r, p, f in zip(rotations, positions, focal.tolist(), strict=True)
    )
    marks = tuple(sorted({0, count // 2, count - 1}))
    place = tmp_path_factory.mktemp("path") / "path.json"
    write_camera_path(place, CameraPath(cameras, 25.0, marks, True), scene)
    again = read_camera_path(place, scene)
    assert (again.frames_a_second, again.keyframes, again.loop) == (pytest.approx(25.0), marks, True)
    for ours, theirs in zip(cameras, again.cameras, strict=True):
        np.testing.assert_allclose(theirs.camera_to_world, ours.camera_to_world, atol=1e-9)
        assert (theirs.fx, theirs.fy) == (pytest.approx(ours.fx), pytest.approx(ours.fy))
        assert (theirs.width, theirs.height, theirs.fisheye) == (64, 48, fisheye)


def test_a_written_file_has_what_nerfstudio_reads(scene, tmp_path):
    cameras = tuple(photo.camera for photo in scene.photos)
    place = tmp_path / "sub" / "path.json"
    write_camera_path(place, CameraPath(cameras, 8.0), scene)
    saved = json.loads(place.read_text())
    expected, _ = by_nerfstudio(homogeneous(capture_poses(scene)))
    np.testing.assert_allclose(
        [np.reshape(frame["camera_to_world"], (4, 4)) for frame in saved["camera_path"]], expected, atol=1e-6
    )
    assert (saved["camera_type"], saved["render_width"], saved["render_height"]) == ("perspective", 96, 72)
    assert saved["seconds"] * saved["fps"] == pytest.approx(len(cameras))
    assert saved["camera_path"][0]["fov"] == pytest.approx(math.degrees(cameras[0].vertical_angle))
    # Four marks over three seconds, the ends among them.
    assert len(saved["keyframes"]) == 4
    assert saved["keyframes"][-1]["matrix"] == saved["camera_path"][-1]["camera_to_world"]
    assert set(saved["keyframes"][0]) >= {"matrix", "fov", "aspect", "override_transition_enabled"}


def test_the_frame_that_a_file_names_wins_over_the_default_and_a_given_one_over_both(scene, tmp_path):
    frame = Similarity(Rotation.from_euler("z", 30, degrees=True).as_matrix(), np.array([1.0, 2.0, 3.0]), 0.1)
    cameras = tuple(photo.camera for photo in scene.photos)
    place = tmp_path / "path.json"
    write_camera_path(place, CameraPath(cameras, 8.0), scene, frame)
    again = read_camera_path(place, scene)
    np.testing.assert_allclose([c.camera_to_world for c in again.cameras], capture_poses(scene), atol=1e-9)
    elsewhere = read_camera_path(place, scene, Similarity.identity())
    np.testing.assert_allclose(
        [c.camera_to_world for c in elsewhere.cameras], frame.apply_poses(capture_poses(scene)), atol=1e-9
    )
    saved = json.loads(place.read_text())
    saved[OWN_ENTRY] = {"scale": 1}
    with pytest.raises(SceneError, match="3x3 rotation"):
        read_camera_path(written(tmp_path, saved), scene)


BROKEN = {
    "not JSON": "{",
    "a list": [],
    "no frames": {"camera_path": []},
    "equirectangular": {"camera_type": "equirectangular"},
    "no width": {"render_width": ...},
    "no height": {"render_height": 0},
    "a huge picture": {"render_width": 10**9},
    "speed": {"seconds": ..., "fps": "fast"},
    "a short matrix": {"camera_path": [{"camera_to_world": [1, 2, 3], "fov": 50}]},
    "a mirror": {"camera_path": [{"camera_to_world": [-1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1], "fov": 50}]},
    "NaN": {"camera_path": [{"camera_to_world": [math.nan] * 16, "fov": 50}]},
    "no fov": {"camera_path": [{"camera_to_world": np.eye(4).reshape(-1).tolist()}]},
    "fov of 180": {"camera_path": [{"camera_to_world": np.eye(4).reshape(-1).tolist(), "fov": 180}]},
}


@pytest.mark.parametrize("case", BROKEN)
def test_files_that_cannot_be_used(scene, tmp_path, case):
    content = BROKEN[case]
    if isinstance(content, dict):
        content = document(scene, **content)
    with pytest.raises(SceneError, match=r"path\.json"):
        read_camera_path(written(tmp_path, content), scene)


def test_a_missing_file(scene, tmp_path):
    with pytest.raises(SceneError, match="cannot be read"):
        read_camera_path(tmp_path / "none.json", scene)


def test_old_keyframes_are_left_and_a_crop_is_named(scene, tmp_path):
    old = document(scene, keyframes=[{"matrix": "[1,0,0]"}])
    assert read_camera_path(written(tmp_path, old), scene).keyframes == ()
    with pytest.warns(LerfWarning, match="crop"):
        read_camera_path(written(tmp_path, document(scene, crop={"crop_center": [0, 0, 0]})), scene)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_camera_path(written(tmp_path, document(scene, crop=None)), scene)


def test_paths_that_cannot_be_written(scene, tmp_path):
    camera = scene.photos[0].camera
    for cameras in ((), (camera, camera.scaled_to(10, 10))):
        with pytest.raises(ConfigError, match="one camera or more"):
            write_camera_path(tmp_path / "path.json", CameraPath(cameras, 24.0), scene)
    assert not list(tmp_path.iterdir())


def test_another_size_keeps_the_field_of_view(scene):
    path = CameraPath((scene.photos[0].camera,), 24.0).scaled_to(48, 36)
    assert path.size == (48, 36)
    assert path.cameras[0].vertical_angle == pytest.approx(scene.photos[0].camera.vertical_angle)


def test_rows_in_place_of_numbers_are_the_same_path(scene, tmp_path):
    plain = document(scene)
    rows = [{**f, "camera_to_world": np.reshape(f["camera_to_world"], (4, 4)).tolist()} for f in plain["camera_path"]]
    ours = read_camera_path(written(tmp_path, plain), scene)
    theirs = read_camera_path(written(tmp_path, {**plain, "camera_path": rows}), scene)
    for one, other in zip(ours.cameras, theirs.cameras, strict=True):
        np.testing.assert_array_equal(one.camera_to_world, other.camera_to_world)


BEYOND = {
    "far": {"camera_path": [{"camera_to_world": [1, 0, 0, 1e200, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1], "fov": 50}]},
    "a narrow view": {"camera_path": [{"camera_to_world": np.eye(4).reshape(-1).tolist(), "fov": 1e-9}]},
    "fov as text": {"camera_path": [{"camera_to_world": np.eye(4).reshape(-1).tolist(), "fov": "50"}]},
    "fov as truth": {"camera_path": [{"camera_to_world": np.eye(4).reshape(-1).tolist(), "fov": True}]},
    "numbers as text": {"camera_path": [{"camera_to_world": ["1"] * 16, "fov": 50}]},
    "frames as text": {"camera_path": "all"},
    "no time": {"seconds": 1e-300},
    "for ever": {"seconds": 1e300},
    "no speed": {"seconds": ..., "fps": 1e-30},
    "seconds as text": {"seconds": "4"},
    "a loop as text": {"is_cycle": "no"},
    "a camera of another type": {"camera_type": 3},
}


@pytest.mark.parametrize("case", BEYOND)
def test_values_of_another_type_or_beyond_bounds(scene, tmp_path, case):
    with pytest.raises(SceneError, match=r"path\.json"):
        read_camera_path(written(tmp_path, document(scene, **BEYOND[case])), scene)


def test_keyframes_beyond_bounds_are_left(scene, tmp_path):
    far = document(scene, keyframes=[{"matrix": [1e300] * 16}])
    assert read_camera_path(written(tmp_path, far), scene).keyframes == ()


def test_unknown_keys_are_told(scene, tmp_path):
    content = document(scene, time_warp=2)
    content["camera_path"][3]["render_time"] = 0.5
    with pytest.warns(LerfWarning, match="not used: time_warp, render_time"):
        read_camera_path(written(tmp_path, content), scene)


def test_corrected_poses_keep_the_frame_of_the_capture(scene):
    """nerfstudio's frame follows from the poses of the files, whatever training makes of them."""
    moved = [
        replace(photo, camera=photo.camera.moved(Similarity(np.eye(3), np.array([0.1, 0.0, 0.0]), 1.0)))
        for photo in scene.photos[:5]
    ]
    refined = replace(scene, photos=(*moved, *scene.photos[5:]), metadata=with_frame(scene))
    assert nerfstudio_frame(refined).to_dict() == nerfstudio_frame(scene).to_dict()
    assert nerfstudio_frame(replace(refined, metadata=scene.metadata)).to_dict() != nerfstudio_frame(scene).to_dict()
    unknown = replace(scene, metadata={"orientation_override": "pca"})
    assert with_frame(unknown) == unknown.metadata
