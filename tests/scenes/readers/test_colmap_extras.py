"""What lies beside COLMAP's cameras and images: points, rigs and frames, Gaussian splatting's test.txt."""

import struct

import numpy as np
import pytest
from pose_tools import POINTS, camera_of, loaded, points_of, project, refused, sample, write_photos
from scene_files import colmap_images, write_colmap_binary, write_colmap_text

from lerf.errors import SceneError
from lerf.scenes.readers.colmap_files import read_images
from lerf.scenes.readers.colmap_points import read_points

CAMERAS = {1: ("PINHOLE", 12, 8, [10.0, 11.0, 5.5, 4.5])}
NAMES = [f"{number:04d}.png" for number in range(9)]
MODEL = "sparse/0"


def write_points(folder, form, errors=0.5):
    """Point n is seen twice by image n % 9 + 1, and by an image that was removed."""
    if form == "text":
        rows = [f"{100 + number} {' '.join(map(repr, point.tolist()))} {number} 20 30 {errors} {number % 9 + 1} 0 "
                f"{number % 9 + 1} 1 77 5" for number, point in enumerate(POINTS)]  # fmt: skip
        (folder / "points3D.txt").write_text("# 3D point list\n" + "\n".join(rows) + "\n")
        return
    data = struct.pack("<Q", len(POINTS))
    for number, point in enumerate(POINTS):
        data += struct.pack("<Q3d3BdQ", 100 + number, *point, number, 20, 30, errors, 3)
        data += struct.pack("<6i", number % 9 + 1, 0, number % 9 + 1, 1, 77, 5)
    (folder / "points3D.bin").write_bytes(data)


def capture(folder, form="binary"):
    write = write_colmap_text if form == "text" else write_colmap_binary
    write(folder / MODEL, CAMERAS, colmap_images(9, NAMES))
    write_photos(folder / "images", NAMES, (12, 8))
    return folder


@pytest.mark.parametrize("form", ["binary", "text"])
def test_points_with_errors_and_what_sees_them(tmp_path, form):
    capture(tmp_path, form)
    assert loaded(tmp_path, "colmap").points_path is None
    write_points(tmp_path / MODEL, form)
    found = points_of(loaded(tmp_path, "colmap"))
    np.testing.assert_array_equal(found.positions, POINTS)
    assert found.colours[4].tolist() == [4, 20, 30]
    assert found.errors.tolist() == [0.5] * len(POINTS)
    assert found.names == tuple(NAMES)
    assert found.observations.tolist() == [[number, number % 9] for number in range(len(POINTS))]
    write_points(tmp_path / MODEL, form, errors=-1.0)
    assert points_of(loaded(tmp_path, "colmap")).errors is None


@pytest.mark.parametrize("length", [0, 7, 8, 100, -1])
def test_binary_points_that_are_cut_off(tmp_path, length):
    capture(tmp_path)
    write_points(tmp_path / MODEL, "binary")
    file = tmp_path / MODEL / "points3D.bin"
    file.write_bytes(file.read_bytes()[:length])
    with pytest.raises(SceneError, match=r"points3D\.bin is cut off"):
        points_of(loaded(tmp_path, "colmap"))


def test_a_track_longer_than_the_file(tmp_path):
    capture(tmp_path)
    data = struct.pack("<QQ3d3BdQ", 1, 1, 0.0, 0.0, 0.0, 1, 2, 3, 0.5, 1 << 60)
    (tmp_path / MODEL / "points3D.bin").write_bytes(data)
    with pytest.raises(SceneError, match=r"points3D\.bin is cut off"):
        points_of(loaded(tmp_path, "colmap"))


@pytest.mark.parametrize(
    "line", ["1 2 3", "1 0 0 0 300 0 0 1", "1 0 0 nan 1 1 1 1", "1 0 0 0 1 1 1 1 5", "1 0 0 0 1 1 1 1 x 5"]
)
def test_a_line_that_is_not_a_point(tmp_path, line):
    capture(tmp_path, "text")
    (tmp_path / MODEL / "points3D.txt").write_text(line)
    with pytest.raises(SceneError, match=r"a line that is not a point"):
        points_of(loaded(tmp_path, "colmap"))


def test_a_point_that_is_not_finite(tmp_path):
    capture(tmp_path)
    data = struct.pack("<QQ3d3BdQ", 1, 1, np.nan, 0.0, 0.0, 1, 2, 3, 0.5, 0)
    (tmp_path / MODEL / "points3D.bin").write_bytes(data)
    with pytest.raises(SceneError, match=r"position is not finite"):
        points_of(loaded(tmp_path, "colmap"))


def write_frames(folder, form):
    """One rig of one camera, a frame for each image, as COLMAP 3.12 writes them."""
    if form == "text":
        (folder / "rigs.txt").write_text("# Rig calib list\n1 1 CAMERA 1\n")
        frames = [f"{n} 1 {' '.join(map(repr, (*q, *t)))} 1 CAMERA 1 {n}" for n, q, t, *_ in colmap_images(9, NAMES)]
        (folder / "frames.txt").write_text("# Frame list\n" + "\n".join(frames))
        return
    (folder / "rigs.bin").write_bytes(struct.pack("<QIIiI", 1, 1, 1, 0, 1))
    data = struct.pack("<Q", 9)
    for number, quaternion, translation, camera, _ in colmap_images(9, NAMES):
        data += struct.pack("<II7dIiIQ", number, 1, *quaternion, *translation, 1, 0, camera, number)
    (folder / "frames.bin").write_bytes(data)


