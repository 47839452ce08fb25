"""Captures: transforms.json, Blender's files, COLMAP's in both forms."""

from __future__ import annotations

from pathlib import Path

from fuzzing.kinds.scene_checks import read_and_check
from fuzzing.kinds.spoiling import data, document, lines, one_of
from fuzzing.oracle import Kind

MODEL = "sparse/0"


def kinds() -> dict[str, Kind]:
    """By name."""
    binary, text = ([f"{MODEL}/{name}.{form}" for name in ("cameras", "images")] for form in ("bin", "txt"))
    blender = [f"transforms_{split}.json" for split in ("train", "test")]
    return {
        "transforms": Kind("transforms", one_of(["transforms.json"], document), read_and_check, weight=6),
        "blender": Kind("blender", one_of([blender[0], *blender], document), read_and_check, weight=2),
        "colmap-binary": Kind(
            "colmap-binary", one_of(binary, data), read_and_check, weight=3,
        ),
        "colmap-text": Kind(
            "colmap-text", one_of(text, lines), read_and_check, weight=3,
        ),
    }  # fmt: skip


def make(folder: Path) -> None:
    """Six photos of 12x8 pixels in each format."""
    _make_transforms(folder / "transforms")
    _make_blender(folder / "blender")
    _make_colmap(folder)


def _make_transforms(folder: Path) -> None:
    import numpy as np
    from scene_files import save, transforms, write_capture

    known = transforms(
        6, camera_model="OPENCV", k1=0.01, k2=-0.02, p1=0.001, p2=0.002, applied_scale=1.0,
        applied_transform=np.eye(4)[:3].tolist(), aabb_scale=4, orientation_override="none",
        train_filenames=[f"images/{number:04d}.png" for number in range(5)], test_filenames=["images/0005.png"],
    )  # fmt: skip
    known["frames"][1] |= {"mask_path": "masks/0001.png", "fl_x": 9.0, "fl_y": 9.5, "w": 12, "h": 8}
    known["frames"][2] |= {"camera_model": "OPENCV_FISHEYE", "k3": 0.001, "k4": 0.0, "p1": 0.0, "p2": 0.0}
    write_capture(folder, known)
    save(folder / "masks/0001.png", np.full((8, 12), 255, np.uint8))


def _make_blender(folder: Path) -> None:
    from scene_files import picture, ring, save, write_transforms

    for split, count in (("train", 4), ("test", 2)):
        frames = [
            {"file_path": f"./{split}/r_{number}", "rotation": 0.1, "transform_matrix": pose.tolist()}
            for number, pose in enumerate(ring(count, 2.0 if split == "train" else 2.3))
        ]
        write_transforms(folder, {"camera_angle_x": 0.9, "frames": frames}, f"transforms_{split}.json")
        for number in range(count):
            save(folder / split / f"r_{number}.png", picture(12, 8, number, channels=4))


def _make_colmap(folder: Path) -> None:
    from scene_files import picture, ring, save, write_colmap_binary, write_colmap_text
    from scipy.spatial.transform import Rotation

    cameras = {
        1: ("PINHOLE", 12, 8, [10.0, 11.0, 5.5, 4.5]),
        2: ("OPENCV", 12, 8, [10.0, 11.0, 5.5, 4.5, 0.01, 0.02, 0.003, 0.004]),
        3: ("OPENCV_FISHEYE", 12, 8, [10.0, 11.0, 5.5, 4.5, 0.01, 0.02, 0.03, 0.04]),
        4: ("SIMPLE_RADIAL", 12, 8, [10.0, 6.0, 4.0, 0.01]),
    }
    images = []
    for number, pose in enumerate(ring(6)):
        rotation = (pose[:3, :3] * [1, -1, -1]).T
        x, y, z, w = map(float, Rotation.from_matrix(rotation).as_quat())
        place = (-rotation @ pose[:3, 3]).tolist()
        images.append((number + 1, [w, x, y, z], place, 1 + number % 4, f"{number:04d}.png"))
    for form, write in (("binary", write_colmap_binary), ("text", write_colmap_text)):
        write(folder / f"colmap-{form}" / MODEL, cameras, images)
        for number, (*_, name) in enumerate(images):
            save(folder / f"colmap-{form}/images" / name, picture(12, 8, number))
