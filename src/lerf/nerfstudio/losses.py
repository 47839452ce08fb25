"""Losses and scores between what nerfstudio's photos show and what the fields do, and pictures of both."""

from __future__ import annotations

from typing import Any

import torch
from nerfstudio.utils import colormaps
from torch import Tensor

from lerf.evaluation.metrics import psnr, ssim
from lerf.training import losses


def compared(outputs: dict[str, Tensor], image: Tensor, random: bool = False) -> tuple[Tensor, Tensor]:
    """Colours of rays and those of their pixels, both [..., 3].

    Where photos are transparent both get the same background: white, or in training a random colour for each ray, since
    before white alone emptiness and white matter would look the same.

    Args:
        outputs: of the model; in training `rgb` holds the light of the samples only.
        image: of the batch, [..., 3] or, with transparency, [..., 4].
        random: whether the background is random.
    """
    shown = outputs["rgb"]
    image = image.to(shown)
    background = torch.ones_like(shown)
    if image.shape[-1] == 4:
        background = torch.rand_like(shown) if random else background
        image = image[..., :3] * image[..., 3:] + background * (1.0 - image[..., 3:])
    return (shown + (1.0 - outputs["accumulation"]) * background if "weights" in outputs else shown), image


def radiance_losses(
    outputs: dict[str, Tensor], image: Tensor, weight: float, ramp: tuple[int, int], step: int
) -> dict[str, Tensor]:
    """The colour loss and, in training, the distortion loss that is faded in between the steps of `ramp`."""
    shown, truth = compared(outputs, image, random=True)
    found = {"rgb_loss": torch.nn.functional.mse_loss(shown, truth)}
    fade = min(max((step - ramp[0]) / max(ramp[1] - ramp[0], 1), 0.0), 1.0)
    if "weights" in outputs and fade > 0:
        found["distortion_loss"] = fade * weight * losses.distortion(outputs["weights"], outputs["edges"])
    return found


def language_losses(
    outputs: dict[str, Tensor], clip: Tensor, dino: Tensor | None, clip_weight: float, dense_weight: float
) -> dict[str, Tensor]:
    """The losses of embeddings and of dense features, as in `training.language`."""
    found = {"clip_loss": clip_weight * losses.huber(outputs["clip"], clip)}
    if dino is not None and "dino" in outputs:
        found["dino_loss"] = dense_weight * losses.squared_error(outputs["dino"], dino)
    return found


def view_scores(shown: Tensor, image: Any) -> tuple[dict[str, float], Tensor]:
    """PSNR and SSIM of a picture, and the photo on its device."""
    shown, truth = compared({"rgb": shown}, image)
    return {"psnr": psnr(shown, truth), "ssim": ssim(shown, truth)}, truth


def view_pictures(outputs: dict[str, Tensor], truth: Tensor) -> dict[str, Tensor]:
    """What nerfstudio logs of a view: the photo beside the picture, and its other outputs in colours."""
    accumulation = outputs["accumulation"]
    images = {
        "img": torch.cat([truth, outputs["rgb"]], dim=1),
        "accumulation": colormaps.apply_colormap(accumulation),
        "depth": colormaps.apply_depth_colormap(outputs["depth"], accumulation=accumulation),
    }
    return images | {name: value for name, value in outputs.items() if name.startswith("composited_")}
