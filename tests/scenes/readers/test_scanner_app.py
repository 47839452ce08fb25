"""3d Scanner App: rows of ARKit's matrices, half a pixel, and photos of some frames only."""

import json

import numpy as np
import pytest
from posed_samples import LARGEST_ERROR, points_before, project, write_small
from scene_files import look_at

from lerf.errors import SceneError
from lerf.scenes.load import find_poses, read_scene

SIZE = (96, 72)
FOCAL, CENTRE = 72.4, (48.3, 34.6)
COUNT = 13
POSES = [look_at((2, 0.1 * number, 1.2), (0, 0.05 * number, 0)) for number in range(COUNT)]


def frame(number, pose, **changes):
    """As the app writes it; the projection as in the vendor's sample scan, half a pixel off the intrinsics."""
    width, height = SIZE
    across, down = 1 - 2 * (CENTRE[0] + 0.5) / width, 2 * (CENTRE[1] + 0.5) / height - 1
    projection = [2 * FOCAL / width, 0, across, 0, 0, 2 * FOCAL / height, down, 0, 0, 0, -1, -0.001, 0, 0, -1, 0]
    return {
        "exposureDuration": 0.016, "cameraPoseARFrame": pose.ravel().tolist(), "motionQuality": 1,
        "time": 402896.9 + number / 30, "frame_index": number, "projectionMatrix": projection,
        "intrinsics": [FOCAL, 0, CENTRE[0], 0, FOCAL, CENTRE[1], 0, 0, 1], **changes,
    }  # fmt: skip


def write(folder, photos=range(0, COUNT, 3), **changes):
    folder.mkdir(parents=True, exist_ok=True)
    for number, pose in enumerate(POSES):
        content = frame(number, pose, **(changes if number == 3 else {}))
        (folder / f"frame_{number:05d}.json").write_text(json.dumps(content))
    write_small(folder, [f"frame_{number:05d}.jpg" for number in photos], SIZE)
    write_small(folder, [f"{kind}_{number:05d}.png" for number in range(COUNT) for kind in ("conf", "depth")], (12, 9))
    write_small(folder, ["textured_output_0.png", "thumb_00000.jpg"], (64, 64))
    (folder / "info.json").write_text('{"device": "iPhone"}')
    return folder


def test_a_point_lands_where_the_vendors_example_has_it(tmp_path):
    """projection @ inverse(pose) @ point, divided by w; column (0.5 + x / 2) * width, row (0.5 - y / 2) * height."""
    scene = read_scene(write(tmp_path))
    for photo, number in zip(scene.photos, range(0, COUNT, 3), strict=True):
        points = points_before(photo.camera.camera_to_world)
        content = json.loads((tmp_path / f"frame_{number:05d}.json").read_text())
        pose, projection = (np.array(content[key]).reshape(4, 4) for key in ("cameraPoseARFrame", "projectionMatrix"))
        clip = np.column_stack([points, np.ones(len(points))]) @ (projection @ np.linalg.inv(pose)).T
        device = clip[:, :3] / clip[:, 3:]
        expected = np.stack([(0.5 + device[:, 0] * 0.5) * SIZE[0], (1 - (0.5 + device[:, 1] * 0.5)) * SIZE[1]], 1)
        assert np.abs(project(photo.camera, points) - expected).max() < LARGEST_ERROR


def test_frames_with_photos_are_used_and_what_lies_beside_is_no_photo(tmp_path):
    scene = read_scene(write(tmp_path))
    assert [photo.name for photo in scene.photos] == [f"frame_{number:05d}.jpg" for number in range(0, COUNT, 3)]
    assert scene.notes == (f"5 of the 13 frames in {tmp_path} have a photo, as the app keeps one of several.",)
    assert scene.metadata["format"] == "3d-scanner-app"
    assert read_scene(tmp_path / "frame_00004.json").photos[1].path == scene.photos[1].path


def test_reduced_photos_are_known_from_the_projection(tmp_path):
    folder = write(tmp_path, ())
    write_small(folder, [f"frame_{number:05d}.jpg" for number in range(0, COUNT, 3)], (48, 36))
    camera = read_scene(folder).photos[0].camera
    assert (camera.width, camera.fx, camera.cx) == (48, FOCAL / 2, (CENTRE[0] + 0.5) / 2)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"cameraPoseARFrame": [1.0] * 12}, r"frame_00003\.json has another content"),
        (
            {"intrinsics": [FOCAL, 0, 0, 0, FOCAL, 0, 48.3, 34.6, 1]},
            r"The intrinsics of frame_00003\.jpg are not fx, 0",
        ),
        ({"projectionMatrix": [0.0] * 16}, r"The projectionMatrix of frame_00003\.jpg is no projection"),
        ({"cameraPoseARFrame": [float("nan")] * 16}, r"frame_00003\.jpg contains NaN .*--missing skip leaves it out"),
    ],
)
def test_frames_that_cannot_be(tmp_path, changes, said):
    write(tmp_path, **changes)
    with pytest.raises(SceneError, match=said):
        read_scene(tmp_path)


def test_a_scan_without_photos_and_other_frames(tmp_path):
    write(tmp_path / "scan", ())
    with pytest.raises(SceneError, match=r"None of the 13 frames in .* has a photo"):
        read_scene(tmp_path / "scan")
    (tmp_path / "frame_1.json").write_text('{"shapes": []}')
    assert find_poses(tmp_path) == []
