"""Tiny captures written to disk, and the real one where it is there."""

from __future__ import annotations

import json
import struct
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, features
from scipy.spatial.transform import Rotation

MODEL_NUMBERS = {
    "SIMPLE_PINHOLE": 0, "PINHOLE": 1, "SIMPLE_RADIAL": 2, "RADIAL": 3, "OPENCV": 4, "OPENCV_FISHEYE": 5,
    "FULL_OPENCV": 6, "FOV": 7, "SIMPLE_RADIAL_FISHEYE": 8, "RADIAL_FISHEYE": 9, "THIN_PRISM_FISHEYE": 10,
    "RAD_TAN_THIN_PRISM_FISHEYE": 11, "SIMPLE_DIVISION": 12, "DIVISION": 13, "SIMPLE_FISHEYE": 14, "FISHEYE": 15,
    "EUCM": 16, "EQUIRECTANGULAR": 17, "BROWN_CONRADY": 18,
}  # fmt: skip
"""As COLMAP numbers its camera models."""


def fox_folder() -> Path:
    """The fox capture, or a visible skip."""
    folder = Path(__file__).parents[2].parent / "shared/data/fox"
    if not (folder / "transforms.json").is_file():
        pytest.skip(f"the fox capture is not at {folder}")
    return folder


def look_at(position: Any, target: Any = (0, 0, 0), up: Any = (0, 0, 1)) -> np.ndarray:
    """4x4 camera-to-world, OpenGL axes."""
    position, target = np.asarray(position, float), np.asarray(target, float)
    back = (position - target) / np.linalg.norm(position - target)
    right = np.cross(up, back)
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3] = np.column_stack([right, np.cross(back, right), back, position])
    return pose


def ring(count: int, radius: float = 2.0, height: float = 0.7, target: Any = (0, 0, 0)) -> list[np.ndarray]:
    """Poses on a circle that look at `target`."""
    angles = np.linspace(0, 2 * np.pi, count, endpoint=False)
    return [look_at(np.add(target, [radius * np.cos(a), radius * np.sin(a), height]), target) for a in angles]


def picture(width: int, height: int, seed: int = 0, channels: int = 3) -> np.ndarray:
    """Noise, so that any mix-up of rows and columns shows."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)


def save(path: Path, pixels: np.ndarray, orientation: int | None = None, **options: Any) -> Path:
    """Write pixels, with an EXIF orientation if asked for."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels)
    if orientation is not None:
        exif = Image.Exif()
        exif[0x0112] = orientation
        options["exif"] = exif
    image.save(path, **options)
    return path


def save_deep_png(path: Path, values: np.ndarray) -> Path:
    """Write a PNG of 16 bits a value: [height, width, channel], grey, grey and alpha, colour, or colour and alpha."""
    height, width, channels = values.shape
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
    return path


def write_deep_tiff(path: Path, values: np.ndarray) -> Path:
    """Write a TIFF of 16 bits of RGB in packed tiles of differences: [height, width, 3]."""
    import tifffile

    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, values, photometric="rgb", tile=(16, 16), compression="zlib", predictor=True)
    return path


def reads_avif() -> bool:
    """Whether this Pillow reads AVIF; older ones warn that they have never heard of it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return features.check("avif")


def transforms(count: int = 4, width: int = 12, height: int = 8, **extra: Any) -> dict[str, Any]:
    """A valid document with photos images/0000.png, ..."""
    frames = [
        {"file_path": f"images/{number:04d}.png", "transform_matrix": pose.tolist()}
        for number, pose in enumerate(ring(count))
    ]
    document = {"fl_x": 10.0, "fl_y": 11.0, "cx": 5.5, "cy": 4.5, "w": width, "h": height, "frames": frames}
    return {**document, **extra}


def write_transforms(folder: Path, document: Any, name: str = "transforms.json") -> Path:
    """Write a document; no photos."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps(document))
    return folder


def write_capture(folder: Path, document: dict[str, Any] | None = None, width: int = 12, height: int = 8) -> Path:
    """Write a document and a photo for each of its frames."""
    document = transforms(width=width, height=height) if document is None else document
    for number, frame in enumerate(document["frames"]):
        save(folder / frame["file_path"], picture(width, height, number))
    return write_transforms(folder, document)


Cameras = dict[int, tuple[str, int, int, list[float]]]
Images = list[tuple[int, list[float], list[float], int, str]]


def colmap_images(count: int, names: list[str] | None = None, cameras: tuple[int, ...] = (1,)) -> Images:
    """COLMAP's images for the poses of a ring: world to camera, y down, z forwards; cameras take turns."""
    images = []
    for number, pose in enumerate(ring(count)):
        rotation = (pose[:3, :3] * [1, -1, -1]).T
        x, y, z, w = Rotation.from_matrix(rotation).as_quat()
        translation = -rotation @ pose[:3, 3]
        name = names[number] if names else f"{number:04d}.png"
        quaternion = [float(value) for value in (w, x, y, z)]
        images.append((number + 1, quaternion, translation.tolist(), cameras[number % len(cameras)], name))
    return images


def write_colmap_text(folder: Path, cameras: Cameras, images: Images) -> None:
    """cameras.txt and images.txt; every other image has an empty line of observations."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["# Camera list", f"# Number of cameras: {len(cameras)}"]
    for number, (model, width, height, values) in cameras.items():
        lines.append(" ".join([str(number), model, str(width), str(height), *map(repr, values)]))
    (folder / "cameras.txt").write_text("\n".join(lines) + "\n")
    lines = ["# Image list"]
    for row, (number, quaternion, translation, camera, name) in enumerate(images):
        lines.append(" ".join([str(number), *map(repr, [*quaternion, *translation]), str(camera), name]))
        lines.append("" if row % 2 else "1.5 2.5 -1 3.5 4.5 7")
    (folder / "images.txt").write_text("\n".join(lines) + "\n")


def write_colmap_binary(folder: Path, cameras: Cameras, images: Images) -> None:
    """cameras.bin and images.bin with the same content as the text form."""
    folder.mkdir(parents=True, exist_ok=True)
    data = struct.pack("<Q", len(cameras))
    for number, (model, width, height, values) in cameras.items():
        kind = MODEL_NUMBERS[model]
        data += struct.pack(f"<iiQQ{len(values)}d", number, kind, width, height, *values)
    (folder / "cameras.bin").write_bytes(data)
    data = struct.pack("<Q", len(images))
    for row, (number, quaternion, translation, camera, name) in enumerate(images):
        data += struct.pack("<i7di", number, *quaternion, *translation, camera) + name.encode() + b"\0"
        observations = [] if row % 2 else [(1.5, 2.5, -1), (3.5, 4.5, 7)]
        data += struct.pack("<Q", len(observations))
        for observation in observations:
            data += struct.pack("<ddq", *observation)
    (folder / "images.bin").write_bytes(data)
