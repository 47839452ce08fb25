"""AliceVision's files: intrinsics of every version by its own formulas, rigs, points, files without poses."""

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

NAMES = [f"{number}.png" for number in range(6)]
W, H, SENSOR = 60, 40, 36.0
FX, FY, CX, CY = 70.0, 77.0, 31.5, 18.25


def texts(values):
    return [repr(float(value)) for value in values]


def lens(version, kind="radial3", terms=(0.05, -0.02, 0.01)):
    """Intrinsics as a version writes them."""
    entry = {"intrinsicId": "3553739036", "width": str(W), "height": str(H), "sensorWidth": repr(SENSOR),
             "sensorHeight": "24", "serialNumber": "", "type": kind, "initializationMode": "none"}  # fmt: skip
    if version < (1, 2, 0):
        entry["pxFocalLength"] = repr(FX)
    elif version < (1, 2, 2):
        entry["pxFocalLength"] = texts([FX, FY])
    else:
        millimetres, ratio = FX * SENSOR / W, FX / FY
        if version >= (1, 2, 5):
            ratio = 1 / ratio
        if version >= (1, 2, 11):
            millimetres *= ratio
        entry |= {"focalLength": repr(millimetres), "pixelRatio": repr(ratio), "pixelRatioLocked": "true"}
    middle = (0.0, 0.0) if version < (1, 2, 1) else (W / 2, H / 2)
    entry["principalPoint"] = texts([CX - middle[0], CY - middle[1]])
    entry["distortionParams"] = texts(terms) or ""
    if version >= (1, 2, 8):
        new = {"pinhole": "none", "radial1": "radialk1", "radial3": "radialk3", "brown": "brown", "fisheye4": "fisheye",
               "fisheye1": "fisheye1", "radial3pt": "radialk3pt"}  # fmt: skip
        kinds = {"equidistant": ("equidistant", "none"), "equidistant_r3": ("equidistant", "radialk3pt")}
        entry["type"], entry["distortionType"] = kinds[kind] if kind in kinds else ("pinhole", new[kind])
        entry["undistortionType"] = "none"
    return {**entry, "undistortionOffset": ["0", "0"], "undistortionParams": "", "locked": "false"}


def transform(rotation, centre):
    return {"rotation": texts(np.asarray(rotation).T.ravel()), "center": texts(centre)}  # by columns


def document(version=(1, 2, 11), intrinsic=None, cameras=None):
    cameras = poses() if cameras is None else cameras
    views = [
        {"viewId": str(100 + number), "poseId": str(100 + number), "intrinsicId": "3553739036", "metadata": "",
         "path": f"/media/elsewhere/images/{NAMES[number]}", "width": str(W), "height": str(H)}
        for number in range(len(cameras))
    ]  # fmt: skip
    entries = [
        {"poseId": str(100 + number),
         "pose": {"transform": transform(world_to_camera(pose)[0], pose[:3, 3]), "locked": "0"}}
        for number, pose in enumerate(cameras)
        if pose is not None
    ]  # fmt: skip
    intrinsics = [intrinsic or lens(version)]
    return {"version": [str(part) for part in version], "views": views, "intrinsics": intrinsics, "poses": entries}


def write(folder, content, name="cameras.sfm", photos="images"):
    place = folder / name
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(json.dumps(content, indent=4))
    write_photos(folder / photos, NAMES, (W, H))
    return folder


def local(pose, world):
    rotation, _ = world_to_camera(pose)
    return (world - pose[:3, 3]) @ rotation.T


def distorted(x, kind, terms):
    """AliceVision's addDistortion, of points of the plane at distance 1."""
    r2 = (x**2).sum(1, keepdims=True)
    r = np.sqrt(r2)
    if kind in ("radial1", "radial3", "radial3pt"):
        k1, k2, k3 = (*terms, 0, 0)[:3]
        bent = x * (1 + k1 * r2 + k2 * r2**2 + k3 * r2**3)
        return bent / (1 + k1 + k2 + k3) if kind == "radial3pt" else bent
    if kind == "brown":
        k1, k2, k3, t1, t2 = terms
        px, py, squared = x[:, 0], x[:, 1], r2[:, 0]
        k_diff = k1 * squared + k2 * squared**2 + k3 * squared**3
        t_x = t2 * (squared + 2 * px**2) + 2 * t1 * px * py
        t_y = t1 * (squared + 2 * py**2) + 2 * t2 * px * py
        return np.stack([px + px * k_diff + t_x, py + py * k_diff + t_y], 1)
    if kind == "fisheye4":
        k1, k2, k3, k4 = terms
        theta = np.arctan(r)
        return x / r * (theta + k1 * theta**3 + k2 * theta**5 + k3 * theta**7 + k4 * theta**9)
    assert kind == "pinhole"
    return x


