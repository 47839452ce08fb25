"""Pose files of other tools: Gaussian splatting, LLFF, Open3D, phone apps; and what lies beside a transforms.json."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fuzzing.kinds.scene_checks import check_scene, read_and_check
from fuzzing.kinds.spoiling import data, document, lines, one_of
from fuzzing.oracle import Case, Kind, check_finite

COUNT = 6
WIDTH, HEIGHT = 12, 8
KEYFRAMES = "keyframes/corrected_cameras"


def kinds() -> dict[str, Kind]:
    """By name."""
    numbers = range(COUNT)
    return {
        "cameras-json": Kind("cameras-json", one_of(["cameras.json"], document), read_and_check),
        "llff": Kind("llff", one_of(["poses_bounds.npy"], data), read_and_check),
        "open3d-json": Kind("open3d-json", one_of(["trajectory.json"], document), read_and_check),
        "open3d-log": Kind("open3d-log", one_of(["trajectory.log"], lines), read_and_check),
        "record3d": Kind("record3d", one_of(["metadata.json"], document), read_and_check),
        "polycam": Kind(
            "polycam", one_of([f"{KEYFRAMES}/{number}.json" for number in numbers], document), read_and_check
        ),
        "scanner-app": Kind(
            "scanner-app", one_of([f"frame_{number:05d}.json" for number in numbers], document), read_and_check
        ),
        "split-files": Kind(
            "split-files", one_of(["transforms_train.json", "transforms_test.json"], document), read_and_check
        ),
        "sparse-points": Kind("sparse-points", one_of(["sparse_pc.ply"], data), _read_points),
    }


def make(folder: Path) -> None:
    """Six photos of 12x8 pixels in each format."""
    import numpy as np
    from scene_files import ring

    poses = ring(COUNT)
    _make_listed(folder, poses)
    _make_apps(folder, poses)
    rows = [
        [*np.column_stack([-pose[:3, 1], pose[:3, 0], pose[:3, 2:], [HEIGHT, WIDTH, 10.0]]).ravel(), 0.5, 9.0]
        for pose in poses
    ]
    _photos(folder / "llff/images")
    np.save(folder / "llff/poses_bounds.npy", np.array(rows))
    _make_beside(folder)


def _make_listed(folder: Path, poses: Sequence[Any]) -> None:
    """Gaussian splatting's and Open3D's, of cameras whose y is down and z forwards."""
    import numpy as np

    down = [pose @ np.diag([1.0, -1.0, -1.0, 1.0]) for pose in poses]
    listed = [
        {"id": number, "img_name": str(number), "width": WIDTH, "height": HEIGHT, "position": pose[:3, 3].tolist(),
         "rotation": pose[:3, :3].tolist(), "fx": 10.0, "fy": 11.0}
        for number, pose in enumerate(down)
    ]  # fmt: skip
    _photos(folder / "cameras-json/images")
    _write(folder / "cameras-json/cameras.json", listed)
    matrix = {"width": WIDTH, "height": HEIGHT, "intrinsic_matrix": [10.0, 0, 0, 0, 11.0, 0, 5.5, 3.5, 1]}
    trajectory = [{"extrinsic": np.linalg.inv(pose).T.ravel().tolist(), "intrinsic": matrix} for pose in down]
    _photos(folder / "open3d-json/image")
    _write(folder / "open3d-json/trajectory.json", {"class_name": "PinholeCameraTrajectory", "parameters": trajectory})
    _photos(folder / "open3d-log/rgb")
    _write(folder / "open3d-log/camera_intrinsic.json", matrix)
    text = [f"{number} {number} {number + 1}\n{_rows(pose)}\n" for number, pose in enumerate(down)]
    (folder / "open3d-log/trajectory.log").write_text("".join(text))


def _make_apps(folder: Path, poses: Sequence[Any]) -> None:
    """Those of phones, of cameras whose y is up and z backwards."""
    from scipy.spatial.transform import Rotation

    listed = [[*map(float, Rotation.from_matrix(pose[:3, :3]).as_quat()), *pose[:3, 3].tolist()] for pose in poses]
    _photos(folder / "record3d/rgb")
    _write(
        folder / "record3d/metadata.json",
        {"w": WIDTH, "h": HEIGHT, "K": [10.0, 0, 0, 0, 11.0, 0, 5.5, 4.5, 1], "poses": listed,
         "perFrameIntrinsicCoeffs": [[10.0, 11.0, 5.5, 4.5]] * COUNT},
    )  # fmt: skip
    _photos(folder / "polycam/keyframes/corrected_images")
    _photos(folder / "scanner-app", "frame_{:05d}")
    lens = {"fx": 10.0, "fy": 11.0, "cx": 5.5, "cy": 4.5, "width": WIDTH, "height": HEIGHT}
    for number, pose in enumerate(poses):
        entries = {f"t_{row}{column}": float(pose[row, column]) for row in range(3) for column in range(4)}
        _write(folder / f"polycam/{KEYFRAMES}/{number}.json", {**lens, **entries, "blur_score": 99.0})
        projection = [20 / WIDTH, 0, 0, 0, 0, 22 / HEIGHT, 0, 0, 0, 0, -1, -0.001, 0, 0, -1, 0]
        scanned = {"cameraPoseARFrame": pose.ravel().tolist(), "projectionMatrix": projection}
        _write(
            folder / f"scanner-app/frame_{number:05d}.json",
            {**scanned, "intrinsics": [10.0, 0, 5, 0, 11.0, 4, 0, 0, 1]},
        )


def _make_beside(folder: Path) -> None:
    import numpy as np
    from scene_files import transforms, write_capture, write_transforms

    known = transforms(COUNT)
    write_capture(folder / "split-files", known)
    for side, frames in (("train", known["frames"][:4]), ("test", known["frames"][4:])):
        write_transforms(folder / "split-files", {**known, "frames": frames}, f"transforms_{side}.json")
    write_capture(folder / "sparse-points", transforms(COUNT, ply_file_path="sparse_pc.ply"))
    kind = [("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("red", "u1"), ("green", "u1"), ("blue", "u1")]
    table = np.zeros(20, kind)
    for number, (name, _) in enumerate(kind):
        table[name] = np.arange(20) + number
    names = "".join(f"property {'float' if form == '<f4' else 'uchar'} {name}\n" for name, form in kind)
    header = f"ply\nformat binary_little_endian 1.0\nelement vertex 20\n{names}end_header\n"
    (folder / "sparse-points/sparse_pc.ply").write_bytes(header.encode() + table.tobytes())


def _read_points(case: Case) -> None:
    from lerf.scenes.load import read_points

    points = read_points(check_scene(case.input))
    if points is not None:
        check_finite(points.positions, "points")


def _photos(folder: Path, name: str = "{}") -> None:
    from scene_files import picture, save

    for number in range(COUNT):
        save(folder / f"{name.format(number)}.png", picture(WIDTH, HEIGHT, number))


def _write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def _rows(matrix: Any) -> str:
    return "\n".join(" ".join(f"{value:.8f}" for value in row) for row in matrix)
