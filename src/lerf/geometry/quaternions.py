"""Quaternions w, x, y, z and the rotations that they are, for numpy arrays of many."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float


def unit_quaternions(quaternions: Float[np.ndarray, "n 4"]) -> Float[np.ndarray, "n 4"]:
    """Quaternions scaled to unit length, of any length but zero."""
    largest = np.abs(quaternions).max(-1, keepdims=True)
    scaled = quaternions / largest  # no square of it overflows or vanishes
    return scaled / np.linalg.norm(scaled, axis=-1, keepdims=True)


def quaternion_of(rotation: Float[np.ndarray, "3 3"]) -> Float[np.ndarray, " 4"]:
    """The unit quaternion of a rotation, with w >= 0."""
    trace = np.trace(rotation)
    # 4 q q^T is linear in the rotation; its largest column is the quaternion without a loss of digits.
    (a, b, c), (d, e, f), (g, h, i) = rotation
    square = np.array(
        [
            [1 + trace, h - f, c - g, d - b],
            [h - f, 1 + a - e - i, b + d, c + g],
            [c - g, b + d, 1 - a + e - i, f + h],
            [d - b, c + g, f + h, 1 - a - e + i],
        ]
    )
    found = square[np.argmax(np.diag(square))]
    found = found / np.linalg.norm(found)
    return found if found[0] >= 0 else -found


def turned_quaternions(
    rotation: Float[np.ndarray, "3 3"], quaternions: Float[np.ndarray, "n 4"]
) -> Float[np.ndarray, "n 4"]:
    """The rotations of quaternions followed by one rotation, of the lengths that they have."""
    w, x, y, z = quaternion_of(rotation)
    left = np.array([[w, -x, -y, -z], [x, w, -z, y], [y, z, w, -x], [z, -y, x, w]])
    return quaternions @ left.T
