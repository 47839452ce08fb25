"""Splats of any format that is known, read by what is in the file and written by its name."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

from lerf.errors import LerfWarning, SplatError
from lerf.files import is_file
from lerf.splats.compressed_ply import is_compressed, read_compressed_ply
from lerf.splats.dot_splat import read_dot_splat, write_dot_splat
from lerf.splats.ply_file import read_table, write_splat_ply
from lerf.splats.sog import read_sog
from lerf.splats.splats import Splats, check_splats
from lerf.splats.spz import MAGIC, read_spz, write_spz

REMEDY = "give a splat as .ply, .splat, .spz or .sog, or convert it with another program first"
WRITERS: dict[str, Callable[[Path, Splats], None]] = {
    ".ply": write_splat_ply, ".splat": write_dot_splat, ".spz": write_spz,
}  # fmt: skip


def read_splats(path: Path) -> Splats:
    """Splats from a file, every Gaussian of which is known to be one.

    Raises:
        SplatError: it cannot be read or holds something else; one sentence says what.
    """
    return check_splats(_reader(path)(path, REMEDY), str(path), REMEDY)


def write_splats(path: Path, splats: Splats) -> None:
    """Write splats in the format that the name says; what that cannot hold is left out with a warning.

    Raises:
        SplatError: the format cannot be written, or cannot hold them.
        StorageError: the file cannot be written.
    """
    suffix = path.suffix.lower()
    if suffix not in WRITERS or path.name.lower().endswith(".compressed.ply"):
        raise SplatError(f"{path} must end in {', '.join(WRITERS)}, the formats that are written.")
    left_out = list(splats.extra) if suffix != ".ply" else []
    if suffix == ".splat" and splats.degree:
        left_out.append(f"harmonics of degree {splats.degree}")
    if left_out:
        warnings.warn(f"{path} cannot hold {', '.join(left_out)}; .ply can.", LerfWarning, stacklevel=2)
    WRITERS[suffix](path, splats)


def _reader(path: Path) -> Callable[[Path, str], Splats]:
    if not is_file(path):
        raise SplatError(f"{path} is not there or no regular file: {REMEDY}.")
    try:
        with open(path, "rb") as file:
            start = file.read(4)
    except OSError as problem:
        raise SplatError(f"{path} cannot be read ({(problem.strerror or str(problem)).lower()}): {REMEDY}.") from None
    if path.suffix.lower() == ".splat":  # which has no header: its first number may look like one
        return read_dot_splat
    if start.startswith(b"ply"):
        return read_compressed_ply if is_compressed(path, REMEDY) else _read_plain_ply
    if start.startswith(b"PK"):
        return read_sog
    if start == MAGIC or start.startswith(b"\x1f\x8b"):
        return read_spz
    raise SplatError(f"{path} begins like no file of splats that is known: {REMEDY}.")


def _read_plain_ply(path: Path, remedy: str) -> Splats:
    table, comments = read_table(path, "vertex", remedy)
    return Splats(table, comments)
