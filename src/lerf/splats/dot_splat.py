"""`.splat`: 32 bytes a Gaussian, without a header and without harmonics above the constant one.

3 float32 mean, 3 float32 standard deviations, 4 uint8 red, green, blue, opacity, 4 uint8 quaternion w, x, y, z as
128 + 128 times its numbers.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import numpy as np

from lerf.errors import SplatError
from lerf.files import is_file, resolved, size_of, write_atomically
from lerf.geometry.harmonics import CONSTANT
from lerf.splats.splats import Splats, check_count, new_splats, slices

ROW = np.dtype([("mean", "<f4", 3), ("scale", "<f4", 3), ("colour", "u1", 4), ("quaternion", "u1", 4)])


def read_dot_splat(path: Path, remedy: str) -> Splats:
    """The Gaussians of a `.splat` file.

    Raises:
        SplatError: it cannot be read, its length is no multiple of 32 bytes, it has too many
            Gaussians, or a scale is negative.
    """
    if not is_file(path):
        raise SplatError(f"{path} is not there or no regular file: {remedy}.")
    size = size_of(resolved(path))
    if size % ROW.itemsize or size == 0:
        raise SplatError(f"{path} has {size} bytes, which is no whole number of Gaussians of 32 bytes: {remedy}.")
    check_count(size // ROW.itemsize, path, remedy)
    rows = np.memmap(path, ROW, mode="r")
    negative = sum(int((rows["scale"][part] < 0).any(-1).sum()) for part in slices(len(rows)))
    if negative:
        raise SplatError(f"{path} has {negative} Gaussians with a negative scale: {remedy}.")
    with np.errstate(divide="ignore", invalid="ignore"):
        log_scales = np.log(rows["scale"])
    colours = (rows["colour"][:, None, :3] / np.float32(255) - np.float32(0.5)) / np.float32(CONSTANT)
    return new_splats(
        rows["mean"], log_scales, (rows["quaternion"].astype(np.float32) - 128) / 128,
        logit_of_byte(rows["colour"][:, 3]), colours,
    )  # fmt: skip


def write_dot_splat(path: Path, splats: Splats) -> None:
    """Write splats as `.splat`, in one move: harmonics above the constant one and further columns are left out.

    Raises:
        StorageError: the file cannot be written.
    """

    def write(file: BinaryIO) -> None:
        for rows in slices(len(splats)):
            part = splats.chosen(rows)
            packed = np.empty(len(part), ROW)
            packed["mean"], packed["scale"] = part.means, np.exp(part.log_scales)
            packed["colour"][:, :3] = to_byte(0.5 + CONSTANT * part.harmonics[:, 0])
            packed["colour"][:, 3] = to_byte(opacity_of(part.logits))
            packed["quaternion"] = np.clip(np.rint(part.quaternions * 128 + 128), 0, 255)
            file.write(packed.tobytes())

    write_atomically(path, write)


def to_byte(values: np.ndarray) -> np.ndarray:
    """0..1 as 0..255."""
    return np.clip(np.rint(values * 255), 0, 255).astype(np.uint8)


def opacity_of(logits: np.ndarray) -> np.ndarray:
    """Opacities of logits."""
    with np.errstate(over="ignore"):
        return (1 / (1 + np.exp(-logits.astype(np.float32)))).astype(np.float32)


def logit_of_byte(opacity: np.ndarray) -> np.ndarray:
    """Logits of opacities 0..255; those of 0 and 255 are as far out as a quarter of a step is from them."""
    share = np.clip(opacity.astype(np.float32), 0.25, 254.75) / 255
    return np.log(share / (1 - share))
