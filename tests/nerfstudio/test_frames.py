"""Cameras and frames of a capture are those that nerfstudio's own data parsers make of it."""

from __future__ import annotations

import json
from pathlib import Path

import ns_commands
import numpy as np
import pytest
from scene_files import picture, ring, save, transforms, write_capture, write_colmap_text, write_transforms
from scipy.spatial.transform import Rotation

from lerf.geometry.similarity import Similarity
from lerf.scenes import load_scene
from lerf.scenes.camera_path import read_nerfstudio_transform
from lerf.scenes.demo import demo_capture
from lerf.scenes.nerfstudio_frame import nerfstudio_frame

ns_commands.require_nerfstudio()

APPLIED = [[0.0, 1.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0], [0.0, 0.0, -1.0, 0.0]]
KINDS = {
    "plain": {},
    "vertical": {"orientation_override": "vertical"},
    "none": {"orientation_override": "none"},
    "applied": {"applied_transform": APPLIED, "applied_scale": 0.5},
    "distorted": {
        "k1": 0.0,
        "k2": 0.0,
        "p1": 0.0,
        "p2": 0.0,
        "distortion_params": [0.1, -0.02, 0.003, 0.0, 1e-3, -2e-3],
    },
}


def tilted(count: int = 10) -> np.ndarray:
    """Poses on two rings that are turned and far from the origin."""
    turn = Rotation.from_euler("xyz", [35, -20, 50], degrees=True).as_matrix()
    poses = np.stack([*ring(count - 4, height=0.3), *ring(4, height=1.2, target=(0.1, 0.2, 0.0))])
    moved = Similarity(turn, np.array([3.0, -2.0, 1.0]), 1.0).apply_poses(poses[:, :3])
    return np.concatenate([moved, np.tile([[[0.0, 0, 0, 1]]], (count, 1, 1))], axis=1)


def parsed(config) -> dict[str, tuple[np.ndarray, object]]:
    """By name of the file, the pose and the camera that nerfstudio trains or evaluates with."""
    parser, found = config.setup(), {}
    for split in ("train", "val"):
        outputs = parser.get_dataparser_outputs(split=split)
        poses = outputs.cameras.camera_to_worlds.double().numpy()
        for number, (file, pose) in enumerate(zip(outputs.image_filenames, poses, strict=True)):
            found[Path(file).name] = pose, outputs.cameras[number]
    return found


def assert_same(folder: Path, config) -> None:
    """Photos moved into `nerfstudio_frame` stand where nerfstudio has them."""
    scene, theirs = load_scene(folder), parsed(config)
    frame = nerfstudio_frame(scene)
    named = {Path(photo.name).name: photo for photo in scene.photos}
    assert len(set(named) & set(theirs)) == len(theirs) > 0
    for name, (pose, _) in theirs.items():
        np.testing.assert_allclose(named[name].camera.moved(frame).camera_to_world, pose, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_transforms_json(kind, tmp_path):
    from nerfstudio.data.dataparsers.nerfstudio_dataparser import NerfstudioDataParserConfig

    poses = tilted()
    document = transforms(len(poses), **KINDS[kind])
    for frame, pose in zip(document["frames"], poses, strict=True):
        frame["transform_matrix"] = pose.tolist()
    write_capture(tmp_path, document)
    assert_same(tmp_path, NerfstudioDataParserConfig(data=tmp_path))
    # What a run's own file says is the same frame.
    parser = NerfstudioDataParserConfig(data=tmp_path).setup()
    outputs = parser.get_dataparser_outputs(split="train")
    outputs.save_dataparser_transform(tmp_path / "dataparser_transforms.json")
    scene = load_scene(tmp_path)
    told, ours = read_nerfstudio_transform(tmp_path / "dataparser_transforms.json", scene), nerfstudio_frame(scene)
    np.testing.assert_allclose(told.rotation, ours.rotation, atol=1e-4)
    np.testing.assert_allclose(told.translation, ours.translation, atol=1e-4)
    assert told.scale == pytest.approx(ours.scale, rel=1e-4)
    if kind == "distorted":
        camera = outputs.cameras[0]
        np.testing.assert_allclose(
            scene.photos[0].camera.distortion, camera.distortion_params.double().numpy(), atol=1e-6
        )


def test_colmap(tmp_path):
    from nerfstudio.data.dataparsers.colmap_dataparser import ColmapDataParserConfig

    poses, images = tilted(), []
    for number, pose in enumerate(poses):
        world = np.linalg.inv(pose @ np.diag([1.0, -1, -1, 1]))
        x, y, z, w = Rotation.from_matrix(world[:3, :3]).as_quat().tolist()
        images.append((number + 1, [w, x, y, z], world[:3, 3].tolist(), 1, f"{number:04d}.png"))
        save(tmp_path / "images" / f"{number:04d}.png", picture(12, 8, number))
    write_colmap_text(tmp_path / "sparse/0", {1: ("PINHOLE", 12, 8, [10.0, 11.0, 6.0, 4.0])}, images)
    (tmp_path / "sparse/0/points3D.txt").write_text("")
    assert_same(tmp_path, ColmapDataParserConfig(data=tmp_path, colmap_path=Path("sparse/0"), load_3D_points=False))


def test_blender(tmp_path):
    from nerfstudio.data.dataparsers.blender_dataparser import BlenderDataParserConfig

    poses = tilted()
    for split, first in (("train", 0), ("val", 6), ("test", 6)):
        frames = []
        for number, pose in enumerate(poses[first : first + 6]):
            save(tmp_path / split / f"{first + number:04d}.png", picture(12, 8, number, 4))
            frames.append({"file_path": f"./{split}/{first + number:04d}", "transform_matrix": pose.tolist()})
        write_transforms(tmp_path, {"camera_angle_x": 0.8, "frames": frames}, f"transforms_{split}.json")
    config = BlenderDataParserConfig(data=tmp_path)
    scene, outputs = load_scene(tmp_path), config.setup().get_dataparser_outputs(split="train")
    frame = nerfstudio_frame(scene)
    for number, pose in enumerate(outputs.cameras.camera_to_worlds.double().numpy()):
        ours = scene.photos[scene.train[number]].camera.moved(frame)
        np.testing.assert_allclose(ours.camera_to_world, pose, atol=1e-4)


def test_the_demo_scene():
    from nerfstudio.data.dataparsers.nerfstudio_dataparser import NerfstudioDataParserConfig

    folder = demo_capture()
    assert_same(folder, NerfstudioDataParserConfig(data=folder))
    held_out = json.loads((folder / "transforms.json").read_text())["val_filenames"]
    assert len(held_out) == len(load_scene(folder).test)