@pytest.mark.parametrize("form", ["binary", "text"])
def test_rigs_and_frames_beside_images_change_nothing(tmp_path, form):
    plain = loaded(capture(tmp_path / "plain", form), "colmap")
    write_frames(capture(tmp_path / "rigs", form) / MODEL, form)
    scene = loaded(tmp_path / "rigs", "colmap")
    for ours, theirs in zip(scene.photos, plain.photos, strict=True):
        np.testing.assert_array_equal(ours.camera.camera_to_world, theirs.camera.camera_to_world)
    assert not scene.notes


@pytest.mark.parametrize("form", ["binary", "text"])
def test_frames_without_images_say_what_is_missing(tmp_path, form):
    capture(tmp_path, form)
    write_frames(tmp_path / MODEL, form)
    (tmp_path / MODEL / ("images.txt" if form == "text" else "images.bin")).unlink()
    assert "has frames and rigs but no images.bin, which names the photos" in refused(tmp_path)


def test_gaussian_splattings_test_txt_is_the_split(tmp_path):
    capture(tmp_path)
    (tmp_path / MODEL / "test.txt").write_text("0002.png\n0005\n\nelsewhere.png\n")
    scene = loaded(tmp_path, "colmap")
    assert scene.test == (2, 5)
    assert scene.train == (0, 1, 3, 4, 6, 7, 8)
    (note,) = scene.notes
    assert "says which photos are held out: 2 of 9; 1 of its lines are none of them." in note


@pytest.mark.parametrize("text", ["", "others.png\n", "".join(f"{name}\n" for name in NAMES)])
def test_a_test_txt_that_leaves_one_side_empty_is_told(tmp_path, text):
    capture(tmp_path)
    (tmp_path / MODEL / "test.txt").write_text(text)
    scene = loaded(tmp_path, "colmap")
    assert scene.test == (0, 8)
    assert any("it is not used to hold photos out" in note for note in scene.notes)


def test_the_public_sample_with_rigs_lacks_its_images(tmp_path):
    """COLMAP 3.12's frames and points of 195 photos whose images.bin was too large to be kept."""
    folder = sample("poses/colmap_rigs_corridor")
    assert "has frames and rigs but no images.bin" in refused(folder)
    found = read_points(folder / MODEL / "points3D.bin")
    assert len(found) > 5000
    assert found.errors is not None
    assert 0.1 < np.median(found.errors) < 2


@pytest.mark.parametrize("form", ["binary", "text"])
@pytest.mark.parametrize("name", ["room_real", "flower_real"])
def test_real_captures_reproject(tmp_path, name, form):
    folder = sample(name)
    scene = loaded(link_model(tmp_path, folder, form), "colmap")
    assert len(scene.photos) == len(read_images(tmp_path / "sparse"))
    ours, errors = reprojection(scene, folder, form)
    assert np.median(ours) < 1.5
    # COLMAP's own mean errors of these points are of the same size.
    assert abs(np.median(ours) - np.median(errors)) < 0.2


def link_model(folder, capture, form):
    """A folder with one of a capture's models and its photos."""
    (folder / "sparse").symlink_to(capture / ("text" if form == "text" else MODEL))
    (folder / "images").symlink_to(capture / "images")
    return folder


def reprojection(scene, folder, form):
    """Distances in pixels of COLMAP's observations in six photos from this project's projection, and COLMAP's errors.

    Observations and the numbers of points are read here on their own.
    """
    points, seen = points_of(scene), observed(folder / "text/images.txt")
    if form == "binary":
        identifiers = binary_identifiers(folder / MODEL / "points3D.bin")
    else:
        lines = (folder / "text/points3D.txt").read_text().splitlines()
        identifiers = [int(line.split()[0]) for line in lines if line[0] != "#"]
    place = {identifier: number for number, identifier in enumerate(identifiers)}
    ours, errors = [], []
    for photo in list(seen)[:6]:
        spots, numbers = seen[photo]
        rows = [place[number] for number in numbers]
        ours.append(np.linalg.norm(project(camera_of(scene, photo), points.positions[rows]) - spots, axis=1))
        errors.append(points.errors[rows])
    return np.concatenate(ours), np.concatenate(errors)


def observed(path):
    """By photo: pixels, and the points that are seen there."""
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    found = {}
    for head, body in zip(lines[::2], lines[1::2], strict=True):
        values = np.array(body.split(), float).reshape(-1, 3)
        values = values[values[:, 2] >= 0]
        found[head.split(maxsplit=9)[9]] = values[:, :2], values[:, 2].astype(int).tolist()
    return found


def binary_identifiers(path):
    data, at, found = path.read_bytes(), 8, []
    for _ in range(struct.unpack_from("<Q", data)[0]):
        found.append(struct.unpack_from("<Q", data, at)[0])
        at += 51 + 8 * struct.unpack_from("<Q", data, at + 43)[0]
    return found
