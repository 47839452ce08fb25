"""Public pose files: each loads with the right photos, and projects as its tool's own formula says.

The formulas stand here as the tools have them, from the numbers in the files; `pytest -rP` on this file shows what
docs/captures.md tabulates.
"""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from posed_samples import LARGEST_ERROR, at_full_size, points_before, project, sample, stated_name, with_photos

from lerf.errors import SceneError
from lerf.scenes.load import read_scene

Projections = dict[str, Callable[[np.ndarray], np.ndarray]]
"""By file name of a photo: points of the world -> columns and rows, the picture's corner at 0."""


@dataclass(frozen=True)
class Case:
    """A sample and where its photos are put."""

    sample: str
    given: str
    """What is loaded, under the sample."""
    photos: Callable[[str], str]
    """Name in the pose file -> where the photo is put, under the sample."""
    size: tuple[int, int]
    told: str
    """A part of the only note, empty for none."""
    projections: Callable[..., tuple[list[str], Projections]]
    """The pose file -> names as it states them, and projections by file name."""
    file: str


def exact(camera_to_world):
    """A pose with the nearest rotation: those in files have 6 to 16 digits."""
    pose = np.array(camera_to_world, float)
    u, _, vt = np.linalg.svd(pose[:3, :3])
    pose[:3, :3] = u @ vt
    return pose


def transforms_json(path):
    """nerfstudio's and instant-ngp's: OpenCV's lens, of a camera whose y is up and z backwards."""
    content = json.loads(path.read_text())
    names, found = [], {}
    for frame in content["frames"]:
        lens = {**{key: value for key, value in content.items() if key != "frames"}, **frame}
        names.append(frame["file_path"])
        found[stated_name(frame["file_path"])] = lambda points, lens=lens: opencv(points, lens)
    return names, found


def opencv(points, lens):
    """OpenCV's projectPoints with k1, k2, p1, p2."""
    world_to_camera = np.linalg.inv(exact(lens["transform_matrix"]) @ np.diag([1.0, -1.0, -1.0, 1.0]))
    x, y, z = (points @ world_to_camera[:3, :3].T + world_to_camera[:3, 3]).T
    x, y = x / z, y / z
    if "fl_x" not in lens:  # DJI's: an angle for photos of any size, here that of the case
        width, height = 5280, 3960
        focal = width / 2 / math.tan(lens["camera_angle_x"] / 2)
        return np.stack([focal * x + width / 2, focal * y + height / 2], 1)
    k1, k2, p1, p2 = (lens.get(key, 0.0) for key in ("k1", "k2", "p1", "p2"))
    square = x * x + y * y
    radial = 1 + k1 * square + k2 * square**2
    bent = (
        x * radial + 2 * p1 * x * y + p2 * (square + 2 * x * x), y * radial + p1 * (square + 2 * y * y) + 2 * p2 * x * y
    )  # fmt: skip
    return np.stack([lens["fl_x"] * bent[0] + lens["cx"], lens["fl_y"] * bent[1] + lens["cy"]], 1)


def cameras_json(path):
    """The trainer's: angles of view make a symmetric projection, whose pixel centres are at whole numbers."""
    names, found = [], {}
    for entry in json.loads(path.read_text()):
        names.append(entry["img_name"])
        found[entry["img_name"].removesuffix(".jpg")] = lambda points, entry=entry: splatted(points, entry)
    return names, found


def splatted(points, entry):
    """Normalised device coordinates from the tangents of half the angles, then `ndc2Pix` of the rasteriser."""
    camera_to_world = np.eye(4)
    camera_to_world[:3, :3], camera_to_world[:3, 3] = entry["rotation"], entry["position"]
    world_to_camera = np.linalg.inv(exact(camera_to_world))
    x, y, z = (points @ world_to_camera[:3, :3].T + world_to_camera[:3, 3]).T
    pixels = []
    for along, size, focal in ((x, entry["width"], entry["fx"]), (y, entry["height"], entry["fy"])):
        angle = 2 * math.atan(size / (2 * focal))
        device = along / z / math.tan(angle / 2)
        pixels.append(((device + 1) * size - 1) / 2 + 0.5)
    return np.stack(pixels, 1)


