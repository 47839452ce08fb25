"""Point clouds from PLY files: ASCII, and binary of either byte order, whatever the order of the properties.

The format is described in https://paulbourke.net/dataformats/ply/. Names of types are the old ones (`uchar`, `float`)
and those with sizes (`uint8`, `float32`). Counts are held against the bytes of the file before memory is taken.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from lerf.errors import LerfError
from lerf.files import read_bytes

LARGEST = 1_000_000_000
"""Bytes of a file: forty million points with colours and normals."""
LONGEST_HEADER = 100_000
"""Bytes; the header of a splat has some three thousand."""

TYPES = {
    **{"char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4"},
    **{"float": "f4", "double": "f8", "int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2"},
    **{"int32": "i4", "uint32": "u4", "float32": "f4", "float64": "f8"},
}
_ORDERS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}
_COLOURS = (("red", "green", "blue"), ("r", "g", "b"), ("diffuse_red", "diffuse_green", "diffuse_blue"))


@dataclass(frozen=True, eq=False)
class PlyPoints:
    """The vertices of a file, in its order."""

    positions: Float[np.ndarray, "points 3"]
    colours: UInt8[np.ndarray, "points 3"] | None
    """None where the file has none."""


@dataclass
class PlyElement:
    """What a header says of one kind of things: how many there are, and the numbers of each."""

    name: str
    count: int
    properties: list[tuple[str, str]] = field(default_factory=list)
    """Name and NumPy type; lists have the type ""."""

    @property
    def has_lists(self) -> bool:
        return any(not kind for _, kind in self.properties)


def read_ply(path: Path, *, error: type[LerfError], remedy: str, largest: int = LARGEST) -> PlyPoints:
    """The vertices of a PLY file; faces and all other elements are left alone.

    Colours of 16 bits, and those from 0 to 1 in floating point, become 8 bits. Positions may hold NaN.

    Args:
        path: the file.
        error: raised when there are no such points.
        remedy: what to do then, in the imperative and without a full stop.
        largest: bytes that the file may have.

    Raises:
        LerfError: of the class `error`: the file is missing, too large, no PLY, or cut off.
    """
    data = read_bytes(path, error=error, remedy=remedy, largest=largest)
    try:
        order, elements, start = ply_header(data)
        columns = _vertices(data, order, elements, start)
    except ValueError as problem:
        raise error(f"{path} cannot be read as a point cloud ({problem}): {remedy}.") from None
    if not {"x", "y", "z"} <= columns.keys():
        raise error(f"{path} has vertices without x, y and z: {remedy}.")
    with np.errstate(invalid="ignore"):
        positions = np.stack([columns[axis].astype(np.float64) for axis in "xyz"], 1)
    return PlyPoints(positions, _colours(columns))


def ply_header(data: bytes) -> tuple[str, list[PlyElement], int]:
    """The byte order, the elements in their order, and where the numbers begin.

    Raises:
        ValueError: it is no header.
    """
    end = data.find(b"end_header", 0, LONGEST_HEADER)
    if not data.startswith(b"ply") or end < 0:
        raise ValueError("it does not begin with the header of a PLY file")
    order: str | None = None
    elements: list[PlyElement] = []
    for line in data[:end].decode("ascii", "replace").splitlines()[1:]:
        match line.split():
            case [] | ["comment" | "obj_info", *_]:
                continue
            case ["format", form, _] if form in _ORDERS and order is None:
                order = _ORDERS[form]
            case ["element", name, count] if count.isdecimal() and len(count) < 13:
                elements.append(PlyElement(name, int(count)))
            case ["property", "list", size, kind, name] if elements and size in TYPES and kind in TYPES:
                elements[-1].properties.append((name, ""))
            case ["property", kind, name] if elements and kind in TYPES:
                elements[-1].properties.append((name, TYPES[kind]))
            case _:
                raise ValueError(f"the line '{line[:60]}' of its header is not known")
    if order is None:
        raise ValueError("its header states no format")
    start = end + len(b"end_header")
    for ending in (b"\r\n", b"\n", b"\r"):
        if data.startswith(ending, start):
            return order, elements, start + len(ending)
    raise ValueError("its header does not end")


def _vertices(data: bytes, order: str, elements: list[PlyElement], start: int) -> dict[str, np.ndarray]:
    """The numbers of the vertices, by property.

    Raises:
        ValueError: there are none, or not as many as stated.
    """
    before: list[PlyElement] = []
    for element in elements:
        if element.name == "vertex":
            break
        before.append(element)
    else:
        raise ValueError("it has no vertices")
    if element.has_lists or any(other.has_lists for other in before):
        raise ValueError("lists stand before the end of its vertices")
    names = [name for name, _ in element.properties]
    if len(set(names)) < len(names) or not names:
        raise ValueError("the properties of its vertices have no names of their own")
    if not order:
        return _text(data[start:], [*before, element])
    for other in before:
        start += other.count * sum(np.dtype(kind).itemsize for _, kind in other.properties)
    kind = np.dtype([(name, order + kind) for name, kind in element.properties])
    if element.count * kind.itemsize > len(data) - start:
        raise ValueError(f"it states {element.count} vertices and is cut off before their end")
    table = np.frombuffer(data, kind, element.count, start)
    return {name: table[name] for name in names}


def _text(body: bytes, elements: list[PlyElement]) -> dict[str, np.ndarray]:
    """As `_vertices`, of an ASCII file: the last of `elements` is the vertices."""
    skipped = sum(element.count * len(element.properties) for element in elements[:-1])
    count, properties = elements[-1].count, elements[-1].properties
    needed = skipped + count * len(properties)
    if 2 * needed > len(body) + 1:
        raise ValueError(f"it states {count} vertices and is cut off before their end")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", DeprecationWarning)  # of numbers that are none
            numbers = np.fromstring(body, np.float64, needed, sep=" ")
    except (DeprecationWarning, ValueError):
        raise ValueError("something among its vertices is not a number") from None
    if len(numbers) < needed:
        raise ValueError(f"it states {count} vertices and is cut off before their end")
    table = numbers[skipped:].reshape(count, len(properties))
    return {name: _as_type(table[:, column], kind) for column, (name, kind) in enumerate(properties)}


def _as_type(values: np.ndarray, kind: str) -> np.ndarray:
    if kind.startswith("f"):
        return values
    limits = np.iinfo(kind)
    return np.clip(np.nan_to_num(values), limits.min, limits.max).astype(kind)


def _colours(columns: dict[str, np.ndarray]) -> UInt8[np.ndarray, "points 3"] | None:
    names = next((names for names in _COLOURS if columns.keys() >= set(names)), None)
    if names is None:
        return None
    values = np.stack([columns[name] for name in names], 1)
    if values.dtype == np.dtype("u2"):
        values = values / 257.0
    elif values.dtype.kind == "f":
        values = np.nan_to_num(values.astype(np.float64))
        values = values * 255 if values.max(initial=0.0) <= 1 else values
    return np.clip(np.round(values), 0, 255).astype(np.uint8)
