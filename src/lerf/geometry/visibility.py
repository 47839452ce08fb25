"""Whether a camera sees a point, from the depth that it sees at the point's pixel."""

from __future__ import annotations

from jaxtyping import Bool, Float
from torch import Tensor


def unoccluded(
    depth: Float[Tensor, " photos"], surface_depth: Float[Tensor, " photos"], tolerance: float = 0.05
) -> Bool[Tensor, " photos"]:
    """Whether nothing stands before the point: it lies no deeper than the rendered surface at its pixel allows.

    `depth` is that of the point and `surface_depth` what the photo's camera renders there, both along the optical axis.
    A point passes up to `tolerance` * surface_depth behind the surface; before it, always. An unknown surface (NaN)
    hides nothing; a point behind the camera never passes.
    """
    hidden = depth > surface_depth * (1 + tolerance)
    return (depth > 0) & ~hidden
