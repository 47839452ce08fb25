"""kapture's folders: cameras as COLMAP's, trajectories of sensors and of rigs, points, damaged lines."""

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

W, H = 60, 40
NAMES = [f"mapping/cam_{number % 2}/{number // 2:05d}.jpg" for number in range(6)]
OPENCV = (70.0, 77.0, 31.5, 18.25, 0.05, -0.02, 0.003, -0.004)
FISHEYE = (70.0, 77.0, 31.5, 18.25, 0.05, -0.02, 0.01, 0.004)
SENSORS = f"""# kapture format: 1.1
# sensor_device_id, name, sensor_type, [sensor_params]+
cam_0, Hero7, camera, OPENCV, {W}, {H}, {", ".join(map(repr, OPENCV))}
cam_1, , camera, OPENCV_FISHEYE, {W}, {H}, {", ".join(map(repr, FISHEYE))}
gps, , gnss, EPSG:4326
"""


def transform(rotation, translation):
    x, y, z, w = Rotation.from_matrix(rotation).as_quat()
    return ", ".join(repr(float(value)) for value in (w, x, y, z, *translation))


def write(folder, trajectories=None, sensors=SENSORS, rigs=None, records=None):
    """Six photos, two at each of three timestamps."""
    place = folder / "sensors"
    place.mkdir(parents=True, exist_ok=True)
    records = (
        [f"{number // 2:04d}, cam_{number % 2}, {name}" for number, name in enumerate(NAMES)]
        if records is None
        else records
    )
    if trajectories is None:
        trajectories = [f"{number // 2}, cam_{number % 2}, {transform(*world_to_camera(pose))}"
                        for number, pose in enumerate(poses())]  # fmt: skip
    (place / "sensors.txt").write_text(sensors)
    (place / "records_camera.txt").write_text("\n".join(["# kapture format: 1.1", *records]))
    if trajectories:
        (place / "trajectories.txt").write_text("\n".join(["# kapture format: 1.1", *trajectories]))
    if rigs:
        (place / "rigs.txt").write_text("\n".join(["# kapture format: 1.1", *rigs]))
    write_photos(place / "records_data", NAMES, (W, H))
    return folder


def colmap(local, number):
    """COLMAP's OPENCV and OPENCV_FISHEYE, of points in the camera's axes."""
    x, y = local[:, 0] / local[:, 2], local[:, 1] / local[:, 2]
    r2 = x**2 + y**2
    if number % 2:
        fx, fy, cx, cy, *k = FISHEYE
        theta = np.arctan(np.sqrt(r2))
        bent = theta * (1 + sum(value * theta ** (2 * power) for power, value in enumerate(k, 1))) / np.sqrt(r2)
        return np.stack([fx * x * bent + cx, fy * y * bent + cy], 1)
    fx, fy, cx, cy, k1, k2, p1, p2 = OPENCV
    radial = 1 + k1 * r2 + k2 * r2**2
    u = x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x**2)
    v = y * radial + p1 * (r2 + 2 * y**2) + 2 * p2 * x * y
    return np.stack([fx * u + cx, fy * v + cy], 1)


def formula_error(folder, place="."):
    """Pixels between this project's projection and COLMAP's of a capture written into a folder, at most."""
    write(folder)
    scene = loaded(folder / place, "kapture")
    assert [photo.name for photo in scene.photos] == sorted(f"sensors/records_data/{name}" for name in NAMES)
    worst = 0.0
    for number, (name, pose) in enumerate(zip(NAMES, poses(), strict=True)):
        rotation, translation = world_to_camera(pose)
        pixels = colmap(POINTS @ rotation.T + translation, number)
        worst = max(worst, same(project(camera_of(scene, name), POINTS), pixels))
    return worst


@pytest.mark.parametrize("place", [".", "sensors", "sensors/trajectories.txt"])
def test_points_land_where_colmaps_models_put_them(tmp_path, place):
    formula_error(tmp_path, place)


TURN, SHIFT = Rotation.from_euler("xyz", [2, 4, -3], degrees=True).as_matrix(), np.array([0.1, 0.02, -0.03])
RIGS = [
    f"car, rig, {transform(TURN, SHIFT)}",
    f"rig, cam_0, {transform(np.eye(3), np.zeros(3))}",
    f"rig, cam_1, {transform(TURN, -SHIFT)}",
]


