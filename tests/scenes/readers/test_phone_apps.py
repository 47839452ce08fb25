"""Record3D's and Polycam's own files: ARKit's cameras, intrinsics of each photo, depths that are left alone."""

import json
import math

import numpy as np
import pytest
from posed_samples import LARGEST_ERROR, points_before, project, write_small
from scene_files import look_at, ring
from scipy.spatial.transform import Rotation

from lerf.errors import SceneError
from lerf.scenes.load import find_poses, read_scene

SIZE = (24, 36)
COUNT = 5
POSES = [look_at((2, 0.2 * number, 1.0 - 0.1 * number), (0, 0.1 * number, 0)) for number in range(COUNT)]
LENSES = [[30.0 + number, 30.5 + number, 11.5, 18.25 + number / 8] for number in range(COUNT)]


def record3d(poses=POSES, **changes):
    """As Record3D 1.10 writes it: quaternions x, y, z, w, positions, and K column by column."""
    listed = [[*Rotation.from_matrix(pose[:3, :3]).as_quat().tolist(), *pose[:3, 3].tolist()] for pose in poses]
    return {
        "h": SIZE[1], "fps": 60, "w": SIZE[0], "dw": 192, "dh": 256, "cameraType": 1, "initPose": listed[0],
        "K": [30.0, 0, 0, 0, 30.5, 0, 11.5, 18.25, 1], "frameTimestamps": [0.1 * n for n in range(len(poses))],
        "poses": listed, **changes,
    }  # fmt: skip


def write_record3d(folder, content, photos=None, place="rgb", name="metadata.json"):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps(content))
    write_small(folder / place, photos or [f"{number}.jpg" for number in range(COUNT)], SIZE)
    return folder


def pixels(points, pose, lens):
    """fx x / depth + cx and fy y / depth + cy, of ARKit's camera: y up, z backwards."""
    x, y, z = ((points - pose[:3, 3]) @ pose[:3, :3]).T
    fx, fy, cx, cy = lens
    return np.stack([fx * x / -z + cx, fy * -y / -z + cy], 1)


def agrees(scene, poses=POSES, lenses=LENSES):
    for photo, pose, lens in zip(scene.photos, poses, lenses, strict=True):
        points = points_before(photo.camera.camera_to_world)
        assert np.abs(project(photo.camera, points) - pixels(points, pose, lens)).max() < LARGEST_ERROR


def test_record3d_projects_as_its_converters_say(tmp_path):
    scene = read_scene(write_record3d(tmp_path / "one", record3d()))
    agrees(scene, lenses=[LENSES[0]] * COUNT)
    assert [photo.name for photo in scene.photos] == [f"rgb/{number}.jpg" for number in range(COUNT)]
    assert (scene.notes, scene.metadata["format"]) == ((), "record3d")
    each = read_scene(write_record3d(tmp_path / "each", record3d(perFrameIntrinsicCoeffs=LENSES)))
    agrees(each)


def test_k_row_by_row_is_told_from_its_zeros(tmp_path):
    rows = [30.0, 0, 11.5, 0, 30.5, 18.25, 0, 0, 1]
    agrees(read_scene(write_record3d(tmp_path, record3d(K=rows))), lenses=[LENSES[0]] * COUNT)
    write_record3d(tmp_path, record3d(K=[30.0, 0, 11.5, 0, 30.5, 18.25, 7, 0, 1]))
    with pytest.raises(SceneError, match="is no matrix of focal lengths and a principal point"):
        read_scene(tmp_path)


@pytest.mark.parametrize(
    ("name", "place", "above"),
    [("metadata.json", "rgb", "."), ("metadata.json", "rgb", "EXR_RGBD"), ("metadata", "rgbd", ".")],
)
def test_the_export_and_an_unpacked_archive(tmp_path, name, place, above):
    write_record3d(tmp_path / above, record3d(), place=place, name=name)
    (tmp_path / above / "depth").mkdir()
    scene = read_scene(tmp_path)
    assert scene.photos[2].path == tmp_path / above / place / "2.jpg"
    assert scene.notes == (
        f"Depths found and not used, as depths are not learnt from: those in {tmp_path / above / 'depth'}.",
    )


def test_an_archive_is_to_be_unpacked(tmp_path):
    (tmp_path / "scan.r3d").write_bytes(b"PK\x03\x04")
    with pytest.raises(SceneError, match="is an archive: unpack it"):
        read_scene(tmp_path / "scan.r3d")


def test_photos_are_in_the_order_of_their_numbers(tmp_path):
    poses = ring(12)
    write_record3d(tmp_path, record3d(poses), [f"{number}.jpg" for number in range(12)])
    scene = read_scene(tmp_path)
    assert [photo.path.stem for photo in scene.photos] == [str(number) for number in range(12)]
    agrees(scene, poses, [LENSES[0]] * 12)


