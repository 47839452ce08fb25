"""Whether a splat and the cameras of a capture belong together: what the training cameras see of it against photos."""

from __future__ import annotations

import warnings

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from lerf.errors import LerfWarning, SceneError, SplatError
from lerf.geometry.camera_table import CameraTable
from lerf.radiance.splats.gaussians import Gaussians
from lerf.radiance.splats.radiance import SplatRadiance
from lerf.run.settings import TrainSettings
from lerf.scenes.nerfstudio_frame import nerfstudio_frame
from lerf.scenes.scene import Scene
from lerf.splats.splats import Splats
from lerf.steps import finish

VIEWS = 8
"""Training photos that are looked at, evenly spaced."""
LONGEST = 128
"""Pixels of their longer side."""
FINER = 4
"""Pixels of the splat's picture to one of the photo's, along each side: in a picture as small as this, Gaussians that
are wider than a pixel by rule make all outlines too wide."""
DETAIL = 9
"""Side in pixels of what a pixel is compared with: what is brighter or darker over more than that tells nothing, as
skies are above and floors below in any two pictures."""
MISFIT = 0.1
"""Correlation of details under which a splat does not fit: between pictures of other places it is about 0."""
DOUBTFUL = 0.3
"""... and under which it is warned of."""


def require_fit(splats: Splats, scene: Scene, settings: TrainSettings) -> float:
    """The median correlation of the training photos' details with the splat's, which is that of a splat that fits.

    Args:
        splats: in the capture frame.
        scene: the capture.
        settings: of the run.

    Raises:
        SplatError: the photos do not show the splat.
    """
    found = correlation(splats, scene)
    if found >= MISFIT:
        if found < DOUBTFUL:
            warnings.warn(
                f"The splat fits the photos badly: their details correlate by {found:.2f}, those of a good one by 0.5 "
                "or more.",
                LerfWarning,
                stacklevel=2,
            )
        return found
    raise SplatError(
        f"The splat {settings.radiance_run} does not fit the cameras of {settings.data}: seen by them its details "
        f"correlate with those of the photos by {found:.2f}; {_remedy(splats, scene, settings)}."
    )


def correlation(splats: Splats, scene: Scene) -> float:
    """The median over some training photos of the correlation between their details and what the splat shows there."""
    chosen = [scene.train[at] for at in np.unique(np.linspace(0, len(scene.train) - 1, VIEWS).round().astype(int))]
    radiance, values = SplatRadiance(Gaussians.of(splats.moved(scene.similarity))), []
    for photo in chosen:
        pixels = torch.from_numpy(scene.pixels(photo, LONGEST)).float() / 255
        height, width = pixels.shape[:2]
        camera = scene.normalised_camera(photo).scaled_to(FINER * width, FINER * height)
        drawn = finish(radiance.render(CameraTable.from_cameras([camera]), 0)).colour
        colour = F.avg_pool2d(drawn.movedim(-1, 0), FINER).movedim(0, -1)
        values.append(_correlated(_details(colour), _details(pixels)))
    return float(np.median(values))


def _details(colour: Float[Tensor, "height width 3"]) -> Float[Tensor, "height width"]:
    """Brightness less its mean around each pixel."""
    grey = colour.mean(-1)[None, None]
    around = F.avg_pool2d(F.pad(grey, (DETAIL // 2,) * 4, mode="replicate"), DETAIL, stride=1)
    return (grey - around)[0, 0]


def _correlated(one: Tensor, other: Tensor) -> float:
    """Correlation of two pictures; 0 where one shows nothing."""
    one, other = one - one.mean(), other - other.mean()
    size = one.square().sum() * other.square().sum()
    return float((one * other).sum() / size.sqrt()) if float(size) > 0 else 0.0


def _remedy(splats: Splats, scene: Scene, settings: TrainSettings) -> str:
    if settings.radiance_frame == "capture":
        try:
            fits = correlation(splats.moved(nerfstudio_frame(scene).inverse()), scene) >= DOUBTFUL
        except SceneError:
            fits = False
        if fits:
            return "it does in the frame that nerfstudio trains in: give --radiance-frame nerfstudio"
        return (
            "give the splat that was made of these photos, in their frame, or --radiance-frame nerfstudio for one that "
            "nerfstudio exported"
        )
    return "give the dataparser_transforms.json of the run that made it with --radiance-transforms"
