"""OpenSfM's reconstruction.json: projections as documented, the largest of several, points, masks, real captures."""

import csv
import json

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
    sample,
    world_to_camera,
    write_photos,
    write_samples_photos,
)
from scene_files import save
from scipy.spatial.transform import Rotation

NAMES = [f"{number:02d}.jpg" for number in range(6)]
W, H = 60, 40
CAMERAS = {
    "perspective": {"focal": 1.1, "k1": 0.05, "k2": -0.02},
    "simple_radial": {"focal_x": 1.1, "focal_y": 1.2, "c_x": 0.02, "c_y": -0.03, "k1": 0.05},
    "radial": {"focal_x": 1.1, "focal_y": 1.2, "c_x": 0.02, "c_y": -0.03, "k1": 0.05, "k2": -0.02},
    "brown": {"focal_x": 1.1, "focal_y": 1.2, "c_x": 0.02, "c_y": -0.03, "k1": 0.05, "k2": -0.02, "k3": 0.01,
              "p1": 0.003, "p2": -0.004},
    "fisheye": {"focal": 1.1, "k1": 0.05, "k2": -0.02},
    "fisheye_opencv": {"focal_x": 1.1, "focal_y": 1.2, "c_x": 0.02, "c_y": -0.03, "k1": 0.05, "k2": -0.02, "k3": 0.01,
                       "k4": 0.004},
}  # fmt: skip


def reconstruction(kind="perspective", numbers=range(6), points=POINTS):
    shots = {}
    for number in numbers:
        rotation, translation = world_to_camera(poses()[number])
        shots[NAMES[number]] = {
            "rotation": Rotation.from_matrix(rotation).as_rotvec().tolist(), "translation": translation.tolist(),
            "camera": "v2 a camera", "orientation": 1, "capture_time": 0.0, "gps_dop": 5.0, "scale": 1.0,
            "covariance": [], "vertices": [], "faces": [],
        }  # fmt: skip
    return {
        "cameras": {"v2 a camera": {"projection_type": kind, "width": W, "height": H, **CAMERAS.get(kind, {})}},
        "shots": shots,
        "points": {str(number): {"color": [float(number), 20.0, 30.0], "coordinates": point.tolist()}
                   for number, point in enumerate(points)},
        "reference_lla": {"latitude": 0.0, "longitude": 0.0, "altitude": 0},
    }  # fmt: skip


def write(folder, *parts, name="reconstruction.json"):
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps(list(parts), indent=4))
    write_photos(folder / "images", NAMES, (W, H))
    return folder


def documented(pose, world, kind):
    """Normalised image coordinates by doc/source/geometry.rst."""
    rotation, translation = world_to_camera(pose)
    x, y, z = (world @ rotation.T + translation).T
    camera = CAMERAS[kind]
    fx, fy = camera.get("focal", camera.get("focal_x")), camera.get("focal", camera.get("focal_y"))
    k1, k2, k3, k4 = (camera.get(key, 0.0) for key in ("k1", "k2", "k3", "k4"))
    if kind.startswith("fisheye"):
        r = np.sqrt(x**2 + y**2)
        theta = np.arctan2(r, z)
        d = 1 + k1 * theta**2 + k2 * theta**4 + k3 * theta**6 + k4 * theta**8
        u, v = d * theta * x / r, d * theta * y / r
    else:
        x, y = x / z, y / z
        r2 = x**2 + y**2
        d = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3
        p1, p2 = camera.get("p1", 0.0), camera.get("p2", 0.0)
        u = d * x + 2 * p1 * x * y + p2 * (r2 + 2 * x**2)
        v = d * y + 2 * p2 * x * y + p1 * (r2 + 2 * y**2)
    return np.stack([fx * u + camera.get("c_x", 0.0), fy * v + camera.get("c_y", 0.0)], 1)


def pixels_of(normalised, width, height):
    """OpenSfM's denormalized_image_coordinates, whose pixels have their centres at whole coordinates."""
    size = max(width, height)
    return normalised * size - 0.5 + np.array([width, height]) / 2


def formula_error(folder, kind="brown"):
    """Pixels between this project's projection and the documented one of a capture written into a folder, at most."""
    scene = loaded(write(folder, reconstruction(kind)), "opensfm")
    return max(
        same(project(camera_of(scene, name), POINTS), pixels_of(documented(pose, POINTS, kind), W, H) + 0.5)
        for name, pose in zip(NAMES, poses(), strict=True)
    )


@pytest.mark.parametrize("kind", CAMERAS)
def test_points_land_where_the_documentation_says(tmp_path, kind):
    formula_error(tmp_path, kind)


def test_the_largest_reconstruction_is_used_and_told(tmp_path):
    write(tmp_path, reconstruction(numbers=[0, 1], points=POINTS[:3]), reconstruction(numbers=[2, 3, 4, 5]))
    scene = loaded(tmp_path, "opensfm")
    assert [photo.name for photo in scene.photos] == [f"images/{name}" for name in NAMES[2:]]
    assert any("2 reconstructions" in note and "with 4 photos is used, not 2." in note for note in scene.notes)
    assert any("2 of 6 photos have no pose" in note for note in scene.notes)
    assert len(points_of(scene)) == len(POINTS)


