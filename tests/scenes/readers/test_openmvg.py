"""OpenMVG's sfm_data.json: cameras by its formulas, types that are named once, points, files without poses."""

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
)

NAMES = [f"{number}.JPG" for number in range(6)]
W, H, F, PX, PY = 60, 40, 70.0, 31.5, 18.25
NONE = 4294967295
MODELS = {
    "pinhole": ("", []),
    "pinhole_radial_k1": ("disto_k1", [0.08]),
    "pinhole_radial_k3": ("disto_k3", [0.05, -0.02, 0.01]),
    "pinhole_brown_t2": ("disto_t2", [0.05, -0.02, 0.01, 0.003, -0.004]),
    "fisheye": ("fisheye", [0.05, -0.02, 0.01, 0.004]),
}


def pointer(data, number, kind=1073741824, name=None):
    named = {} if name is None else {"polymorphic_name": name}
    return {"polymorphic_id": kind, **named, "ptr_wrapper": {"id": 2147483649 + number, "data": data}}


def intrinsic(key, kind, first=True, **other):
    term, values = MODELS.get(kind, ("", []))
    data = {"width": W, "height": H, "focal_length": F, "principal_point": [PX, PY]}
    data |= ({term: values} if term else {}) | other
    number = 1 + list(MODELS).index(kind) if kind in MODELS else 9
    return {
        "key": key,
        "value": pointer(data, 50 + key, number | (2147483648 if first else 0), kind if first else None),
    }


def document(intrinsics=None, cameras=None):
    cameras = poses() if cameras is None else cameras
    intrinsics = intrinsics or [intrinsic(0, "pinhole_radial_k3")]
    views = [
        {"key": number,
         "value": pointer({"local_path": "", "filename": NAMES[number], "width": W, "height": H, "id_view": number,
                           "id_intrinsic": number % len(intrinsics), "id_pose": number if pose is not None else NONE},
                          number)}
        for number, pose in enumerate(cameras)
    ]  # fmt: skip
    extrinsics = [
        {"key": number, "value": {"rotation": world_to_camera(pose)[0].tolist(), "center": pose[:3, 3].tolist()}}
        for number, pose in enumerate(cameras)
        if pose is not None
    ]
    return {"sfm_data_version": "0.3", "root_path": "/home/somebody/images", "views": views, "intrinsics": intrinsics,
            "extrinsics": extrinsics, "structure": [], "control_points": []}  # fmt: skip


def write(folder, content, name="sfm_data.json"):
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps(content, indent=4))
    write_photos(folder / "images", NAMES, (W, H))
    return folder


def openmvg(pose, world, kind):
    """OpenMVG's project(): pose, hnormalized, add_disto, cam2ima; pixels' centres have whole coordinates."""
    rotation, _ = world_to_camera(pose)
    p = (world - pose[:3, 3]) @ rotation.T
    x, y = p[:, 0] / p[:, 2], p[:, 1] / p[:, 2]
    r2 = x * x + y * y
    values = MODELS[kind][1]
    if kind == "fisheye":
        theta = np.arctan(np.sqrt(r2))
        bent = theta + sum(k * theta ** (2 * power + 3) for power, k in enumerate(values))
        x, y = x * bent / np.sqrt(r2), y * bent / np.sqrt(r2)
    elif kind == "pinhole_brown_t2":
        k1, k2, k3, t1, t2 = values
        coefficient = k1 * r2 + k2 * r2**2 + k3 * r2**3
        x, y = (
            x + x * coefficient + t2 * (r2 + 2 * x * x) + 2 * t1 * x * y,
            y + y * coefficient + t1 * (r2 + 2 * y * y) + 2 * t2 * x * y,
        )
    else:
        coefficient = 1 + sum(k * r2 ** (power + 1) for power, k in enumerate(values))
        x, y = x * coefficient, y * coefficient
    return np.stack([F * x + PX, F * y + PY], 1)