def test_poses_of_rigs_and_rigs_in_rigs(tmp_path):
    """World to car, car to rig, rig to sensor."""
    trajectories = [f"{time}, car, {transform(*world_to_camera(poses()[time]))}" for time in range(3)]
    scene = loaded(write(tmp_path, trajectories, rigs=RIGS), "kapture")
    for number, name in enumerate(NAMES):
        rotation, translation = world_to_camera(poses()[number // 2])
        local = (POINTS @ rotation.T + translation) @ TURN.T + SHIFT
        if number % 2:
            local = local @ TURN.T - SHIFT
        same(project(camera_of(scene, name), POINTS), colmap(local, number))


def test_rigs_that_hold_each_other_end(tmp_path):
    rigs = [
        f"{one}, {other}, {transform(np.eye(3), np.zeros(3))}"
        for one, other in (("a", "b"), ("b", "a"), ("a", "cam_0"))
    ]
    assert "No photo in" in refused(write(tmp_path, [f"0, gps, {transform(np.eye(3), np.zeros(3))}"], rigs=rigs))


def test_photos_without_a_pose_at_their_time_are_not_listed(tmp_path):
    trajectories = [f"{number // 2}, cam_{number % 2}, {transform(*world_to_camera(pose))}"
                    for number, pose in enumerate(poses()) if number != 3]  # fmt: skip
    scene = loaded(write(tmp_path, trajectories), "kapture")
    assert len(scene.photos) == 5
    assert any("1 of 6 photos have no pose" in note for note in scene.notes)


def write_points(folder, version="1.1"):
    """Point n is seen by photos n and n + 1, counted round."""
    place = folder / "reconstruction"
    place.mkdir()
    rows = [", ".join([*map(repr, point.tolist()), str(number), "20", "30"]) for number, point in enumerate(POINTS)]
    (place / "points3d.txt").write_text("\n".join(["# kapture format: 1.1", "# X, Y, Z, R, G, B", *rows]))
    kinds = ["r2d2, ", "d2_tf, "] if version == "1.1" else [""]
    seen = [f"{number}, {kind}{NAMES[number % 6]}, 15, {NAMES[(number + 1) % 6]}, 7"
            for number in range(len(POINTS)) for kind in kinds]  # fmt: skip
    (place / "observations.txt").write_text("\n".join(["# kapture format: 1.1", *seen]))
    return place


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_points_and_what_sees_them(tmp_path, version):
    place = write_points(write(tmp_path), version)
    found = points_of(loaded(tmp_path, "kapture"))
    np.testing.assert_array_equal(found.positions, POINTS)
    assert found.colours[4].tolist() == [4, 20, 30]
    assert found.names == tuple(NAMES)
    assert found.observations.tolist() == [[n, photo] for n in range(len(POINTS)) for photo in (n % 6, (n + 1) % 6)]
    (place / "observations.txt").unlink()
    (place / "points3d.txt").write_text("0.5, 1.5, 2.5\n1, 2, 3\n")
    found = points_of(loaded(tmp_path, "kapture"))
    assert found.positions.tolist() == [[0.5, 1.5, 2.5], [1.0, 2.0, 3.0]]
    assert found.colours is None
    assert found.observations is None


@pytest.mark.parametrize(
    ("file", "before", "after", "said"),
    [
        ("sensors.txt", "OPENCV, 60", "UNKNOWN_CAMERA, 60", "has no known intrinsics"),
        ("sensors.txt", "OPENCV, 60", "OPENCV, sixty", "a value that is no number"),
        ("sensors.txt", "OPENCV, 60", "OPENCV, 60.5", "a value that is no number"),
        ("sensors.txt", "OPENCV, 60", "LIGHT_FIELD, 60", "LIGHT_FIELD, which is not known"),
        ("sensors.txt", "70.0, 77.0", "77.0", "needs 8 parameters"),
        ("sensors.txt", "70.0, 77.0", "nan, 77.0", "a value that is no number"),
        ("sensors.txt", "cam_0, Hero7", "cam_9, Hero7", "is of cam_0, which sensors.txt lacks"),
        ("records_camera.txt", "0000, cam_0", "noon, cam_0", "where a timestamp should be"),
        ("records_camera.txt", "0000, cam_0, ", "0000, ", "a line with 2 values"),
        ("trajectories.txt", "0, cam_0, ", "0, cam_0, x, ", "a pose that is not seven numbers"),
        ("trajectories.txt", "0, cam_0, ", "0, cam_0, nan, ", "contains NaN"),
    ],
)
def test_lines_that_cannot_be(tmp_path, file, before, after, said):
    write(tmp_path)
    place = tmp_path / "sensors" / file
    assert before in place.read_text()
    place.write_text(place.read_text().replace(before, after, 1))
    assert said in refused(tmp_path)


def test_without_trajectories(tmp_path):
    assert "has no trajectories.txt, so no poses" in refused(write(tmp_path, []))
