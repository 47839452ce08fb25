"""Camera paths as nerfstudio's viewer saves them: reading, writing, and the frame that their poses are in.

A file holds the picture's size, frames a second, and for every frame `camera_to_world` (16 numbers, row by row; OpenGL
axes) and `fov` (vertical, in degrees). The poses are in nerfstudio's normalised frame, which is neither the capture's
nor ours; here they become cameras in the capture frame.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from lerf.documents import read_document
from lerf.errors import ConfigError, LerfWarning, SceneError
from lerf.files import write_json
from lerf.geometry.camera import Camera
from lerf.geometry.similarity import Similarity
from lerf.scenes.listing import checked_pose
from lerf.scenes.nerfstudio_frame import nerfstudio_frame
from lerf.scenes.scene import Scene

FRAMES_A_SECOND = 24.0
"""Of a file that says neither `fps` nor `seconds`."""
OWN_ENTRY = "capture_to_path"
"""Entry of files written here, which nerfstudio ignores: the similarity from the capture frame to that of the poses."""
LARGEST_SIDE = 16384


@dataclass(frozen=True)
class CameraPath:
    """Cameras that a video is made with, in the capture frame."""

    cameras: tuple[Camera, ...]
    """One a frame, all of one size."""
    frames_a_second: float
    keyframes: tuple[int, ...] = ()
    """Frames that were set by hand, ascending; nerfstudio's viewer loads these and interpolates anew."""
    loop: bool = False
    """Whether the last frame leads back to the first."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.cameras[0].width, self.cameras[0].height

    def scaled_to(self, width: int, height: int) -> CameraPath:
        """The same path in pictures of another size."""
        cameras = tuple(camera.scaled_to(width, height) for camera in self.cameras)
        return CameraPath(cameras, self.frames_a_second, self.keyframes, self.loop)


def read_nerfstudio_transform(path: Path, scene: Scene) -> Similarity:
    """The capture frame to that of a nerfstudio run, from its `dataparser_transforms.json`.

    Raises:
        SceneError: when the file is not such a one.
    """
    document = read_document(path, dict, error=SceneError, remedy="save it again")
    try:
        matrix = np.asarray(document["transform"], np.float64).reshape(3, 4)
        scale = float(document["scale"])
        applied = np.asarray(scene.metadata.get("applied_transform", np.eye(4)[:3]), np.float64).reshape(3, 4)
        applied_scale = float(scene.metadata.get("applied_scale", 1.0))
    except (KeyError, TypeError, ValueError) as error:
        raise SceneError(
            f"{path} needs a 3x4 'transform' and a 'scale': give the dataparser_transforms.json of a nerfstudio run."
        ) from error
    # nerfstudio's matrix starts from the frame before `applied_transform`, the capture's frame is the one after it.
    whole = matrix @ np.linalg.inv(np.vstack([applied, [0.0, 0.0, 0.0, 1.0]]))
    scale /= applied_scale
    if not (np.allclose(whole[:, :3] @ whole[:, :3].T, np.eye(3), atol=1e-4) and scale > 0 and math.isfinite(scale)):
        raise SceneError(f"The transform in {path} is not a rotation with a scale: save it again with nerfstudio.")
    return Similarity(whole[:, :3], scale * whole[:, 3], scale)


def read_camera_path(path: Path, scene: Scene, frame: Similarity | None = None) -> CameraPath:
    """A path that nerfstudio's viewer or `write_camera_path` saved.

    Args:
        path: the JSON file.
        scene: whose capture frame the cameras are returned in.
        frame: capture frame to that of the file's poses; by default the one that the file names, as those written here
            do, and else `nerfstudio_frame`.

    Raises:
        SceneError: when the file is missing, is no camera path, or uses a camera that cannot be rendered.
    """
    document = read_document(path, dict, error=SceneError, remedy="save it again")
    entries = document.get("camera_path")
    if not isinstance(entries, list) or not entries:
        raise SceneError(
            f"{path} has no frames in 'camera_path': save the path in the viewer with two keyframes or more."
        )
    kind = document.get("camera_type", "perspective")
    if kind not in ("perspective", "fisheye"):
        raise SceneError(f"{path} is a path of '{kind}' cameras: save it with perspective or fisheye ones.")
    if document.get("crop"):
        warnings.warn(f"The crop in {path} is not used.", LerfWarning, stacklevel=2)
    if frame is None:
        saved = document.get(OWN_ENTRY)
        frame = nerfstudio_frame(scene) if saved is None else Similarity.from_dict(saved)
    width, height = _side(document, "render_width", path), _side(document, "render_height", path)
    inverse = frame.inverse()
    cameras = []
    for number, entry in enumerate(entries):
        pose = _pose(entry, number, path)
        focal = 0.5 * height / math.tan(0.5 * math.radians(_angle(entry, number, path)))
        camera = Camera(width, height, focal, focal, 0.5 * width, 0.5 * height, pose, fisheye=kind == "fisheye")
        cameras.append(camera.moved(inverse))
    return CameraPath(
        tuple(cameras), _speed(document, len(entries), path), _keyframes(document, cameras, inverse),
        bool(document.get("is_cycle", False)),
    )  # fmt: skip


def write_camera_path(path: Path, camera_path: CameraPath, scene: Scene, frame: Similarity | None = None) -> None:
    """Save a path so that nerfstudio's viewer and `ns-render camera-path` read it.

    Its format knows a vertical field of view only: a principal point off the centre, lens distortion and pixels that
    are not square are left out.

    Args:
        path: the JSON file.
        camera_path: in the capture frame.
        scene: the capture.
        frame: capture frame to that of the poses; by default `nerfstudio_frame`.

    Raises:
        ConfigError: when the path is empty, or its cameras differ in size or kind.
        StorageError: when the file cannot be written.
    """
    cameras = camera_path.cameras
    if len({(camera.width, camera.height, camera.fisheye) for camera in cameras}) != 1:
        raise ConfigError("A camera path needs one camera or more, all of one size and kind.")
    frame = _frame_to_write(scene) if frame is None else frame
    width, height = camera_path.size
    aspect = width / height
    frames = [
        {
            "camera_to_world": _flat(camera.moved(frame).camera_to_world),
            "fov": math.degrees(camera.vertical_angle),
            "aspect": aspect,
        }
        for camera in cameras
    ]
    marks = camera_path.keyframes or _every_second(len(frames), camera_path.frames_a_second)
    seconds = len(frames) / camera_path.frames_a_second
    document = {
        "default_fov": frames[0]["fov"],
        "default_transition_sec": seconds / max(1, len(marks) - (not camera_path.loop)),
        "keyframes": [
            {
                "matrix": frames[mark]["camera_to_world"],
                "fov": frames[mark]["fov"],
                "aspect": aspect,
                "override_transition_enabled": False,
                "override_transition_sec": None,
            }
            for mark in marks
        ],
        "camera_type": "fisheye" if cameras[0].fisheye else "perspective",
        "render_height": height,
        "render_width": width,
        "fps": camera_path.frames_a_second,
        "seconds": seconds,
        "is_cycle": camera_path.loop,
        "smoothness_value": 0.0,
        "camera_path": frames,
        OWN_ENTRY: frame.to_dict(),
    }
    write_json(path, document)


def _frame_to_write(scene: Scene) -> Similarity:
    """nerfstudio's frame, or the capture's where that cannot be known: the file names its frame."""
    try:
        return nerfstudio_frame(scene)
    except SceneError as error:
        warnings.warn(
            f"The camera path is saved in the capture's frame, where nerfstudio will not find it in place. {error}",
            LerfWarning,
            stacklevel=3,
        )
        return Similarity.identity()


def _flat(pose: Float[np.ndarray, "3 4"]) -> list[float]:
    return [*pose.reshape(-1).tolist(), 0.0, 0.0, 0.0, 1.0]


def _every_second(frames: int, frames_a_second: float) -> tuple[int, ...]:
    """About one frame a second, the first and the last among them."""
    count = min(frames, max(2, round(frames / frames_a_second) + 1))
    return tuple(sorted({round(mark) for mark in np.linspace(0, frames - 1, count).tolist()}))


def _side(document: Mapping[str, Any], name: str, path: Path) -> int:
    value = document.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 1 <= value <= LARGEST_SIDE:
        raise SceneError(f"The {name} in {path} is {value!r}: write a number of pixels from 1 to {LARGEST_SIDE}.")
    return int(value)


def _pose(entry: Any, number: int, path: Path) -> Float[np.ndarray, "3 4"]:
    try:
        matrix = np.asarray(entry["camera_to_world"], np.float64).reshape(4, 4)
        return checked_pose(matrix, str(number))
    except (KeyError, TypeError, ValueError, SceneError) as error:
        raise SceneError(
            f"Frame {number} of {path} has no camera_to_world of 16 numbers, a rotation and a position: save it again."
        ) from error


def _angle(entry: Mapping[str, Any], number: int, path: Path) -> float:
    angle = entry.get("fov")
    if isinstance(angle, bool) or not isinstance(angle, int | float) or not 0 < angle < 180:
        raise SceneError(f"Frame {number} of {path} has the fov {angle!r}: write degrees between 0 and 180.")
    return float(angle)


def _speed(document: Mapping[str, Any], frames: int, path: Path) -> float:
    seconds = document.get("seconds")
    if isinstance(seconds, int | float) and not isinstance(seconds, bool) and seconds > 0:
        # What nerfstudio's renderer goes by, whatever `fps` says.
        return frames / seconds
    speed = document.get("fps", FRAMES_A_SECOND)
    if isinstance(speed, bool) or not isinstance(speed, int | float) or not 0 < speed <= 1000:
        raise SceneError(f"The fps in {path} is {speed!r}: write frames a second.")
    return float(speed)


def _keyframes(document: Mapping[str, Any], cameras: Sequence[Camera], inverse: Similarity) -> tuple[int, ...]:
    """The frames closest to the file's keyframes; a file whose keyframes are of an older form has none."""
    marks = set()
    positions = np.stack([camera.camera_to_world[:, 3] for camera in cameras])
    listed = document.get("keyframes")
    for entry in listed if isinstance(listed, list) else []:
        try:
            matrix = np.asarray(entry["matrix"], np.float64).reshape(4, 4)
        except (KeyError, TypeError, ValueError):
            return ()
        point = inverse.apply_points(matrix[:3, 3])
        marks.add(int(np.square(positions - point).sum(-1).argmin()))
    return tuple(sorted(marks))
