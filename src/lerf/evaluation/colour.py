"""Colour of held-out views."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch

from lerf.errors import RunError, SceneError
from lerf.evaluation.lpips import Lpips
from lerf.evaluation.metrics import psnr, ssim
from lerf.evaluation.protocol import EvalInputs, EvaluationProtocol, Measured, MeasuredRun
from lerf.model import Model
from lerf.scenes.scene import Scene


def evaluate_colour(
    model: Model,
    progress: Callable[[int, int], None] | None = None,
    lpips: Lpips | None = None,
    capture: Scene | None = None,
) -> dict[str, Any]:
    """PSNR and SSIM, and LPIPS if given, of every held-out photo, and their means, at the resolution of training.

    The mean exposure of the training photos is rendered; nothing is fitted on the held-out photos. Masked-out pixels,
    which were not to be learnt either, count as correct in SSIM and LPIPS and are left out of PSNR. A photo that has no
    finite PSNR enters neither `views` nor the means: it is listed, with the reason, under `left_out`, a key that only
    such a report has. All numbers of a report are finite.

    Args:
        model: the run to measure.
        progress: called with the photos done and their number.
        lpips: from `lerf.evaluation.lpips.load_lpips`; adds `lpips` to every view and to the means.
        capture: where the photos and masks are read, if not where the run found them: `check_photos` of it was right.

    Raises:
        SceneError: when the capture holds no photo out, a photo cannot be read, or none has a finite PSNR.
        RunError: when the run renders colours that are not numbers.
    """
    scene = model.scene
    if not scene.test:
        raise SceneError("The capture has no held-out photos; add some or list them as test_filenames.")
    photos = scene if capture is None else capture
    views: list[dict[str, Any]] = []
    left_out: list[dict[str, str]] = []
    for done, index in enumerate(scene.test):
        found = _score_view(model, photos, index, lpips)
        (left_out if "reason" in found else views).append(found)
        if progress:
            progress(done + 1, len(scene.test))
    if not views:
        first = left_out[0]
        raise SceneError(f"No held-out photo can be scored ({first['photo']}: {first['reason']}); hold out others.")
    scores = ["psnr", "ssim"] if lpips is None else ["psnr", "ssim", "lpips"]
    report: dict[str, Any] = {score: sum(view[score] for view in views) / len(views) for score in scores}
    report["views"] = views
    if left_out:
        report["left_out"] = left_out
    return report


def _score_view(model: Model, photos: Scene, index: int, lpips: Lpips | None) -> dict[str, Any]:
    """Scores of one photo, or the reason why it has none."""
    name = model.scene.photos[index].name
    truth = torch.from_numpy(photos.pixels(index)).float() / 255.0
    mask = photos.mask(index)
    if mask is not None and not mask.any():
        return {"photo": name, "reason": "its mask leaves no pixel to compare"}
    picture = model.render(index).picture.colour.cpu()
    if mask is None:
        ratio = psnr(picture, truth)
    else:
        keep = torch.from_numpy(mask)
        picture = torch.where(keep[..., None], picture, truth)
        ratio = psnr(picture[keep][:, None], truth[keep][:, None])
    if math.isnan(ratio):
        raise RunError(f"The run renders colours of {name} that are not numbers; train it again.")
    if math.isinf(ratio):
        return {"photo": name, "reason": "it is rendered without any error, so its PSNR is infinite"}
    view = {"photo": name, "psnr": ratio, "ssim": ssim(picture, truth)}
    return view if lpips is None else {**view, "lpips": lpips.distance(picture, truth)}


class Colour(EvaluationProtocol):
    """The protocol `colour`."""

    name = "colour"

    def unsupported_reason(self, inputs: EvalInputs) -> str | None:
        if inputs.other_maps:
            return "maps of another method do not show it"
        return None if inputs.scene.test else "the capture has no held-out photos"

    def summary(self, measured: Measured) -> dict[str, Any]:
        assert isinstance(measured, MeasuredRun)

        def advance(done: int, total: int) -> None:
            measured.progress("colour of held-out views", done, total)

        return evaluate_colour(measured.model, advance, measured.lpips, measured.capture)