def formula_error(folder, kind="pinhole_brown_t2"):
    """Pixels between this project's projection and OpenMVG's of a capture written into a folder, at most."""
    scene = loaded(write(folder, document([intrinsic(0, kind)])), "openmvg")
    return max(
        same(project(camera_of(scene, name), POINTS), openmvg(pose, POINTS, kind) + 0.5)
        for name, pose in zip(NAMES, poses(), strict=True)
    )


@pytest.mark.parametrize("kind", MODELS)
def test_points_land_where_openmvg_puts_them(tmp_path, kind):
    formula_error(tmp_path, kind)


def test_a_type_is_named_where_it_comes_first(tmp_path):
    kinds = ["pinhole_brown_t2", "fisheye", "pinhole_brown_t2", "fisheye"]
    lenses = [intrinsic(key, kind, first=key < 2) for key, kind in enumerate(kinds)]
    scene = loaded(write(tmp_path, document(lenses)), "openmvg")
    for number, (name, pose) in enumerate(zip(NAMES, poses(), strict=True)):
        same(project(camera_of(scene, name), POINTS), openmvg(pose, POINTS, kinds[number % 4]) + 0.5)


def test_views_without_a_pose_are_not_listed(tmp_path):
    cameras = [None if number in (0, 3) else pose for number, pose in enumerate(poses())]
    scene = loaded(write(tmp_path, document(cameras=cameras), "reconstruction/sfm_data.json"), "openmvg")
    assert [photo.name for photo in scene.photos] == [f"images/{NAMES[number]}" for number in (1, 2, 4, 5)]
    assert any("2 of 6 photos have no pose" in note for note in scene.notes)


def structure():
    """Points, of which number n is seen by the first n % 3 views."""
    return [
        {"key": 7 * number, "value": {"X": point.tolist(), "observations": [
            {"key": view, "value": {"id_feat": 3, "x": [1.5, 2.5]}} for view in range(number % 3)]}}
        for number, point in enumerate(POINTS)
    ]  # fmt: skip


def test_points_and_what_sees_them(tmp_path):
    found = points_of(loaded(write(tmp_path, document() | {"structure": structure()}), "openmvg"))
    np.testing.assert_array_equal(found.positions, POINTS)
    assert found.colours is None
    assert found.observations.tolist() == [[n, view] for n in range(len(POINTS)) for view in range(n % 3)]
    assert found.names[1] == f"/home/somebody/images/{NAMES[1]}"


def test_without_poses_the_program_that_writes_them_is_named(tmp_path):
    content = document()
    content["extrinsics"] = []
    assert "openMVG_main_ConvertSfM_DataFormat" in refused(write(tmp_path, content))


@pytest.mark.parametrize(
    ("lens", "said"),
    [
        (intrinsic(0, "spherical"), "of type spherical, which is not supported: undistort"),
        (intrinsic(0, "pinhole_radial_k3", disto_k3=[0.1]), "without principal_point or 3 disto_k3"),
        (intrinsic(0, "pinhole_radial_k3", principal_point=[1.0]), "another content"),
        (intrinsic(0, "pinhole_radial_k3", focal_length=-3.0), "focal length"),
        (intrinsic(0, "pinhole_radial_k3", width=0), "picture size"),
        (intrinsic(5, "pinhole"), "has intrinsics 0, which are not there"),
    ],
)
def test_cameras_that_cannot_be(tmp_path, lens, said):
    assert said in refused(write(tmp_path, document([lens])))


def test_damaged_poses_are_named(tmp_path):
    content = document()
    content["extrinsics"][1]["value"]["center"] = [1.0, 2.0]
    assert "1.JPG is not a 4x4 matrix" in refused(write(tmp_path, content))
    content["extrinsics"][1]["value"]["center"] = [1.0, 2.0, float("nan")]
    assert "1.JPG contains NaN" in refused(write(tmp_path, content))


def test_the_public_sample_has_no_poses(tmp_path):
    (tmp_path / "sfm_data.json").write_bytes(sample("poses/openmvg_sfmdata/sfm_data.json").read_bytes())
    assert "has no extrinsics" in refused(tmp_path)