def llff(path):
    """Rows of a 3x5 matrix: columns down, right, backwards, centre, and height, width, focal length."""
    names, found = [], {}
    for number, row in enumerate(np.load(path)):
        names.append(f"IMG_{number:04d}.JPG")
        found[names[-1]] = lambda points, row=row: from_llff(points, row)
    return names, found


def from_llff(points, row):
    matrix = row[:15].reshape(3, 5)
    down, right, backwards, centre, (height, width, focal) = matrix.T
    away = points - centre
    depth = -away @ backwards
    return np.stack([width / 2 + focal * (away @ right) / depth, height / 2 + focal * (away @ down) / depth], 1)


def open3d_json(path):
    """Matrices column by column; pixel centres at whole numbers."""
    names, found = [], {}
    for number, one in enumerate(json.loads(path.read_text())["parameters"]):
        names.append(f"{number}.jpg")
        extrinsic = np.linalg.inv(exact(np.linalg.inv(np.array(one["extrinsic"]).reshape(4, 4, order="F"))))
        found[names[-1]] = lambda points, extrinsic=extrinsic, one=one: pinhole(
            points, extrinsic, np.array(one["intrinsic"]["intrinsic_matrix"]).reshape(3, 3, order="F")
        )
    return names, found


def open3d_log(path):
    lines = path.read_text().splitlines()
    intrinsic = np.array([[525, 0, 319.5], [0, 525, 239.5], [0, 0, 1]])
    names, found = [], {}
    for start in range(0, len(lines), 5):
        names.append(f"{start // 5}.jpg")
        pose = exact([[float(word) for word in line.split()] for line in lines[start + 1 : start + 5]])
        extrinsic = np.linalg.inv(pose)
        found[names[-1]] = lambda points, extrinsic=extrinsic: pinhole(points, extrinsic, intrinsic)
    return names, found


def pinhole(points, extrinsic, intrinsic):
    image = (points @ extrinsic[:3, :3].T + extrinsic[:3, 3]) @ intrinsic.T
    return image[:, :2] / image[:, 2:] + 0.5


def as_stated(name):
    return name


def in_images(name):
    return f"images/{stated_name(name)}"