MODELS = {
    "pinhole": (),
    "radial1": (0.08,),
    "radial3": (0.05, -0.02, 0.01),
    "radial3pt": (0.05, -0.02, 0.01),
    "brown": (0.05, -0.02, 0.01, 0.003, -0.004),
    "fisheye4": (0.05, -0.02, 0.01, 0.004),
}
VERSIONS = [(1, 0, 0), (1, 2, 0), (1, 2, 1), (1, 2, 2), (1, 2, 4), (1, 2, 5), (1, 2, 8), (1, 2, 11)]


@pytest.mark.parametrize("version", VERSIONS)
def test_every_version_says_the_same(tmp_path, version):
    scene = loaded(write(tmp_path, document(version)), "alicevision")
    fy = FX if version < (1, 2, 0) else FY
    for name, pose in zip(NAMES, poses(), strict=True):
        spot = local(pose, POINTS)
        pixels = distorted(spot[:, :2] / spot[:, 2:], "radial3", MODELS["radial3"]) * [FX, fy] + [CX, CY]
        same(project(camera_of(scene, name), POINTS), pixels + 0.5)


def formula_error(folder, kind="brown"):
    """Pixels between this project's projection and AliceVision's of a capture written into a folder, at most."""
    intrinsic = lens((1, 2, 11), kind, MODELS[kind])
    scene = loaded(write(folder, document(intrinsic=intrinsic)), "alicevision")
    worst = 0.0
    for name, pose in zip(NAMES, poses(), strict=True):
        spot = local(pose, POINTS)
        pixels = distorted(spot[:, :2] / spot[:, 2:], kind, MODELS[kind]) * [FX, FY] + [CX, CY]
        worst = max(worst, same(project(camera_of(scene, name), POINTS), pixels + 0.5))
    return worst


@pytest.mark.parametrize("kind", MODELS)
def test_every_lens_bends_as_in_alicevision(tmp_path, kind):
    formula_error(tmp_path, kind)


@pytest.mark.parametrize("terms", [(), (0.02, -0.01, 0.004)])
@pytest.mark.parametrize("version", [(1, 2, 5), (1, 2, 11)])
def test_an_equidistant_camera(tmp_path, terms, version):
    intrinsic = lens(version, "equidistant_r3" if terms else "equidistant", terms)
    scene = loaded(write(tmp_path, document(version, intrinsic)), "alicevision")
    half = 0.5 * min(SENSOR, 24.0) / (FX * SENSOR / max(W, H))
    for name, pose in zip(NAMES, poses(), strict=True):
        spot = local(pose, POINTS)
        across = np.hypot(spot[:, 0], spot[:, 1])
        radius = np.arctan2(across, spot[:, 2]) / half
        plane = spot[:, :2] / across[:, None] * radius[:, None]
        if terms:
            plane = distorted(plane, "radial3pt", terms)
        same(project(camera_of(scene, name), POINTS), plane * [FX, FY] + [CX, CY] + 0.5)


