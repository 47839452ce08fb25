"""Captures in transforms.json: nerfstudio's form and instant-ngp's.

Intrinsics may stand at the top, in each frame, or both (the frame wins). The capture frame is that of the file as
given: nerfstudio's `applied_transform` is recorded in `Scene.metadata`, not undone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from lerf.documents import read_document
from lerf.errors import SceneError
from lerf.scenes.assemble import PhotoFinder, assemble
from lerf.scenes.listing import Optics, Shot, checked_pose, checked_size, held_out
from lerf.scenes.scene import Scene

PERSPECTIVE_MODELS = ("OPENCV", "PINHOLE", "SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL")
"""All of them are OPENCV with some coefficients zero."""
FISHEYE_MODEL = "OPENCV_FISHEYE"

_RECORDED = ("applied_transform", "applied_scale", "aabb_scale")


def load_transforms(path: Path, downscale: int | None = None) -> Scene:
    """Read a transforms.json and look at its photos.

    `train_filenames`, `val_filenames` and `test_filenames` set the split: validation photos are held out together
    with test photos, a photo listed on both sides is held out, and one listed nowhere is used by neither (with one
    side listed only, the other side is the rest). Otherwise every 8th photo is held out, see `held_out`.

    Raises:
        SceneError: for anything in the file or its photos that cannot be used.
    """
    document = read_frames(path)
    finder = PhotoFinder(path.parent)
    shots = read_shots(document, path, finder)
    split = _split(document, [shot.name for shot in shots], path)
    metadata: dict[str, Any] = {"format": "transforms.json"}
    metadata.update({key: document[key] for key in _RECORDED if key in document})
    return assemble(path.parent, shots, split, downscale, metadata, notes=finder.notes())


def read_frames(path: Path) -> dict[str, Any]:
    """The JSON object in a file that lists frames.

    Raises:
        SceneError: when the file is missing or is not a JSON object.
    """
    return read_document(path, dict, error=SceneError, remedy="export the capture again or repair the file")


def read_shots(document: Mapping[str, Any], path: Path, finder: PhotoFinder) -> list[Shot]:
    """The frames of a document, in the file's order; file names are relative to the folder of `path`.

    Raises:
        SceneError: when there are no frames, or one has no file name, an impossible pose or impossible intrinsics.
    """
    frames = document.get("frames")
    if not isinstance(frames, list) or not frames:
        raise SceneError(f"{path} has no frames: export the capture again with at least two posed photos.")
    shots = []
    for number, frame in enumerate(frames):
        if not isinstance(frame, dict) or not isinstance(frame.get("file_path"), str) or not frame["file_path"]:
            raise SceneError(f"Frame {number} of {path} has no file_path: add the path of its photo.")
        photo = finder.find(path.parent / _clean(frame["file_path"]))
        name = _name(photo, path.parent)
        pose = checked_pose(frame.get("transform_matrix"), name)
        mask = frame.get("mask_path")
        mask_path = finder.find(path.parent / _clean(mask)) if isinstance(mask, str) and mask else None
        shots.append(Shot(name, photo, pose, _optics({**document, **frame}, name), mask_path))
    return shots


def _optics(values: Mapping[str, Any], name: str) -> Optics:
    model = values.get("camera_model", FISHEYE_MODEL if values.get("is_fisheye") else "OPENCV")
    if model not in (*PERSPECTIVE_MODELS, FISHEYE_MODEL):
        raise SceneError(
            f"Photo {name} has the camera model {model}, which is not supported: undistort the photos to PINHOLE, or "
            "use OPENCV or OPENCV_FISHEYE."
        )
    fx, fy = _number(values, "fl_x", name), _number(values, "fl_y", name)
    angle_x, angle_y = _number(values, "camera_angle_x", name), _number(values, "camera_angle_y", name)
    width, height = _number(values, "w", name), _number(values, "h", name)
    if fx is None:
        fx = fy
    k1, k2, k3, k4, p1, p2 = (_number(values, key, name) or 0.0 for key in ("k1", "k2", "k3", "k4", "p1", "p2"))
    return Optics(
        size=None if width is None or height is None else checked_size(width, height, name),
        focal=None if fx is None else (fx, fx if fy is None else fy),
        angles=None if angle_x is None else (angle_x, angle_y),
        centre=(_number(values, "cx", name), _number(values, "cy", name)),
        distortion=(k1, k2, k3, k4, p1, p2),
        fisheye=model == FISHEYE_MODEL,
    )


def _number(values: Mapping[str, Any], key: str, name: str) -> float | None:
    value = values.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise SceneError(f"The entry {key} of photo {name} is {value!r}: write a number.")
    try:
        return float(value)
    except OverflowError:
        return math.inf  # refused with the other numbers that are not finite


def _split(document: Mapping[str, Any], names: list[str], path: Path) -> tuple[tuple[int, ...], tuple[int, ...]]:
    train = _listed(document, ("train_filenames",), names, path)
    test = _listed(document, ("val_filenames", "test_filenames"), names, path)
    if train is None and test is None:
        return held_out(names)
    every = set(range(len(names)))
    if test is None:
        assert train is not None
        test = every - train
    train = every - test if train is None else train - test
    return tuple(sorted(train)), tuple(sorted(test))


def _listed(document: Mapping[str, Any], keys: Iterable[str], names: list[str], path: Path) -> set[int] | None:
    """Indices of the photos listed under any of `keys`, None when no such list is there or all are empty."""
    entries: list[Any] = []
    for key in keys:
        value = document.get(key) or []
        if not isinstance(value, list):
            raise SceneError(f"{key} in {path} is not a list: list the file_path of each photo.")
        entries.extend(value)
    if not entries:
        return None
    index = {name: number for number, name in enumerate(names)}
    # A list may leave the extension out, as frames may; a stem that two photos share stays ambiguous.
    stems: dict[str, list[int]] = {}
    for number, name in enumerate(names):
        stems.setdefault(str(PurePosixPath(name).with_suffix("")), []).append(number)
    found = set()
    for entry in entries:
        name = _name(path.parent / _clean(entry), path.parent) if isinstance(entry, str) else ""
        near = stems.get(name) or stems.get(str(PurePosixPath(name).with_suffix("")) if name else "", [])
        if name in index:
            found.add(index[name])
        elif len(near) == 1:
            found.add(near[0])
        else:
            raise SceneError(f"The split in {path} lists {entry!r}, which is not a frame: remove it or add its pose.")
    return found


def _clean(file_path: str) -> PurePosixPath:
    return PurePosixPath(file_path.replace("\\", "/"))


def _name(path: Path, root: Path) -> str:
    return (path.relative_to(root) if path.is_relative_to(root) else path).as_posix()