MOVED = "files are not where the capture says but elsewhere in it"
POINTS = "The points of transforms.json, sparse_pc.ply, are not there"
NERFSTUDIO = (transforms_json, "transforms.json")
CASES = {
    "DJI": Case("dji_aerogrid", ".", as_stated, (5280, 3960), "", *NERFSTUDIO),
    "nerfstudio, SLAM": Case("nerfstudio_slam", ".", as_stated, (1080, 1920), "", *NERFSTUDIO),
    "nerfstudio, split": Case("nerfstudio_fdu", ".", as_stated, (1080, 1920), POINTS, *NERFSTUDIO),
    "nerfstudio, nested": Case(
        "nerfstudio_perfume", "data", lambda name: f"data/{name}", (864, 480), POINTS, transforms_json,
        "data/transforms.json",
    ),
    "nerfstudio, the folder above": Case(
        "nerfstudio_perfume", ".", lambda name: f"data/{name}", (864, 480), POINTS, transforms_json,
        "data/transforms.json",
    ),
    "instant-ngp, ../": Case("ngp_abs_paths", ".", in_images, (1554, 1162), MOVED, *NERFSTUDIO),
    "instant-ngp, uploads": Case("ngp_uploads", ".", in_images, (780, 1080), MOVED, *NERFSTUDIO),
    "instant-ngp, Windows": Case("ngp_windows_paths", ".", in_images, (2160, 3840), MOVED, *NERFSTUDIO),
    "instant-ngp, a camera a photo": Case(
        "per_frame_intrinsics_4dgs", ".", in_images, (3840, 2160), MOVED, *NERFSTUDIO
    ),
    "Gaussian splatting": Case(
        "3dgs_cameras_json", ".", lambda name: f"images/{name}.png", (1919, 1073), "", cameras_json,
        "output/cameras.json",
    ),
    "Gaussian splatting, its result": Case(
        "3dgs_cameras_json", "output", lambda name: f"images/{name}.png", (1919, 1073), "are looked for in",
        cameras_json, "output/cameras.json",
    ),
    "ARKit, as cameras.json": Case("arkit_3dgs", ".", in_images, (1440, 1920), "", cameras_json, "cameras.json"),
    "LLFF": Case("llff_poses_bounds_duck", ".", in_images, (5184, 3888), "", llff, "poses_bounds.npy"),
    "Open3D, JSON": Case(
        "open3d_log_and_json", "examples/open3d_example.json", lambda name: f"examples/color/{name}", (640, 480), "",
        open3d_json, "examples/open3d_example.json",
    ),
    "Open3D, .log": Case(
        "open3d_log_and_json", "examples/open3d_example.log", lambda name: f"examples/color/{name}", (640, 480),
        "Open3D's default is used", open3d_log, "examples/open3d_example.log",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_public_sample_loads_with_its_photos_and_its_projection(tmp_path, name):
    case = CASES[name]
    stated, projections = case.projections(sample(case.sample) / case.file)
    with_photos(case.sample, tmp_path, map(case.photos, stated), case.size)
    scene = read_scene(tmp_path / case.given)
    assert sorted(photo.path for photo in scene.photos) == sorted(tmp_path / case.photos(one) for one in stated)
    assert [note for note in scene.notes if not case.told or case.told not in note] == [
        note for note in scene.notes if "The split is that of" in note or "holds no capture itself" in note
    ]
    assert not case.told or sum(case.told in note for note in scene.notes) == 1
    worst = 0.0
    for photo in scene.photos:
        camera = at_full_size(photo.camera, case.size)
        expected = projections.get(photo.path.name) or projections[photo.path.stem]
        points = points_before(camera.camera_to_world)
        worst = max(worst, float(np.abs(project(camera, points) - expected(points)).max()))
    assert worst < LARGEST_ERROR
    print(f"| {name} | {case.sample} | yes | {len(scene.photos)} of {len(stated)} | {worst:.0e} |")


def test_the_split_of_files_beside_transforms_json_is_used(tmp_path):
    stated, _ = transforms_json(sample("nerfstudio_fdu") / "transforms.json")
    with_photos("nerfstudio_fdu", tmp_path, stated, (1080, 1920))
    scene = read_scene(tmp_path)
    train, held_out = ({scene.photos[index].name for index in side} for side in (scene.train, scene.test))
    for name, photos in (("train", train), ("val", held_out)):
        frames = json.loads((tmp_path / f"transforms_{name}.json").read_text())["frames"]
        assert photos == {frame["file_path"] for frame in frames}
    assert not any("Blender" in note for note in scene.notes)


def test_open3ds_two_forms_of_one_trajectory_agree(tmp_path):
    """The sample has the same 33 poses in both, one of them with six digits."""
    with_photos("open3d_log_and_json", tmp_path, [f"examples/rgb/{i}.png" for i in range(33)], (640, 480))
    both = [read_scene(tmp_path / f"examples/open3d_example.{form}") for form in ("json", "log")]
    for photos in zip(*(scene.photos for scene in both), strict=True):
        first, second = (photo.camera for photo in photos)
        np.testing.assert_allclose(first.camera_to_world, second.camera_to_world, atol=1e-5)
        assert (first.cx, first.cy) == (second.cx, second.cy)


def test_photos_that_poses_do_not_name_have_to_be_as_many(tmp_path):
    names = [f"images/{number}.jpg" for number in range(199)]
    with_photos("llff_poses_bounds_duck", tmp_path, names, (5184, 3888))
    with pytest.raises(SceneError, match=r"has 198 poses without names, and .* has 199 photos"):
        read_scene(tmp_path)
