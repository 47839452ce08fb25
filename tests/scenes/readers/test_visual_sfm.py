"""VisualSFM's NVM files: measurement distortion, both forms of poses, several models, damaged files."""

import numpy as np
import pytest
from pose_tools import (
    POINTS,
    camera_of,
    loaded,
    points_of,
    poses,
    project,
    refused,
    same,
    world_to_camera,
    write_photos,
)
from scipy.spatial.transform import Rotation

from lerf.errors import SceneError

F = 70.0
NAMES = [f"my photo {number}.jpg" for number in range(6)]
SIZE = (60, 40)


def quoted(name):
    return name.replace(" ", '"')


def line(name, pose, radial=0.0, matrices=False):
    rotation, translation = world_to_camera(pose)
    if matrices:
        values = [*rotation.ravel(), *translation]
    else:
        x, y, z, w = Rotation.from_matrix(rotation).as_quat()
        values = [w, x, y, z, *pose[:3, 3]]
    return " ".join([quoted(name), *(repr(float(value)) for value in (F, *values, radial)), "0"])


def undistorted(pose, world):
    """Where an ideal lens puts points, in pixels from the principal point, y down."""
    rotation, translation = world_to_camera(pose)
    local = world @ rotation.T + translation
    return F * local[:, :2] / local[:, 2:]


def model(cameras, points=POINTS):
    lines = [str(len(cameras)), *cameras, "", str(len(points))]
    for number, point in enumerate(points):
        seen = [index for index in range(len(cameras)) if (index + number) % 2]
        entries = " ".join(f"{index} {number} 1.5 -2.5" for index in seen)
        lines.append(f"{' '.join(map(repr, point.tolist()))} {number} 20 30 {len(seen)} {entries}")
    return "\n".join(lines)


def write(folder, *models, header="NVM_V3"):
    folder.mkdir(parents=True, exist_ok=True)
    text = "\n\n".join([header, *models, "0", "#the last part of NVM file points to the PLY files", "1 0"])
    (folder / "result.nvm").write_text(text + "\n")
    write_photos(folder, NAMES, SIZE)
    return folder


@pytest.mark.parametrize("matrices", [False, True])
def test_points_land_where_an_ideal_lens_puts_them(tmp_path, matrices):
    cameras = [line(name, pose, matrices=matrices) for name, pose in zip(NAMES, poses(), strict=True)]
    write(tmp_path, model(cameras), header="NVM_V3_R9T" if matrices else "NVM_V3")
    scene = loaded(tmp_path, "visual-sfm")
    for name, pose in zip(NAMES, poses(), strict=True):
        same(project(camera_of(scene, name), POINTS), np.add(undistorted(pose, POINTS), [30, 20]))


def formula_error(folder, radial=0.08):
    """Pixels between this project's projection and the adjuster's of a capture written into a folder, at most."""
    cameras = [line(name, pose, radial) for name, pose in zip(NAMES, poses(), strict=True)]
    scene = loaded(write(folder, model(cameras)), "visual-sfm")
    worst = 0.0
    for name, pose in zip(NAMES, poses(), strict=True):
        measured = project(camera_of(scene, name), POINTS) - [30, 20]
        squared = (measured**2).sum(1, keepdims=True) / F**2
        inside = np.abs(measured / [30, 20]).max(1) <= 1
        assert inside.sum() > 10
        worst = max(worst, same((measured * (1 + radial * squared))[inside], undistorted(pose, POINTS)[inside]))
    return worst


@pytest.mark.parametrize("radial", [0.08, -0.05])
def test_measurements_are_undistorted_as_the_adjuster_does(tmp_path, radial):
    formula_error(tmp_path, radial)


def test_a_calibration_for_all_photos(tmp_path):
    cameras = [line(name, pose) for name, pose in zip(NAMES, poses(), strict=True)]
    write(tmp_path, model(cameras), header=f"NVM_V3 FixedK {F} 31.5 {F * 1.1} 18.25")
    scene = loaded(tmp_path, "visual-sfm")
    for name, pose in zip(NAMES, poses(), strict=True):
        same(project(camera_of(scene, name), POINTS), undistorted(pose, POINTS) * [1, 1.1] + [31.5, 18.25])


def test_points_and_what_sees_them(tmp_path):
    cameras = [line(name, pose) for name, pose in zip(NAMES, poses(), strict=True)]
    found = points_of(loaded(write(tmp_path, model(cameras)), "visual-sfm"))
    np.testing.assert_array_equal(found.positions, POINTS)
    assert found.colours[5].tolist() == [5, 20, 30]
    assert found.names == tuple(NAMES)
    expected = [[point, photo] for point in range(len(POINTS)) for photo in range(6) if (photo + point) % 2]
    assert found.observations.tolist() == expected


def test_the_largest_model_is_used_and_told(tmp_path):
    cameras = [line(name, pose) for name, pose in zip(NAMES, poses(), strict=True)]
    unplaced = [f"{quoted(f'x{number}.jpg')} {F} 1 0 0 0 0 0 0 0 0" for number in range(9)]
    write(tmp_path, model(cameras[:2], POINTS[:4]), model(cameras[2:]), model(unplaced, []))
    scene = loaded(tmp_path, "visual-sfm")
    assert [photo.name for photo in scene.photos] == NAMES[2:]
    assert any("has 2 models: that with 4 photos is used, not 2." in note for note in scene.notes)
    assert any("2 of 6 photos have no pose" in note for note in scene.notes)
    assert len(points_of(scene)) == len(POINTS)


def test_names_with_blanks_as_colmap_writes_them(tmp_path):
    cameras = [line(name, pose).replace('"', " ") for name, pose in zip(NAMES, poses(), strict=True)]
    assert [photo.name for photo in loaded(write(tmp_path, model(cameras)), "visual-sfm").photos] == NAMES


def test_a_lens_that_cannot_be_expressed_names_the_command(tmp_path):
    cameras = [line(name, pose, -3.0) for name, pose in zip(NAMES, poses(), strict=True)]
    assert "undistort the photos with VisualSFM's Run CMVS/PMVS" in refused(write(tmp_path, model(cameras)))


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("\n6\n", "\nsix\n", "where a count should be"),
        ("\n6\n", "\n-6\n", "where a count should be"),
        ("\n6\n", "\n999999999\n", "where a count should be"),
        ("\n6\n", "\n8\n", "is not a camera"),
        ("\n40\n", "\n4000\n", "is cut off"),
        (f" {F!r} ", " nan ", "is not a camera"),
        ("NVM_V3\n", "NVM_V3 FixedK 3 4\n", "FixedK without its four numbers"),
        ("\n6\n", "\n0\n", "no camera with a pose"),
    ],
)
def test_files_that_cannot_be(tmp_path, before, after, said):
    cameras = [line(name, pose) for name, pose in zip(NAMES, poses(), strict=True)]
    write(tmp_path, model(cameras))
    file = tmp_path / "result.nvm"
    assert before in file.read_text()
    file.write_text(file.read_text().replace(before, after, 1))
    assert said in refused(tmp_path)


def test_damaged_points_are_refused(tmp_path):
    cameras = [line(name, pose) for name, pose in zip(NAMES, poses(), strict=True)]
    scene = loaded(write(tmp_path, model(cameras)), "visual-sfm")
    file = tmp_path / "result.nvm"
    file.write_text(
        file.read_text().replace(" 20 30 3 0 ", " 20 30 3 77 ", 1).replace(" 20 30 3 1 ", " 20 30 3 77 ", 1)
    )
    with pytest.raises(SceneError, match=r"other photos see than it has cameras"):
        points_of(scene)
