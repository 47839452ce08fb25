"""What files hold: whether each is whole, and whether two folders hold the same."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

VOLATILE = ("seconds", "peak_memory_bytes", "bytes_per_second")
"""Entries of JSON that tell how long the work took."""


def damage_of(folder: Path) -> str:
    """The first file under its final name that cannot be read whole; empty when there is none."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.name.startswith("."):
            try:
                content_of(path)
            except Exception as error:
                return f"{path.relative_to(folder)} is damaged ({type(error).__name__}: {error})"
    return ""


def contents_of(folder: Path) -> dict[str, Any]:
    """What every file holds, by its path, unfinished ones and empty folders included."""
    return {str(path.relative_to(folder)): content_of(path) if path.is_file() else None for path in folder.rglob("*")}


def difference_of(found: dict[str, Any], right: dict[str, Any]) -> str:
    """The first file that differs; empty when none does."""
    for name in sorted(found.keys() | right.keys()):
        if name not in right:
            return f"{name} is left over"
        if name not in found:
            return f"{name} is missing"
        if found[name] != right[name]:
            return f"{name} differs from that of an undisturbed command"
    return ""


def content_of(path: Path) -> Any:
    """Content that can be compared: without times, and of tensors without their order in the file."""
    if path.name.startswith("."):
        return "unfinished"
    reader = _READERS.get(path.suffix)
    return reader(path) if reader is not None else hashlib.sha256(path.read_bytes()).hexdigest()


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _timeless(entry) for key, entry in value.items() if key not in VOLATILE}
    return [_timeless(entry) for entry in value] if isinstance(value, list) else value


def _json(path: Path) -> Any:
    return _timeless(json.loads(path.read_text()))


def _lines(path: Path) -> Any:
    """Lines without numbers that depend on time; the last may be cut off, as it is appended."""
    lines = path.read_text().split("\n")
    return [(entry["stage"], entry["step"]) for entry in map(json.loads, filter(None, lines[:-1]))]


def _tensors(path: Path) -> Any:
    from safetensors import safe_open

    with safe_open(path, framework="np") as file:
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (not a dictionary)
    return {
        name: (str(array.dtype), array.shape, hashlib.sha256(array.tobytes()).hexdigest())
        for name, array in arrays.items()
    }


def _array(path: Path) -> Any:
    import numpy as np

    return _told(np.load(path))


def _told(array: Any) -> Any:
    return str(array.dtype), array.shape, hashlib.sha256(array.tobytes()).hexdigest()


def _picture(path: Path) -> Any:
    from PIL import Image

    with Image.open(path) as image:
        return image.mode, image.size, hashlib.sha256(image.tobytes()).hexdigest()


def _cloud(path: Path) -> Any:
    """A binary PLY of vertices alone: as many bytes as its header promises."""
    data = path.read_bytes()
    head, mark, body = data.partition(b"end_header\n")
    sizes = {b"float": 4, b"double": 8, b"uchar": 1, b"int": 4}
    words = [line.split() for line in head.split(b"\n")]
    count = next(int(line[2]) for line in words if line[:2] == [b"element", b"vertex"])
    row = sum(sizes[line[1]] for line in words if line[:1] == [b"property"])
    if not mark or len(body) != count * row:
        raise ValueError(f"{len(body)} bytes of {count} vertices of {row}")
    return hashlib.sha256(data).hexdigest()


def _video(path: Path) -> Any:
    """Pictures; the file itself may name the time of its making."""
    import av

    with av.open(str(path)) as video:
        return [
            hashlib.sha256(frame.to_ndarray(format="rgb24").tobytes()).hexdigest() for frame in video.decode(video=0)
        ]


_READERS = {
    ".json": _json, ".jsonl": _lines, ".safetensors": _tensors, ".npy": _array, ".png": _picture, ".ply": _cloud,
    ".mp4": _video,
}  # fmt: skip