def test_points(tmp_path):
    found = points_of(loaded(write(tmp_path, reconstruction()), "opensfm"))
    np.testing.assert_array_equal(found.positions, POINTS)
    assert found.colours[4].tolist() == [4, 20, 30]
    assert found.observations is None
    assert found.names == tuple(NAMES)


def test_a_reconstruction_without_points(tmp_path):
    part = reconstruction()
    del part["points"]
    assert loaded(write(tmp_path, part), "opensfm").points_path is None


def test_opendronemaps_folder_and_masks(tmp_path):
    write(tmp_path, reconstruction(), name="opensfm/reconstruction.json")
    for name in NAMES:
        save(tmp_path / "masks" / f"{name}.png", np.full((H, W), 255, np.uint8))
    scene = loaded(tmp_path, "opensfm")
    assert scene.photos[3].name == f"images/{NAMES[3]}"
    assert all(photo.mask_path is not None for photo in scene.photos)


@pytest.mark.parametrize(
    ("kind", "terms", "said"),
    [
        ("spherical", {}, "of type spherical, which is not supported: run `opensfm undistort`"),
        ("dual", {"focal": 1.0, "transition": 0.5}, "of type dual"),
        ("fisheye62", {"focal_x": 1.0, "focal_y": 1.0, "k1": 0.1, "p1": 0.01, "k6": 0.2}, "k6 = 0.2, p1 = 0.01"),
        ("perspective", {"focal": "long"}, "focal = 'long', which is no number"),
        ("perspective", {"k1": 0.1}, "focal length"),
        ("perspective", {"focal": 1.0, "width": 3.5}, "whole numbers"),
    ],
)
def test_cameras_that_cannot_be(tmp_path, kind, terms, said):
    part = reconstruction()
    part["cameras"]["v2 a camera"] = {"projection_type": kind, "width": W, "height": H, **terms}
    assert said in refused(write(tmp_path, part))


def test_a_fisheye62_without_its_further_terms_is_opencvs(tmp_path):
    part = reconstruction("fisheye_opencv")
    part["cameras"]["v2 a camera"] |= {"projection_type": "fisheye62", "k5": 0.0, "k6": 0.0, "p1": 0.0, "p2": 0.0}
    scene = loaded(write(tmp_path, part), "opensfm")
    for name, pose in zip(NAMES, poses(), strict=True):
        ours = project(camera_of(scene, name), POINTS)
        same(ours, pixels_of(documented(pose, POINTS, "fisheye_opencv"), W, H) + 0.5)


@pytest.mark.parametrize("value", [[1.0, 2.0], [1.7e308, 1.7e308, 0.0], ["x", 1.0, 2.0], [float("nan"), 0.0, 0.0]])
@pytest.mark.parametrize("key", ["rotation", "translation"])
def test_damaged_poses_are_named(tmp_path, key, value):
    part = reconstruction()
    part["shots"][NAMES[1]][key] = value
    assert f"The pose of photo images/{NAMES[1]}" in refused(write(tmp_path, part))


def test_a_camera_that_is_not_there(tmp_path):
    part = reconstruction()
    part["shots"][NAMES[1]]["camera"] = "another"
    assert "has the camera another, which is not there" in refused(write(tmp_path, part))


def test_no_shots(tmp_path):
    assert "has no shots" in refused(write(tmp_path, reconstruction(numbers=[])))


def test_the_public_sample(tmp_path):
    place = sample("poses/opensfm_raspi/reconstruction.json")
    (tmp_path / "reconstruction.json").write_bytes(place.read_bytes())
    (part,) = json.loads(place.read_text())
    write_samples_photos(tmp_path / "images", part["shots"], (640, 480))
    scene = loaded(tmp_path, "opensfm")
    assert len(scene.photos) == 5
    assert len(points_of(scene)) == len(part["points"])


def reprojection(scene, folder):
    """Distances in pixels of OpenSfM's own observations of its points from this project's projection."""
    (part,) = json.loads((folder / "reconstruction_example.json").read_text())
    seen: dict[str, list[tuple[list[float], list[float]]]] = {}
    with open(folder / "tracks_example.csv", newline="") as file:
        next(file)
        for name, track, _, x, y, *_ in csv.reader(file, delimiter="\t"):
            if track in part["points"]:
                seen.setdefault(name, []).append((part["points"][track]["coordinates"], [float(x), float(y)]))
    distances = []
    for name, pairs in seen.items():
        camera = camera_of(scene, name)
        world, normalised = (np.array(side) for side in zip(*pairs, strict=True))
        spots = pixels_of(normalised, camera.width, camera.height) + 0.5
        distances.append(np.linalg.norm(project(camera, world) - spots, axis=1))
    return np.concatenate(distances)


def test_the_real_capture_reprojects():
    """Half a pixel of 3264 would show."""
    folder = sample("berlin")
    scene = loaded(folder, "opensfm")
    assert [photo.name for photo in scene.photos] == ["images/01.jpg", "images/02.jpg", "images/03.jpg"]
    assert all(photo.mask_path is not None for photo in scene.photos)
    distances = reprojection(scene, folder)
    assert len(distances) > 1000
    assert np.median(distances) < 1.5
