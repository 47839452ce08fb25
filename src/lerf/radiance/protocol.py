"""What a radiance must offer. Everything else (language, queries, pictures, exports) stands on these two methods."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import Float, Int
from torch import Tensor

from lerf.geometry.camera_table import CameraTable
from lerf.geometry.traced_rays import TracedRays
from lerf.steps import Steps


@dataclass(frozen=True)
class ColourPicture:
    """One view of a radiance."""

    colour: Float[Tensor, "height width 3"]
    """0..1, at the mean exposure of the training photos; white shows where the radiance is transparent."""
    depth: Float[Tensor, "height width"]
    """Median depth along the optical axis, normalised units; NaN where less than half of the light met something."""
    accumulation: Float[Tensor, "height width"]
    """Share of the light that met something."""


@runtime_checkable
class Radiance(Protocol):
    """A frozen radiance, whatever represents it. Cameras are in the normalised frame; nothing has gradients."""

    def trace(
        self,
        cameras: CameraTable,
        index: Int[Tensor, " rays"],
        pixels: Float[Tensor, "rays 2"],
        heaviest: int,
        samples: int | None = None,
    ) -> TracedRays:
        """The rays of pixels with the samples at which their light stops; the same for the same arguments.

        Args:
            cameras: table that `index` counts in.
            index: camera of each ray; rays of one camera stand together wherever a caller can arrange it.
            pixels: continuous (x, y); a pixel's centre is at +0.5.
            heaviest: samples of a ray that are kept, at most.
            samples: samples of a ray that will do, where the radiance can choose.
        """
        ...

    def render(self, cameras: CameraTable, index: int, samples: int | None = None) -> Steps[ColourPicture]:
        """Colour, depth and accumulation of a camera.

        Args:
            cameras: table that `index` counts in.
            index: the camera.
            samples: samples of a ray that will do, where the radiance can choose; by default as many as it was made
            for.
        """
        ...
