"""Gaussian splats as files have them: one table, a row a Gaussian, whose columns have the names of Inria's PLY.

    x y z                 mean
    scale_0..2            logarithms of the standard deviations along the Gaussian's own axes
    rot_0..3              quaternion w, x, y, z of these axes, of any length but zero
    opacity               logit of the opacity at the mean
    f_dc_0..2             coefficients of the constant harmonic: colour = 0.5 + 0.2821 f_dc + the others
    f_rest_0..            those of degrees 1 to 3, all of red first, then of green, then of blue
    whatever else         is kept as it is

(Kerbl et al. 2023, arXiv 2308.04079, and their code's `save_ply`.)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32

from lerf.errors import SplatError
from lerf.geometry.harmonics import COUNTS, turned_harmonics
from lerf.geometry.quaternions import turned_quaternions, unit_quaternions
from lerf.geometry.similarity import Similarity

MEANS = ("x", "y", "z")
NORMALS = ("nx", "ny", "nz")
SCALES = ("scale_0", "scale_1", "scale_2")
ROTATIONS = ("rot_0", "rot_1", "rot_2", "rot_3")
CONSTANTS = ("f_dc_0", "f_dc_1", "f_dc_2")
REQUIRED = (*MEANS, *CONSTANTS, "opacity", *SCALES, *ROTATIONS)
ROWS_AT_ONCE = 1 << 16
"""Rows that are looked at together, so that a table on the disk is never in memory as a whole."""
LARGEST_SCALE = 60.0
"""Of the logarithms of standard deviations: no scene is so large."""
LARGEST_MEAN = 1e12
LARGEST_COUNT = 1 << 27
"""Gaussians of a file: more than ten times the largest scenes that are published, and 7.5 GiB as a table."""


@dataclass(frozen=True, eq=False)
class Splats:
    """Gaussians in the frame of their file. The table may lie on the disk (`numpy.memmap`) and is never written to."""

    table: np.ndarray
    """One-dimensional, of a structured type whose numbers are little-endian, without gaps."""
    comments: tuple[str, ...] = ()
    """Lines that the file carries for people."""

    def __len__(self) -> int:
        return len(self.table)

    @property
    def names(self) -> tuple[str, ...]:
        """Columns in their order."""
        return self.table.dtype.names or ()

    @property
    def extra(self) -> tuple[str, ...]:
        """Columns that say nothing of how a Gaussian looks, in their order."""
        own = {*REQUIRED, *rest_names(self.degree)}
        return tuple(name for name in self.names if name not in own)

    @cached_property
    def degree(self) -> int:
        """Of the harmonics of the colours, 0 to 3."""
        rest = sum(name.startswith("f_rest_") for name in self.names)
        return COUNTS.index(rest // 3 + 1)

    @property
    def means(self) -> Float[np.ndarray, "n 3"]:
        """In double precision."""
        return np.stack([self.table[name] for name in MEANS], -1).astype(np.float64)

    @property
    def log_scales(self) -> Float32[np.ndarray, "n 3"]:
        return self.columns(SCALES)

    @property
    def quaternions(self) -> Float32[np.ndarray, "n 4"]:
        """Unit length, w first."""
        return unit_quaternions(self.columns(ROTATIONS))

    @property
    def logits(self) -> Float32[np.ndarray, " n"]:
        """Of the opacities."""
        return self.table["opacity"].astype(np.float32)

    @property
    def harmonics(self) -> Float32[np.ndarray, "n coefficients 3"]:
        """Coefficients of the colours, the constant one first; red, green, blue."""
        constant = self.columns(CONSTANTS)[:, None]
        if self.degree == 0:
            return constant
        rest = self.columns(rest_names(self.degree)).reshape(len(self), 3, -1)
        return np.concatenate([constant, rest.transpose(0, 2, 1)], 1)

    def columns(self, names: tuple[str, ...]) -> Float32[np.ndarray, "n columns"]:
        """Some columns in single precision."""
        found = np.empty((len(self), len(names)), np.float32)
        for at, name in enumerate(names):
            found[:, at] = self.table[name]
        return found

    def chosen(self, index: np.ndarray | slice) -> Splats:
        """Some of the Gaussians, by slice, index or mask, whose columns are as they were to the bit."""
        return replace(self, table=self.table[index])

    def with_columns(self, columns: Mapping[str, np.ndarray]) -> Splats:
        """With columns replaced, which keep their type, or added at the end in the type that they are given in."""
        fields = [(name, self.table.dtype[name]) for name in self.names]
        fields += [(name, values.dtype.newbyteorder("<")) for name, values in columns.items() if name not in self.names]
        table = np.empty(len(self), np.dtype(fields))
        for name, _ in fields:
            table[name] = columns[name] if name in columns else self.table[name]
        return replace(self, table=table)

    def moved(self, similarity: Similarity) -> Splats:
        """The same Gaussians in the frame that `similarity` leads to: means, sizes, axes, harmonics and, where there
        are any, normals."""
        means = similarity.apply_points(self.means)
        columns = {name: means[:, at] for at, name in enumerate(MEANS)}
        grown = self.columns(SCALES) + np.float32(np.log(similarity.scale))
        columns |= {name: grown[:, at] for at, name in enumerate(SCALES)}
        if not np.array_equal(similarity.rotation, np.eye(3)):
            columns |= self._turned(similarity.rotation)
        return self.with_columns(columns)

    def _turned(self, rotation: Float[np.ndarray, "3 3"]) -> dict[str, np.ndarray]:
        turned = turned_quaternions(rotation, self.columns(ROTATIONS).astype(np.float64))
        columns = {name: turned[:, at] for at, name in enumerate(ROTATIONS)}
        if set(NORMALS) <= set(self.names):
            normals = self.columns(NORMALS) @ rotation.T
            columns |= {name: normals[:, at] for at, name in enumerate(NORMALS)}
        if self.degree:
            count, names = COUNTS[self.degree], rest_names(self.degree)
            matrix = turned_harmonics(rotation)[1:count, 1:count].astype(np.float32)
            rest = self.columns(names).reshape(len(self), 3, count - 1) @ matrix.T
            columns |= {name: rest.reshape(len(self), -1)[:, at] for at, name in enumerate(names)}
        return columns


def rest_names(degree: int) -> tuple[str, ...]:
    """Columns of the harmonics of degrees 1 to `degree`, in the order of the file."""
    return tuple(f"f_rest_{number}" for number in range(3 * (COUNTS[degree] - 1)))


def new_splats(
    means: Float[np.ndarray, "n 3"],
    log_scales: Float[np.ndarray, "n 3"],
    quaternions: Float[np.ndarray, "n 4"],
    logits: Float[np.ndarray, " n"],
    harmonics: Float[np.ndarray, "n coefficients 3"],
    normals: Float[np.ndarray, "n 3"] | None = None,
) -> Splats:
    """Gaussians from their numbers, as a table in single precision in Inria's order of columns.

    Raises:
        SplatError: the harmonics are not those of a degree from 0 to 3.
    """
    if harmonics.shape[1] not in COUNTS:
        raise SplatError(f"Colours of {harmonics.shape[1]} harmonics are of no degree from 0 to 3; give 1, 4, 9 or 16.")
    rest = harmonics[:, 1:].transpose(0, 2, 1).reshape(len(means), -1)
    parts: list[tuple[tuple[str, ...], np.ndarray]]
    parts = [(MEANS, means), *([] if normals is None else [(NORMALS, normals)]), (CONSTANTS, harmonics[:, 0])]
    parts += [(rest_names(COUNTS.index(harmonics.shape[1])), rest), (("opacity",), logits[:, None])]
    parts += [(SCALES, log_scales), (ROTATIONS, quaternions)]
    table = np.empty(len(means), [(name, "<f4") for names, _ in parts for name in names])
    for names, values in parts:
        for at, name in enumerate(names):
            table[name] = values[:, at]
    return Splats(table)


def check_splats(splats: Splats, where: str, remedy: str) -> Splats:
    """The splats, once every Gaussian is known to be one.

    Scales of 0 (minus infinity) and opacities of exactly 0 or 1 pass, which other programs write.

    Raises:
        SplatError: a column is missing or none of numbers, there is no Gaussian, a number is not finite, a quaternion
            is zero, or a mean or a scale is beyond all bounds.
    """
    problem = _odd_columns(splats)
    if not problem and len(splats) == 0:
        problem = "it holds no Gaussian"
    if not problem:
        problem = next((said for rows in slices(len(splats)) if (said := _odd_rows(splats.chosen(rows)))), "")
    if problem:
        raise SplatError(f"{where} cannot be used as Gaussian splats ({problem}): {remedy}.")
    return splats


def check_count(count: int, path: Path, remedy: str) -> None:
    """Refuse a file of more Gaussians than any scene has, before anything of their number is made.

    Raises:
        SplatError: there are more than `LARGEST_COUNT`.
    """
    if count > LARGEST_COUNT:
        raise SplatError(
            f"{path} has {count} Gaussians, and one file has at most {LARGEST_COUNT}: cut it into parts or {remedy}."
        )


def slices(count: int, size: int = ROWS_AT_ONCE) -> Iterator[slice]:
    """Rows in parts of at most `size`."""
    return (slice(start, min(start + size, count)) for start in range(0, count, size))


def _odd_columns(splats: Splats) -> str:
    missing = [name for name in REQUIRED if name not in splats.names]
    if missing:
        return f"it has no column {missing[0]}"
    numbers = {name for name in splats.names if name.startswith("f_rest_")}
    if len(numbers) // 3 + 1 not in COUNTS or len(numbers) % 3 or numbers != set(rest_names(splats.degree)):
        return f"its {len(numbers)} columns f_rest are not those of a degree from 0 to 3"
    unlike = [name for name in (*REQUIRED, *sorted(numbers)) if splats.table.dtype[name].kind != "f"]
    return f"its column {unlike[0]} has integers" if unlike else ""


def _odd_rows(part: Splats) -> str:
    with np.errstate(all="ignore"):
        means, scales = part.columns(MEANS), part.columns(SCALES)
        colours = part.columns((*CONSTANTS, *rest_names(part.degree)))
        quaternions, logits = part.columns(ROTATIONS), part.columns(("opacity",))
    odd = {
        "a position that is no finite number": ~(np.abs(means) <= LARGEST_MEAN),
        "a scale that is no length": ~(scales <= LARGEST_SCALE),
        "a rotation that is no finite number": ~np.isfinite(quaternions),
        "a rotation that is zero": np.abs(quaternions).max(-1, keepdims=True) == 0,
        "an opacity that is no number": np.isnan(logits),
        "a colour that is no finite number": ~(np.abs(colours) <= LARGEST_MEAN),
    }
    for what, where in odd.items():
        if where.any():
            return f"{int(where.any(-1).sum())} or more of its Gaussians have {what}"
    return ""
