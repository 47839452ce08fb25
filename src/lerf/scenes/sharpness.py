"""How sharp a picture is, beside others of the same scene."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from lerf.scenes.photos import Size

SIDE = 640
"""Pixels of the longer side at which sharpness is measured, so that photos of all sizes compare."""
THUMBNAIL = 32
"""Side of the picture by which two frames are compared."""
QUARTER = 4
"""Pixels a side that make one of the coarse picture."""
FLAT = 1e-6
"""Energy of second differences under which a picture shows nothing."""


def grey_of(picture: UInt8[np.ndarray, "height width 3"] | UInt8[np.ndarray, "height width"]) -> Image.Image:
    """Brightness, reduced so that its longer side has `SIDE` pixels at most."""
    image = Image.fromarray(picture).convert("L")
    return image.resize(measured_size(image.size), Image.Resampling.BOX)


def measured_size(size: Size) -> Size:
    """Width and height at which a picture of `size` is measured."""
    factor = max(1.0, max(size) / SIDE)
    return max(1, round(size[0] / factor)), max(1, round(size[1] / factor))


def sharpness(grey: Image.Image) -> float:
    """Variance of the Laplacian of the brightness in 0..1 (Pech-Pacheco et al. 2000, "Diatom autofocusing in
    brightfield microscopy"): small where edges are blurred."""
    values = np.asarray(grey, np.float64) / 255.0
    if min(values.shape) < 3:
        return 0.0
    middle = values[1:-1, 1:-1]
    laplacian = values[:-2, 1:-1] + values[2:, 1:-1] + values[1:-1, :-2] + values[1:-1, 2:] - 4.0 * middle
    return float(laplacian.var())


def thumbnail(grey: Image.Image) -> Float[np.ndarray, "side side"]:
    """The picture in few pixels, brightness in 0..1."""
    return np.asarray(grey.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX), np.float64) / 255.0


def detail(grey: Image.Image) -> float | None:
    """Fine detail over coarse, in the direction that has less of it: comparable between pictures of different things.

    The energy of second differences along rows and along columns, each over that of the picture at a quarter of its
    size: like Crete et al. 2007 ("The blur effect"), a picture is compared with a smoother one of itself, for an
    edge that is sharp loses most of its energy there and one that is blurred already has little to lose; and motion
    blurs one direction alone. None where the picture is too small, or has nothing coarse either.
    """
    values = np.asarray(grey, np.float64) / 255.0
    rows, columns = (side - side % QUARTER for side in values.shape)
    if min(rows, columns) < 3 * QUARTER:
        return None
    coarse = values[:rows, :columns].reshape(rows // QUARTER, QUARTER, columns // QUARTER, QUARTER).mean((1, 3))
    coarse_energies = [_second_differences(coarse, axis) for axis in (0, 1)]
    if min(coarse_energies) < FLAT:
        return None
    return min(_second_differences(values, axis) / coarse_energies[axis] for axis in (0, 1))


def _second_differences(values: Float[np.ndarray, "rows columns"], axis: int) -> float:
    return float(np.square(np.diff(values, 2, axis=axis)).mean())
