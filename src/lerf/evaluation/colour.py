"""Colour of held-out views."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from lerf.errors import SceneError
from lerf.evaluation.metrics import psnr, ssim
from lerf.model import Model


def evaluate_colour(model: Model, progress: Callable[[int, int], None] | None = None) -> dict[str, Any]:
    """PSNR and SSIM of every held-out photo, and their means, at the resolution of training.

    The mean exposure of the training photos is rendered; nothing is fitted on the held-out photos. Masked-out pixels,
    which were not to be learnt either, count as correct in SSIM and are left out of PSNR.

    Raises:
        SceneError: when the capture holds no photo out or a photo cannot be read.
    """
    scene = model.scene
    if not scene.test:
        raise SceneError("The capture has no held-out photos; add some or list them as test_filenames.")
    views: list[dict[str, Any]] = []
    for done, index in enumerate(scene.test):
        truth = torch.from_numpy(scene.pixels(index)).float() / 255.0
        picture = model.render(index).picture.colour.cpu()
        mask = scene.mask(index)
        if mask is None:
            ratio = psnr(picture, truth)
        else:
            keep = torch.from_numpy(mask)
            picture = torch.where(keep[..., None], picture, truth)
            ratio = psnr(picture[keep][:, None], truth[keep][:, None])
        views.append({"photo": scene.photos[index].name, "psnr": ratio, "ssim": ssim(picture, truth)})
        if progress:
            progress(done + 1, len(scene.test))
    return {
        "psnr": sum(view["psnr"] for view in views) / len(views),
        "ssim": sum(view["ssim"] for view in views) / len(views),
        "views": views,
    }