@pytest.mark.parametrize("stated", ["false", None])
def test_a_rig(tmp_path, stated):
    """Two cameras, three moments: a view's pose is that of the rig, then that of the camera in it."""
    turn = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    offset = np.array([0.2, 0.1, -0.05])
    content = document()
    content["poses"] = content["poses"][:3]
    content["rigs"] = [
        {"rigId": "7", "subPoses": [{"status": "constant", "pose": transform(np.eye(3), np.zeros(3))},
                                    {"status": "estimated", "pose": transform(turn, offset)}]}
    ]  # fmt: skip
    for number, view in enumerate(content["views"]):
        view |= {"rigId": "7", "subPoseId": str(number % 2), "poseId": str(100 + number // 2)}
        if stated:
            view["isPoseIndependant"] = stated
    scene = loaded(write(tmp_path, content), "alicevision")
    for number, name in enumerate(NAMES):
        spot = local(poses()[number // 2], POINTS)
        if number % 2:
            spot = (spot - offset) @ turn.T
        if (spot[:, 2] <= 0).any():
            continue
        pixels = distorted(spot[:, :2] / spot[:, 2:], "radial3", MODELS["radial3"]) * [FX, FY] + [CX, CY]
        same(project(camera_of(scene, name), POINTS), pixels + 0.5)


def test_views_without_a_pose_are_not_listed(tmp_path):
    cameras = [None if number in (0, 3) else pose for number, pose in enumerate(poses())]
    scene = loaded(write(tmp_path, document(cameras=cameras)), "alicevision")
    assert [photo.name for photo in scene.photos] == [f"images/{NAMES[number]}" for number in (1, 2, 4, 5)]
    assert any("2 of 6 photos have no pose" in note for note in scene.notes)


def test_meshrooms_folders(tmp_path):
    write(tmp_path, {key: value for key, value in document().items() if key != "poses"}, "cameraInit.sfm")
    write(tmp_path, document(), "MeshroomCache/StructureFromMotion/0a1b2c/cameras.sfm")
    assert len(loaded(tmp_path, "alicevision").photos) == 6
    scene = loaded(tmp_path / "MeshroomCache/StructureFromMotion/0a1b2c/cameras.sfm", "alicevision")
    assert scene.root == tmp_path.resolve()


def structure():
    """Points, of which number n is seen by the first n % 3 views."""
    return [
        {"landmarkId": str(number), "descType": "dspsift", "color": [str(number), "20", "30"], "X": texts(point),
         "observations": [{"observationId": str(100 + view), "featureId": "9", "x": ["1.5", "2.5"], "scale": "1"}
                          for view in range(number % 3)] or ""}
        for number, point in enumerate(POINTS)
    ]  # fmt: skip


def test_points_and_what_sees_them(tmp_path):
    content = document() | {"structure": structure()}
    found = points_of(loaded(write(tmp_path, content, "sfm.json"), "alicevision"))
    np.testing.assert_array_equal(found.positions, POINTS)
    assert found.colours[4].tolist() == [4, 20, 30]
    assert found.observations.tolist() == [[n, view] for n in range(len(POINTS)) for view in range(n % 3)]
    assert found.names[2].endswith("images/2.png")


def test_without_poses_the_file_that_has_them_is_named(tmp_path):
    content = document()
    del content["poses"]
    assert "give cameras.sfm of that node's folder" in refused(write(tmp_path, content))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"type": "pinhole", "distortionType": "fisheye1", "distortionParams": ["0.4"]}, "fisheye1, which is not sup"),
        ({"distortionType": "none", "undistortionType": "3deanamorphic4"}, "3deanamorphic4, which is not supported"),
        ({"type": "gopro"}, "of type gopro"),
        ({"focalLength": "nan"}, "not numbers that can be"),
        ({"focalLength": "1e400"}, "not numbers that can be"),
        ({"sensorWidth": "0"}, "not numbers that can be"),
        ({"width": "60.5"}, "whole numbers"),
        ({"principalPoint": ""}, "not numbers that can be"),
        ({"focalLength": None}, "not numbers that can be"),
    ],
)
def test_intrinsics_that_cannot_be(tmp_path, change, said):
    assert said in refused(write(tmp_path, document(intrinsic=lens((1, 2, 11)) | change)))


def test_damaged_poses_are_named(tmp_path):
    content = document()
    content["poses"][2]["pose"]["transform"]["rotation"][4] = "nan"
    assert "2.png contains NaN" in refused(write(tmp_path, content))
    content["poses"][2]["pose"]["transform"]["rotation"] = ["1"]
    assert "2.png contains NaN" in refused(write(tmp_path, content))
    content["poses"][2]["pose"] = []
    assert "another content" in refused(write(tmp_path, content))


@pytest.mark.parametrize("name", ["cameras.sfm", "cameras_new.sfm"])
def test_the_public_sample_of_meshroom(tmp_path, name):
    place = sample("poses/meshroom_cameras_sfm/data", name)
    (tmp_path / "cameras.sfm").write_bytes(place.read_bytes())
    content = json.loads(place.read_text())
    write_samples_photos(tmp_path / "images", [view["path"] for view in content["views"]], (192, 144))
    scene = loaded(tmp_path, "alicevision")
    assert len(scene.photos) == 553
    assert any("20 of 573 photos have no pose" in note for note in scene.notes)
    view, pose = content["views"][0], content["poses"][0]["pose"]["transform"]
    (photo,) = (photo for photo in scene.photos if photo.name.endswith("/299.png"))
    assert view["path"].endswith("/299.png")
    rotation = np.array([float(value) for value in pose["rotation"]]).reshape(3, 3).T
    world = (
        np.array([float(value) for value in pose["center"]]) + np.array([[0.3, -0.2, 2.0], [-0.4, 0.3, 3.0]]) @ rotation
    )
    lens_entry = content["intrinsics"][0]
    terms = [float(value) for value in lens_entry["distortionParams"]]
    spot = np.array([[0.15, -0.1], [-0.4 / 3, 0.1]])
    principal = np.array([float(value) for value in lens_entry["principalPoint"]])
    pixels = distorted(spot, "radial3", terms) * float(lens_entry["pxFocalLength"]) + principal + 0.5
    # Its rotations are rotations to seven digits, and the nearest ones are used.
    np.testing.assert_allclose(project(photo.camera, world) * 10, pixels, atol=1e-4)


@pytest.mark.parametrize(
    "place", ["poses/alicevision_small_sfm/pyTests/data/small.sfm", "poses/meshroom_cameras_sfm/data/cameraInit.sfm"]
)
def test_public_samples_before_reconstruction(tmp_path, place):
    (tmp_path / "file.sfm").write_bytes(sample(place).read_bytes())
    assert "has no poses" in refused(tmp_path)
