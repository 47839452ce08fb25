"""A COLMAP model beside the photos of a generated scene, with points that its photos see; mirrored where asked for."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.spatial.transform import Rotation


def write_model(capture: Path, points: np.ndarray, flip: int | None = None, moved: int | None = None) -> Path:
    """Turn a folder with transforms.json into one with a COLMAP model of text files.

    Args:
        capture: pinhole cameras, as `drawn_scene.write_generated_scene` writes them.
        points: [points, 3], each seen by every photo in whose frame it lies.
        flip: an axis of the world that is turned round in the poses as exports of left-handed programs do it, so that
            cameras stay right-handed; points stay.
        moved: an axis of the world that is turned round in the points alone.
    """
    document = json.loads((capture / "transforms.json").read_text())
    (capture / "transforms.json").unlink()
    focal, width, height = document["fl_x"], document["w"], document["h"]
    model = capture / "sparse/0"
    model.mkdir(parents=True)
    (model / "cameras.txt").write_text(f"1 PINHOLE {width} {height} {focal} {focal} {width / 2} {height / 2}\n")
    images, tracks = [], [[] for _ in points]
    for number, frame in enumerate(document["frames"], start=1):
        pose = np.array(frame["transform_matrix"])
        rotation = (pose[:3, :3] * [1, -1, -1]).T
        local = (points - pose[:3, 3]) @ rotation.T
        pixels = focal * local[:, :2] / local[:, 2:] + [width / 2, height / 2]
        seen = np.flatnonzero((local[:, 2] > 0) & (pixels > 0).all(1) & (pixels < [width, height]).all(1))
        for place, point in enumerate(seen.tolist()):
            tracks[point] += [number, place]
        centre = pose[:3, 3]
        if flip is not None:
            turn = np.diag(np.where(np.arange(3) == flip, -1.0, 1.0))
            rotation, centre = turn @ rotation @ turn, turn @ centre
        x, y, z, w = Rotation.from_matrix(rotation).as_quat()
        numbers = " ".join(repr(float(value)) for value in (w, x, y, z, *(-rotation @ centre)))
        images.append(f"{number} {numbers} 1 {Path(frame['file_path']).name}")
        images.append(" ".join(f"{pixels[point, 0]!r} {pixels[point, 1]!r} {point + 1}" for point in seen))
    (model / "images.txt").write_text("\n".join(images).replace("np.float64(", "").replace(")", "") + "\n")
    shown = points if moved is None else points * np.where(np.arange(3) == moved, -1.0, 1.0)
    (model / "points3D.txt").write_text(
        "\n".join(
            f"{number} {x} {y} {z} 200 100 50 0.4 {' '.join(map(str, track))}"
            for number, ((x, y, z), track) in enumerate(zip(shown.tolist(), tracks, strict=True), start=1)
        )
        + "\n"
    )
    return capture


def enlarge(capture: Path, factor: int) -> None:
    """Make the photos and cameras of a folder with transforms.json larger."""
    document = json.loads((capture / "transforms.json").read_text())
    for name in ("w", "h", "fl_x", "fl_y", "cx", "cy"):
        document[name] *= factor
    (capture / "transforms.json").write_text(json.dumps(document))
    for file in (capture / "images").iterdir():
        with Image.open(file) as image:
            image.resize((image.width * factor, image.height * factor), Image.Resampling.BICUBIC).save(file)
