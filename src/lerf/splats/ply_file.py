"""Splats in PLY files: every column is kept, whatever its name, type and place, and written back as it was.

A binary little-endian file is mapped into memory, so that millions of Gaussians are read where they are needed.
"""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import BinaryIO

import numpy as np

from lerf.errors import SplatError
from lerf.files import is_file, resolved, size_of, write_atomically
from lerf.ply import comment_line
from lerf.ply_reading import LONGEST_HEADER, PlyElement, ply_header
from lerf.splats.splats import Splats, check_count, slices

PLY_NAMES = {
    **{"i1": "char", "u1": "uchar", "i2": "short", "u2": "ushort", "i4": "int", "u4": "uint"},
    **{"f4": "float", "f8": "double"},
}
"""PLY's names of numpy's types."""
TEXT_BLOCK = 1 << 22
"""Characters of an ASCII file that are read together."""
LONGEST_NUMBER = 1000
"""Characters: what goes on without a space is no number."""


def read_header(path: Path, remedy: str) -> tuple[str, list[PlyElement], int, tuple[str, ...]]:
    """Byte order, elements, where the numbers begin, and the comments of a PLY file.

    Raises:
        SplatError: it cannot be read, or is no PLY file.
    """
    if not is_file(path):
        raise SplatError(f"{path} is not there or no regular file: {remedy}.")
    try:
        with open(path, "rb") as file:
            head = file.read(LONGEST_HEADER)
        order, elements, start = ply_header(head)
    except OSError as problem:
        raise SplatError(f"{path} cannot be read ({(problem.strerror or str(problem)).lower()}): {remedy}.") from None
    except ValueError as problem:
        raise SplatError(f"{path} cannot be read as PLY ({problem}): {remedy}.") from None
    lines = head[:start].decode("ascii", "replace").splitlines()
    return order, elements, start, tuple(line[8:] for line in lines if line.startswith("comment "))


def read_table(path: Path, name: str, remedy: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """The rows of an element as a structured array without gaps, and the file's comments.

    Raises:
        SplatError: it has no such element, one with lists or with two columns of a name, more rows than a
            scene has Gaussians, or is cut off before its end.
    """
    order, elements, start, comments = read_header(path, remedy)
    names = [element.name for element in elements]
    problem = ""
    if name not in names:
        problem = f"it has no element {name}"
    else:
        before, element = elements[: names.index(name)], elements[names.index(name)]
        columns = [column for column, _ in element.properties]
        if element.has_lists or any(other.has_lists for other in before):
            problem = f"lists stand before the end of its element {name}"
        elif not columns or len(set(columns)) < len(columns):
            problem = "its columns have no names of their own"
    if problem:
        raise SplatError(f"{path} cannot be read as Gaussian splats ({problem}): {remedy}.")
    if not order:
        return _text_rows(path, start, before, element, remedy), comments
    kind = np.dtype([(column, order + letter) for column, letter in element.properties])
    start += sum(other.count * _width(other) for other in before)
    if start + element.count * kind.itemsize > size_of(resolved(path)):
        raise _cut_off(path, element, remedy)
    check_count(element.count, path, remedy)
    if element.count == 0:
        return np.empty(0, kind.newbyteorder("<")), comments
    rows = np.memmap(path, kind, mode="r", offset=start, shape=(element.count,))
    return (rows if order == "<" else np.asarray(rows).astype(kind.newbyteorder("<"))), comments


def write_splat_ply(path: Path, splats: Splats) -> None:
    """Write splats as binary little-endian PLY, every column in its type, in one move.

    Raises:
        StorageError: the file cannot be written.
    """
    kind = splats.table.dtype
    lines = ["ply", "format binary_little_endian 1.0", *(f"comment {comment_line(line)}" for line in splats.comments)]
    lines.append(f"element vertex {len(splats)}")
    lines += [f"property {PLY_NAMES[kind[name].str[1:]]} {name}" for name in splats.names]

    def write(file: BinaryIO) -> None:
        file.write("\n".join([*lines, "end_header", ""]).encode("ascii", "replace"))
        for rows in slices(len(splats)):
            file.write(splats.table[rows].tobytes())

    write_atomically(path, write)


def _width(element: PlyElement) -> int:
    return sum(np.dtype(letter).itemsize for _, letter in element.properties)


def _cut_off(path: Path, element: PlyElement, remedy: str) -> SplatError:
    return SplatError(
        f"{path} states {element.count} rows of its element {element.name} and is cut off before their end: {remedy}."
    )


def _text_rows(path: Path, start: int, before: list[PlyElement], element: PlyElement, remedy: str) -> np.ndarray:
    """Rows of an ASCII file: a part of the text at a time, straight into the table."""
    kind = np.dtype([(column, "<" + letter) for column, letter in element.properties])
    skipped = sum(other.count * len(other.properties) for other in before)
    width = len(element.properties)
    needed = element.count * width
    # A number takes a digit and a separator.
    if 2 * (skipped + needed) > size_of(resolved(path)) - start + 1:
        raise _cut_off(path, element, remedy)
    check_count(element.count, path, remedy)
    table, done, left = np.empty(element.count, kind), 0, np.empty(0)
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
        at = start
        while done < element.count and at < len(text):
            stop = at + TEXT_BLOCK
            while stop < min(len(text), at + TEXT_BLOCK + LONGEST_NUMBER) and not text[stop : stop + 1].isspace():
                stop += 1
            try:
                numbers = np.array(text[at:stop].split(), dtype=np.float64)
            except ValueError:
                raise SplatError(f"{path} has something among its rows that is not a number: {remedy}.") from None
            at = stop
            dropped = min(skipped, len(numbers))
            skipped -= dropped
            numbers = np.concatenate([left, numbers[dropped:]])
            rows = min(len(numbers) // width, element.count - done)
            whole, left = numbers[: rows * width].reshape(rows, width), numbers[rows * width :]
            with np.errstate(all="ignore"):
                for column, (name, _) in enumerate(element.properties):
                    table[name][done : done + rows] = whole[:, column]
            done += rows
    if done < element.count:
        raise _cut_off(path, element, remedy)
    return table
