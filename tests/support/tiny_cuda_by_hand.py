"""tiny-cuda-nn's hash grid, harmonics and networks in numpy, slow and by the letter, for the tests to compare with.

Nothing of `lerf` is used. Arguments are the configurations that nerfstudio makes. Widened inputs and outputs
are computed with; parameters are one flat vector, the network's before the grid's. All is of double precision, but for
the scale of a level and for positions, which decide which cell a point is in.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
from scipy.special import lpmv

WIDE = 16


def levels(encoding: dict[str, Any]) -> list[tuple[np.float32, int, int]]:
    """Scale, corners along an edge and entries of every level."""
    growth = np.float32(encoding["per_level_scale"])
    found = []
    for level in range(encoding["n_levels"]):
        exponent = np.float32(level) * np.float32(math.log2(growth))
        scale = np.float32(2.0 ** float(exponent)) * np.float32(encoding["base_resolution"]) - np.float32(1)
        side = math.ceil(scale) + 1
        rounded = side**3
        while rounded % 8:
            rounded += 1
        found.append((scale, side, min(rounded, 2 ** encoding["log2_hashmap_size"])))
    return found


def grid_length(encoding: dict[str, Any]) -> int:
    """Parameters of a grid."""
    return sum(entries for _, _, entries in levels(encoding)) * encoding["n_features_per_level"]


def grid(encoding: dict[str, Any], parameters: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Features of points, [points, levels * features]."""
    features, columns, start = encoding["n_features_per_level"], [], 0
    table = parameters.reshape(-1, features).astype(np.float64)
    for scale, side, entries in levels(encoding):
        place = (points.astype(np.float64) * float(scale) + 0.5).astype(np.float32)
        cell, part = np.floor(place).astype(np.uint64), (place - np.floor(place)).astype(np.float64)
        total = np.zeros((len(points), features))
        for corner in range(8):
            upper = [corner >> axis & 1 for axis in range(3)]
            at = [cell[:, axis] + np.uint64(upper[axis]) for axis in range(3)]
            weight = np.ones(len(points))
            for axis in range(3):
                weight = weight * (part[:, axis] if upper[axis] else 1 - part[:, axis])
            if entries < side**3:
                index = at[0] ^ (at[1] * np.uint64(2654435761)) ^ (at[2] * np.uint64(805459861))
                index = index % np.uint64(2**32)
            else:
                index = at[0] + at[1] * np.uint64(side) + at[2] * np.uint64(side**2)
            total += weight[:, None] * table[start + (index % np.uint64(entries)).astype(np.int64)]
        columns.append(total)
        start += entries
    return np.concatenate(columns, axis=1)


def harmonics(inputs: np.ndarray, degrees: int = 4) -> np.ndarray:
    """Real spherical harmonics with the phase of Condon and Shortley, of directions that were mapped to 0..1."""
    x, y, z = (inputs.astype(np.float64) * 2 - 1).T
    turn, columns = np.arctan2(y, x), []
    for degree in range(degrees):
        for order in range(-degree, degree + 1):
            m = abs(order)
            factor = (2 * degree + 1) / (4 * math.pi) * math.factorial(degree - m) / math.factorial(degree + m)
            wave = np.cos(m * turn) if order >= 0 else np.sin(m * turn)
            columns.append(math.sqrt(factor * (2 if m else 1)) * wave * lpmv(m, degree, z))
    return np.stack(columns, axis=1)


def _widths(network: dict[str, Any], inputs: int, outputs: int) -> list[int]:
    return [
        math.ceil(inputs / WIDE) * WIDE,
        *[network["n_neurons"]] * network["n_hidden_layers"],
        math.ceil(outputs / WIDE) * WIDE,
    ]


def network_length(network: dict[str, Any], inputs: int, outputs: int) -> int:
    """Parameters of a network."""
    return sum(inside * outside for inside, outside in pairwise(_widths(network, inputs, outputs)))


def network(
    settings: dict[str, Any], parameters: np.ndarray, inputs: np.ndarray, outputs: int, padding: float
) -> np.ndarray:
    """What a network gives for inputs that `padding` fills up."""
    widths = _widths(settings, inputs.shape[1], outputs)
    values = np.full((len(inputs), widths[0]), padding)
    values[:, : inputs.shape[1]] = inputs
    start = 0
    for at, (inside, outside) in enumerate(pairwise(widths)):
        matrix = parameters[start : start + inside * outside].reshape(outside, inside).astype(np.float64)
        start += inside * outside
        values = values @ matrix.T
        if at < len(widths) - 2:
            values = np.maximum(values, 0)
    if settings["output_activation"] == "Sigmoid":
        values = 1 / (1 + np.exp(-values))
    return values[:, :outputs]
