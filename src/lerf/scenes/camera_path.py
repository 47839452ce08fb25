"""Camera paths as nerfstudio's viewer saves them: reading, writing, and the frame that their poses are in.

A file holds the picture's size, frames a second, and for every frame `camera_to_world` (16 numbers, row by row; OpenGL
axes) and `fov` (vertical, in degrees). The poses are in nerfstudio's normalised frame, which is neither the capture's
nor ours; here they become cameras in the capture frame.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
from jaxtyping import Float

from lerf.documents import converted, read_document
from lerf.errors import ConfigError, LerfWarning, SceneError
from lerf.files import write_json
from lerf.geometry.bounds import LARGEST_COORDINATE, LONGEST_FOCAL, SHORTEST_FOCAL
from lerf.geometry.camera import Camera
from lerf.geometry.similarity import Similarity
from lerf.scenes.nerfstudio_frame import ASSUMED_ENTRY, nerfstudio_frame
from lerf.scenes.pose_checks import checked_poses
from lerf.scenes.readers.transforms_keys import some
from lerf.scenes.scene import Scene

FRAMES_A_SECOND = 24.0
"""Of a file that says neither `fps` nor `seconds`."""
OWN_ENTRY = "capture_to_path"
"""Entry of files written here, which nerfstudio ignores: the similarity from the capture frame to that of the poses."""
LARGEST_SIDE = 16384
SLOWEST, FASTEST = 1e-3, 1000.0
"""Frames a second."""
KNOWN = {
    *("camera_path", "render_width", "render_height", "camera_type", "fps", "seconds", "is_cycle", "keyframes"),
    *("crop", OWN_ENTRY),
    # What the viewer needs to make a path, all of which is in its frames.
    *("default_fov", "default_transition_sec", "smoothness_value"),
}
KNOWN_IN_FRAMES = {"camera_to_world", "fov", "aspect"}
AGAIN = "save it again"


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


class _Transform(msgspec.Struct):
    transform: list[list[float]]
    scale: float


class _Frame(msgspec.Struct):
    camera_to_world: list[float | list[float]]
    """16 numbers, row by row; some programs write the rows."""
    fov: Annotated[float, msgspec.Meta(gt=0, lt=180)]


class _Path(msgspec.Struct):
    camera_path: list[_Frame]
    render_width: Annotated[float, msgspec.Meta(ge=1, le=LARGEST_SIDE)]
    render_height: Annotated[float, msgspec.Meta(ge=1, le=LARGEST_SIDE)]
    camera_type: str = "perspective"
    fps: float | None = None
    seconds: float | None = None
    is_cycle: bool | None = False
    keyframes: Any = None
    crop: Any = None
    capture_to_path: Any = None


def read_nerfstudio_transform(path: Path, scene: Scene) -> Similarity:
    """The capture frame to that of a nerfstudio run, from its `dataparser_transforms.json`.

    Raises:
        SceneError: when the file is not such a one.
    """
    remedy = "give the dataparser_transforms.json of a nerfstudio run, with a 3x4 'transform' and a 'scale'"
    document = read_document(path, _Transform, error=SceneError, remedy=remedy)
    applied, applied_scale = np.eye(4), 1.0
    if scene.metadata.get("format") != "blender":  # whose parser does not look at them
        stated = np.asarray(scene.metadata.get("applied_transform", applied[:3]), np.float64)
        applied = np.vstack([stated[:3], applied[3:]])
        applied_scale = float(scene.metadata.get("applied_scale", 1.0))
    if scene.metadata.get(ASSUMED_ENTRY):
        warnings.warn(
            "The capture does not say its applied_transform; what nerfstudio assumes for captures made by an older "
            "ns-process-data is assumed here too.",
            LerfWarning,
            stacklevel=2,
        )
    matrix = np.array(document.transform, np.float64) if {len(row) for row in document.transform} == {4} else applied
    found = None
    if len(document.transform) in (3, 4) and (np.abs(matrix) <= LARGEST_COORDINATE).all():
        # nerfstudio's matrix starts from the frame before `applied_transform`, the capture's frame is the one after it.
        whole = matrix[:3] @ np.linalg.inv(applied)
        scale = document.scale / applied_scale
        found = Similarity(whole[:, :3], scale * whole[:, 3], scale)
    if found is None or not found.is_sound:
        raise SceneError(f"The transform in {path} is not a rotation with a scale: {remedy}.")
    return found


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
    content = read_document(path, dict, error=SceneError, remedy=AGAIN)
    if not content.get("camera_path"):
        raise SceneError(
            f"{path} has no frames in 'camera_path': save the path in the viewer with two keyframes or more."
        )
    document = converted(content, _Path, str(path), error=SceneError, remedy=AGAIN)
    kind = document.camera_type
    if kind not in ("perspective", "fisheye"):
        raise SceneError(f"{path} is a path of '{kind}' cameras: save it with perspective or fisheye ones.")
    _tell_unused(content, path)
    if frame is None:
        saved = document.capture_to_path
        frame = nerfstudio_frame(scene) if saved is None else Similarity.from_dict(saved)
    width, height = int(document.render_width), int(document.render_height)
    inverse = frame.inverse()
    names = [f"{number} of {path}" for number in range(len(document.camera_path))]
    matrices = [_square(entry.camera_to_world, name) for entry, name in zip(document.camera_path, names, strict=True)]
    poses = inverse.apply_poses(checked_poses(matrices, names, "frame"))
    cameras = []
    for entry, pose in zip(document.camera_path, poses, strict=True):
        focal = 0.5 * height / math.tan(0.5 * math.radians(entry.fov))
        least, most = SHORTEST_FOCAL * max(width, height), LONGEST_FOCAL * max(width, height)
        if not least <= focal <= most:
            raise SceneError(f"{path} has the fov {entry.fov:g}, which no picture can show: {AGAIN}.")
        cameras.append(Camera(width, height, focal, focal, 0.5 * width, 0.5 * height, pose, fisheye=kind == "fisheye"))
    marks = _keyframes(document.keyframes, poses, inverse)
    return CameraPath(tuple(cameras), _speed(document, path), marks, bool(document.is_cycle))


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


def _tell_unused(content: dict[str, Any], path: Path) -> None:
    """Warn of what a path states and no picture here will show."""
    if content.get("crop"):
        warnings.warn(f"The crop in {path} is not used.", LerfWarning, stacklevel=3)
    in_frames = {key for entry in content["camera_path"] for key in entry}
    unknown = [*sorted(set(content) - KNOWN), *sorted(in_frames - KNOWN_IN_FRAMES)]
    if unknown:
        warnings.warn(f"Keys of {path} not used: {some(unknown)}.", LerfWarning, stacklevel=3)


def _square(numbers: Sequence[float | list[float]], name: str) -> Float[np.ndarray, "4 4"]:
    flat = [number for row in numbers for number in (row if isinstance(row, list) else [row])]
    if len(flat) != 16:
        raise SceneError(f"Frame {name} has no camera_to_world of 16 numbers, a rotation and a position: {AGAIN}.")
    return np.array(flat, np.float64).reshape(4, 4)


def _speed(document: _Path, path: Path) -> float:
    # Seconds are what nerfstudio's renderer goes by, whatever `fps` says.
    if document.seconds is not None and document.seconds > 0:
        speed = len(document.camera_path) / document.seconds
    else:
        speed = FRAMES_A_SECOND if document.fps is None else document.fps
    if not SLOWEST <= speed <= FASTEST:
        raise SceneError(f"The path in {path} has {speed:g} frames a second: {AGAIN} with {SLOWEST:g} to {FASTEST:g}.")
    return speed


def _keyframes(listed: Any, poses: Float[np.ndarray, "frames 3 4"], inverse: Similarity) -> tuple[int, ...]:
    """The frames closest to the file's keyframes; a file whose keyframes are of an older form has none."""
    marks = set()
    for entry in listed if isinstance(listed, list) else []:
        try:
            matrix = np.asarray(entry["matrix"], np.float64).reshape(4, 4)
        except (KeyError, TypeError, ValueError):
            return ()
        if not (np.abs(matrix) <= LARGEST_COORDINATE).all():
            return ()
        point = inverse.apply_points(matrix[:3, 3])
        marks.add(int(np.square(poses[:, :, 3] - point).sum(-1).argmin()))
    return tuple(sorted(marks))