def test_photos_that_are_gone_are_skipped_with_their_poses(tmp_path):
    write_record3d(tmp_path, record3d(), [f"{number}.jpg" for number in (0, 1, 3, 4)])
    with pytest.raises(SceneError, match=r"Photo rgb/2\.jpg is missing: .*--missing skip leaves it out"):
        read_scene(tmp_path)
    scene = read_scene(tmp_path, missing="skip")
    agrees(scene, [POSES[number] for number in (0, 1, 3, 4)], [LENSES[0]] * 4)


@pytest.mark.parametrize(
    ("changes", "photos", "said"),
    [
        ({"K": None}, None, "has neither K nor perFrameIntrinsicCoeffs"),
        ({"perFrameIntrinsicCoeffs": LENSES[:3]}, None, "has 5 poses and intrinsics for 3 photos"),
        ({"poses": [[1, 2, 3]] * 5}, None, "another content than it should"),
        ({"w": 24.5}, None, "picture size"),
        ({}, ["0.jpg", "1.jpg", "7.jpg"], r"has 5 poses, and .*rgb 3 photos up to 7\.jpg"),
        ({}, ["a.jpg", "b.jpg"], "has no photos that are called 0.jpg"),
    ],
)
def test_what_record3d_does_not_write(tmp_path, changes, photos, said):
    write_record3d(tmp_path, {**record3d(), **changes}, photos)
    with pytest.raises(SceneError, match=said):
        read_scene(tmp_path)


def test_a_metadata_of_something_else(tmp_path):
    (tmp_path / "metadata.json").write_text('{"title": "holiday"}')
    assert find_poses(tmp_path) == []


def keyframe(pose, lens, **changes):
    """As Polycam writes it; `cx` and `cy` are of the photo's own size."""
    matrix = {f"t_{row}{column}": float(pose[row, column]) for row in range(3) for column in range(4)}
    return {
        "angular_velocity": 0.1, "blur_score": 180.5, "center_depth": 1.5, "height": SIZE[1], "width": SIZE[0],
        "manual_keyframe": False, "timestamp": 52345678901, "neighbors": [],
        **dict(zip(("fx", "fy", "cx", "cy"), lens, strict=True)), **matrix, **changes,
    }  # fmt: skip


TIMES = [99_000_000 + 700_000 * number for number in range(COUNT)]
"""The third has more digits than the second."""


def write_polycam(folder, cameras="corrected_cameras", images="corrected_images", times=TIMES):
    for time, pose, lens in zip(times, POSES, LENSES, strict=True):
        file = folder / f"keyframes/{cameras}/{time}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(keyframe(pose, lens)))
    write_small(folder / "keyframes" / images, [f"{time}.jpg" for time in times], SIZE)
    write_small(folder / "keyframes/depth", [f"{time}.png" for time in times], (8, 12))
    write_small(folder / "keyframes/confidence", [f"{time}.png" for time in times], (8, 12))
    return folder


def test_polycam_projects_as_its_readme_says(tmp_path):
    scene = read_scene(write_polycam(tmp_path))
    agrees(scene)
    assert [photo.name for photo in scene.photos] == [f"keyframes/corrected_images/{time}.jpg" for time in TIMES]
    assert (scene.notes, scene.metadata["format"]) == ((), "polycam")
    for given in ("keyframes", "keyframes/corrected_cameras", f"keyframes/corrected_cameras/{TIMES[0]}.json"):
        assert read_scene(tmp_path / given).photos[1].path == scene.photos[1].path


def test_polycams_corrected_photos_go_first_and_their_absence_is_told(tmp_path):
    write_polycam(tmp_path / "both")
    write_polycam(tmp_path / "both", "cameras", "images")
    assert read_scene(tmp_path / "both").photos[0].path.parent.name == "corrected_images"
    scene = read_scene(write_polycam(tmp_path / "raw", "cameras", "images"))
    agrees(scene)
    assert scene.notes[0].startswith("Polycam's corrected_cameras and corrected_images are not there: poses are those")
    write_polycam(tmp_path / "half", "corrected_cameras", "images")
    write_polycam(tmp_path / "half", "cameras", "images")
    assert read_scene(tmp_path / "half").metadata["cameras"] == "cameras"


def test_one_of_polycams_photos_or_poses_is_missing(tmp_path):
    write_polycam(tmp_path)
    (tmp_path / f"keyframes/corrected_images/{TIMES[1]}.jpg").unlink()
    broken = tmp_path / f"keyframes/corrected_cameras/{TIMES[3]}.json"
    broken.write_text(json.dumps(keyframe(POSES[3], LENSES[3], t_12=math.nan)))
    with pytest.raises(SceneError, match="contains NaN or infinity"):
        read_scene(tmp_path)
    scene = read_scene(tmp_path, missing="skip")
    assert len(scene.photos) == 3
    assert (
        f"1 of 5 photos, whose file is not there, are left out: keyframes/corrected_images/{TIMES[1]}.jpg."
        in scene.notes
    )
    broken.write_text('{"t_00": 1.0}')
    with pytest.raises(SceneError, match=rf"{TIMES[3]}\.json has another content"):
        read_scene(tmp_path, missing="skip")
