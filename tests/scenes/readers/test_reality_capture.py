"""RealityCapture's CSV: position, angles and lens as its converters take them, other templates, damaged lines."""

import numpy as np
import pytest
from pose_tools import POINTS, camera_of, loaded, poses, project, refused, same, write_photos
from scene_files import picture, save
from scipy.spatial.transform import Rotation

HEADER = "#name,x,y,alt,heading,pitch,roll,f,px,py,k1,k2,k3,k4,t1,t2"
NAMES = [f"frame_{number:05d}.jpeg" for number in range(6)]
W, H = 60, 40
LENS = (24.5, 0.02, -0.03, 0.05, -0.02, 0.01, 0.004, 0.003, -0.004)


def angles(pose):
    """Heading, pitch and roll in degrees: the camera's axes are Rz(-heading) Rx(pitch) Ry(roll), by scipy."""
    z, x, y = Rotation.from_matrix(pose[:3, :3]).as_euler("ZXY", degrees=True)
    return -z, x, y


def lines(lens=LENS):
    return [
        ",".join([name, *map(repr, map(float, (*pose[:3, 3], *angles(pose), *lens)))])
        for name, pose in zip(NAMES, poses(), strict=True)
    ]


def write(folder, entries=None, header=HEADER, name="cameras.csv"):
    (folder / name).write_text("\n".join([header, *(lines() if entries is None else entries)]) + "\n")
    write_photos(folder / "images", NAMES, (W, H))
    return folder


def expected(pose, world, lens=LENS, size=(W, H)):
    """Focal length on film of 36 mm, principal point over the longer side, Brown's terms."""
    f, px, py, k1, k2, k3, k4, t1, t2 = lens
    matrix = np.linalg.inv(pose @ np.diag([1.0, -1.0, -1.0, 1.0]))
    spot = world @ matrix[:3, :3].T + matrix[:3, 3]
    x, y = spot[:, 0] / spot[:, 2], spot[:, 1] / spot[:, 2]
    r2 = x**2 + y**2
    radial = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3 + k4 * r2**4
    u = x * radial + 2 * t1 * x * y + t2 * (r2 + 2 * x**2)
    v = y * radial + t1 * (r2 + 2 * y**2) + 2 * t2 * x * y
    longer = max(size)
    return np.stack([(f / 36 * u + px) * longer + size[0] / 2, (f / 36 * v + py) * longer + size[1] / 2], 1)


def formula_error(folder):
    """Pixels between this project's projection and its converters' of a capture written into a folder, at most."""
    scene = loaded(write(folder), "reality-capture")
    assert [photo.name for photo in scene.photos] == [f"images/{name}" for name in NAMES]
    return max(
        same(project(camera_of(scene, name), POINTS), expected(pose, POINTS))
        for name, pose in zip(NAMES, poses(), strict=True)
    )


def test_points_land_where_its_converters_put_them(tmp_path):
    formula_error(tmp_path)


def test_the_heading_is_clockwise_from_north(tmp_path):
    """A level camera that looks east stands at heading 90 and pitch 90: x is east, y is north, alt is up."""
    write(tmp_path, [f"{name},{number},0,0,90,90,0,36" for number, name in enumerate(NAMES)], HEADER.split(",px")[0])
    pose = loaded(tmp_path, "reality-capture").photos[0].camera.camera_to_world
    np.testing.assert_allclose(-pose[:, 2], [1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(pose[:, 1], [0, 0, 1], atol=1e-12)


def test_templates_with_other_columns(tmp_path):
    columns = ["name", "f", "heading", "pitch", "roll", "x", "y", "alt", "comment"]
    entries = []
    for name, pose in zip(NAMES, poses(), strict=True):
        values = ",".join(repr(float(value)) for value in (LENS[0], *angles(pose), *pose[:3, 3]))
        entries.append(f'{name},{values},"a, b"')
    write(tmp_path, entries, f"#cameras 6\n#{', '.join(columns)}")
    scene = loaded(tmp_path, "reality-capture")
    for name, pose in zip(NAMES, poses(), strict=True):
        same(project(camera_of(scene, name), POINTS), expected(pose, POINTS, (LENS[0], *[0.0] * 8)))


def test_photos_are_taken_as_shown(tmp_path):
    write(tmp_path)
    for number, name in enumerate(NAMES):
        save(tmp_path / "images" / name, picture(W, H, number), orientation=6, format="PNG")
    scene = loaded(tmp_path, "reality-capture")
    assert scene.photos[0].original_size == (H, W)
    same(project(camera_of(scene, NAMES[0]), POINTS), expected(poses()[0], POINTS, size=(H, W)))


def test_other_tables_are_none_of_its(tmp_path):
    (tmp_path / "table.csv").write_text("name,x,y\na,1,2\n")
    assert "holds no capture" in refused(tmp_path)
    write(tmp_path)
    write(tmp_path, name="others.csv")
    scene = loaded(tmp_path, "reality-capture")
    assert any("of the same kind and not used: others.csv" in note for note in scene.notes)


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        (1, "nan", f"images/{NAMES[1]} contains NaN"),
        (4, "inf", f"images/{NAMES[1]} contains NaN"),
        (4, "north", "has a value that is no number"),
        (7, "nan", "has a value that is no number"),
        (7, "-3", "focal length"),
        (11, "1e9", "distortion"),
        (0, "", "has no name"),
    ],
)
def test_values_that_cannot_be(tmp_path, place, value, said):
    entries = [line.split(",") for line in lines()]
    entries[1][place] = value
    assert said in refused(write(tmp_path, [",".join(entry) for entry in entries]))


def test_files_that_cannot_be(tmp_path):
    assert "has no camera" in refused(write(tmp_path, []))
    assert "has a line with 5 of 16 values" in refused(write(tmp_path, [*lines(), "a,1,2,3,4"]))
