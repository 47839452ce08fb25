"""3D points that pose tools estimate beside poses: where surfaces are, and which photos see them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, UInt8


@dataclass(frozen=True, eq=False)
class SparsePoints:
    """Points in the capture frame."""

    positions: Float[np.ndarray, "points 3"]
    colours: UInt8[np.ndarray, "points 3"] | None = None
    errors: Float[np.ndarray, " points"] | None = None
    """Mean distance in pixels between where photos see a point and where it projects to; None where not known."""
    observations: Int[np.ndarray, "observations 2"] | None = None
    """(point, photo) pairs: which photos see which points, photos as places in `names`; None where not known."""
    names: tuple[str, ...] = ()
    """Of photos as the pose file states them; `observations` refer to these."""
    places: Float[np.ndarray, "observations 2"] | None = None
    """Where in the photo each observation lies, x and y from its upper left corner over its width and height; NaN where
    it is not known of one, None where of none."""

    def __len__(self) -> int:
        return len(self.positions)
