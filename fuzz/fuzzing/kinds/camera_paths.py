"""Camera paths, and the transform of a nerfstudio run that one was made in."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from fuzzing.kinds.scene_checks import check_cameras
from fuzzing.kinds.spoiling import document, one_of
from fuzzing.oracle import Case, Fault, Kind, check_finite, command

WHOLE_COMMAND = 0.03
"""Share of the cases that are rendered."""


def kinds() -> dict[str, Kind]:
    """By name."""
    return {
        "camera-path": Kind("path", one_of(["camera_path.json"], document), _read_path, weight=4),
        "dataparser-transform": Kind("path", one_of(["dataparser_transforms.json"], document), _read_path),
    }


def _read_path(case: Case) -> None:
    from lerf.scenes.camera_path import read_camera_path, read_nerfstudio_transform, write_camera_path

    scene = _scene(case.material)
    frame = read_nerfstudio_transform(case.input / "dataparser_transforms.json", scene)
    check_finite(frame.to_dict(), "frame")
    for given in (None, frame):
        path = read_camera_path(case.input / "camera_path.json", scene, given)
        check_finite(path.frames_a_second, "frames a second")
        check_cameras([camera.moved(scene.similarity) for camera in path.cameras[:50]], "path")
        again = case.folder / "again.json"
        write_camera_path(again, path, scene)
        if len(read_camera_path(again, scene).cameras) != len(path.cameras):
            raise Fault("not finite", "what was written reads back as another path")
    if case.random.random() < WHOLE_COMMAND and max(path.size) <= 64 and len(path.cameras) <= 10:
        given = ["--transforms", case.input / "dataparser_transforms.json"] if case.random.random() < 0.5 else []
        command(
            "render", case.material / "run", "--path", case.input / "camera_path.json", "--output",
            case.folder / "frames", "--device", "cpu", *given,
        )  # fmt: skip


@cache
def _scene(material: Path) -> Any:
    from lerf.scenes.load import load_scene

    return load_scene(material / "drawn")


def make(folder: Path) -> None:
    """A path of three small frames in the entries that nerfstudio's viewer writes, and a transform."""
    from lerf.scenes.camera_path import CameraPath, nerfstudio_frame, write_camera_path
    from lerf.scenes.load import load_scene

    scene = load_scene(folder / "drawn")
    cameras = tuple(photo.camera.scaled_to(8, 6) for photo in scene.photos[:3])
    write_camera_path(folder / "path/camera_path.json", CameraPath(cameras, 24.0, (0, 2)), scene)
    frame = nerfstudio_frame(scene)
    transform = [
        [*row, place / frame.scale] for row, place in zip(frame.rotation.tolist(), frame.translation, strict=True)
    ]
    text = json.dumps({"transform": transform, "scale": frame.scale})
    (folder / "path/dataparser_transforms.json").write_text(text)
