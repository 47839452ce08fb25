"""Splats made by chance, and what tells whether two are the same."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from lerf.geometry.harmonics import COUNTS
from lerf.splats.splats import Splats, new_splats


def random_splats(count: int = 300, degree: int = 3, seed: int = 0, normals: bool = False) -> Splats:
    """Gaussians around the origin, whose quaternions are of any length."""
    rng = np.random.default_rng(seed)
    return new_splats(
        rng.normal(size=(count, 3)),
        rng.uniform(-5, -1, (count, 3)),
        rng.normal(size=(count, 4)) * rng.uniform(0.1, 4, (count, 1)),
        rng.normal(size=count) * 2,
        rng.normal(size=(count, COUNTS[degree], 3)) * 0.3,
        rng.normal(size=(count, 3)) if normals else None,
    )


def covariances(splats: Splats) -> np.ndarray:
    """Of the Gaussians, [n, 3, 3]."""
    w, x, y, z = splats.quaternions.astype(np.float64).T
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    turned = np.moveaxis(np.array(rows), -1, 0) * np.exp(splats.log_scales.astype(np.float64))[:, None]
    return turned @ turned.transpose(0, 2, 1)


def opacities(splats: Splats) -> np.ndarray:
    return 1 / (1 + np.exp(-splats.logits.astype(np.float64)))


def furthest_apart(one: Splats, other: Splats) -> dict[str, float]:
    """The largest differences between two splats; those of covariances as shares of the larger one's size."""
    mine, theirs = covariances(one), covariances(other)
    size = np.maximum(np.abs(mine).max((1, 2)), np.abs(theirs).max((1, 2)))
    degree = min(one.degree, other.degree)
    higher = np.abs(one.harmonics[:, 1 : COUNTS[degree]] - other.harmonics[:, 1 : COUNTS[degree]])
    return {
        "means": float(np.abs(one.means - other.means).max()),
        "covariances": float((np.abs(mine - theirs).max((1, 2)) / size).max()),
        "opacities": float(np.abs(opacities(one) - opacities(other)).max()),
        "colours": float(np.abs(one.harmonics[:, 0] - other.harmonics[:, 0]).max()),
        "harmonics": float(higher.max(initial=0.0)),
    }


def text_rows(splats: Splats, order: Sequence[str]) -> str:
    """The rows of an ASCII PLY file, columns in some order."""
    return "\n".join(" ".join(repr(float(row[name])) for name in order) for row in splats.table) + "\n"


def write_text_ply(path: Path, splats: Splats) -> None:
    """An ASCII PLY file."""
    lines = ["ply", "format ascii 1.0", f"element vertex {len(splats)}"]
    lines += [*(f"property float {name}" for name in splats.names), "end_header", ""]
    path.write_text("\n".join(lines) + text_rows(splats, splats.names))


def write_sog(path: Path) -> None:
    """Four Gaussians in pictures of 2 x 3 pixels. Squeezed means are -1, 2 * 32768 / 65535 - 1 and 1 along x."""
    filled = np.zeros((2, 3, 4), np.uint8)
    low, high, quats, scales, shades = (filled.copy() for _ in range(5))
    high[0, :, 0], low[0, :, 0] = (0, 128, 255), (0, 0, 255)
    for picture in (low, high):
        picture[..., 3] = 255
    quats[...] = 128, 128, 255, 254  # z is the third kept one where y is left out
    scales[..., :3], scales[..., 3] = 3, 255
    shades[...] = 10, 20, 30, 51
    codebook = ",".join(str(number / 10) for number in range(256))
    meta = (
        '{"version":2,"count":4,"means":{"mins":[-1,0,0],"maxs":[1,0,0],"files":["l.webp","u.webp"]},'
        f'"scales":{{"codebook":[{codebook}],"files":["s.webp"]}},"quats":{{"files":["q.webp"]}},'
        f'"sh0":{{"codebook":[{codebook}],"files":["c.webp"]}}}}'
    )
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("meta.json", meta)
        for name, pixels in (("l", low), ("u", high), ("q", quats), ("s", scales), ("c", shades)):
            packed = io.BytesIO()
            Image.fromarray(pixels).save(packed, "WEBP", lossless=True, exact=True)
            archive.writestr(f"{name}.webp", packed.getvalue())
