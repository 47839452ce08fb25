"""Points and meshes as binary PLY, which Open3D, MeshLab, Blender and CloudCompare read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int, UInt8

from lerf.files import write_atomically
from lerf.text import message_line

LONGEST_COMMENT = 500
"""Characters of a comment of the header: readers with lines of a fixed length have 1,000 or more."""
ROUNDING = 1e-5
"""Positions are written in single precision unless that moves them by more than this share of their extent."""


def write_ply(
    path: Path,
    positions: Float[np.ndarray, "vertices 3"],
    *,
    normals: Float[np.ndarray, "vertices 3"] | None = None,
    colours: UInt8[np.ndarray, "vertices 3"] | None = None,
    scalars: Mapping[str, Float[np.ndarray, " vertices"]] | None = None,
    faces: Int[np.ndarray, "faces 3"] | None = None,
    comments: Sequence[str] = (),
) -> None:
    """Write vertices and, where there are faces, triangles; little-endian PLY 1.0, whole or absent.

    Coordinates far from the origin, as those of georeferenced captures, are written in double precision.

    Args:
        path: the file.
        positions: of the vertices, in any frame.
        normals: unit vectors.
        colours: red, green, blue.
        scalars: further properties by name, in single precision; a name has letters, digits and underscores only.
        faces: indices of the corners, counter-clockwise seen from outside.
        comments: lines of the header; characters beyond ASCII and control characters are escaped, white space is made
            one space, and what is long is cut.

    Raises:
        StorageError: when the file cannot be written.
    """
    number = coordinate_type(positions)
    columns: list[tuple[str, str, np.ndarray]] = [(axis, number, positions[:, i]) for i, axis in enumerate("xyz")]
    if normals is not None:
        columns += [(name, "<f4", normals[:, i]) for i, name in enumerate(("nx", "ny", "nz"))]
    if colours is not None:
        columns += [(name, "u1", colours[:, i]) for i, name in enumerate(("red", "green", "blue"))]
    columns += [(name, "<f4", values) for name, values in (scalars or {}).items()]
    vertices = np.empty(len(positions), dtype=[(name, kind) for name, kind, _ in columns])
    for name, _, values in columns:
        vertices[name] = values
    lines = ["ply", "format binary_little_endian 1.0"]
    lines += [f"comment {comment_line(line)}" for line in comments]
    lines.append(f"element vertex {len(positions)}")
    lines += [f"property {NAMES[kind]} {name}" for name, kind, _ in columns]
    triangles = np.empty(0 if faces is None else len(faces), dtype=[("count", "u1"), ("corners", "<i4", 3)])
    if faces is not None:
        triangles["count"], triangles["corners"] = 3, faces
        lines += [f"element face {len(faces)}", "property list uchar int vertex_indices"]
    header = "\n".join([*lines, "end_header", ""]).encode("ascii")

    write_atomically(path, lambda file: file.writelines((header, vertices.tobytes(), triangles.tobytes())))


def comment_line(line: str) -> str:
    """One line of ASCII that no reader takes for the end of the header: some look for the word anywhere."""
    words = message_line(" ".join(line.split()).replace("end_header", "end header"))
    # Escapes make it longer, and readers have lines of limited length.
    return words.encode("ascii", "backslashreplace").decode()[:LONGEST_COMMENT]


NAMES = {"<f4": "float", "<f8": "double", "u1": "uchar"}
"""PLY's names of numpy's types."""


def coordinate_type(positions: Float[np.ndarray, "vertices 3"]) -> str:
    """Single precision where it holds the positions to `ROUNDING` of their extent, else double; numpy's name."""
    if len(positions) == 0:
        return "<f4"
    extent = float(np.ptp(positions, axis=0).max())
    step = float(np.spacing(np.float32(np.abs(positions).max())))
    return "<f4" if step <= ROUNDING * extent or extent == 0 else "<f8"
