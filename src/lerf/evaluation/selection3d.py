"""3D selection: the Gaussians that a phrase selects, seen from labelled views, against the masks of what it is true of.

Three rules that are in use, with thresholds that were fixed by those who published them:

    opengaussian  the Gaussians of the phrase's instances, drawn alone; mask where their alpha is over 0.7
                  (Wu et al. 2024, arXiv 2406.02058)
    vala          relevancy of every Gaussian, half of it the mean of its 10 nearest, stretched to 0..1 over the scene;
                  selected where 2u - 1 is over 0.6, drawn alone; mask where their alpha is over 10/255
    laga          relevancy stretched to 0..1 over 0.6, and over what carries over between encoders in place of CLIP's
                  cosine of 0.23, raw relevancy of 0.5; drawn within the scene; mask where their share is over 0.1

A splat run is asked for its own Gaussians, another run for Gaussians on the points of its surface. A phrase that is
said to be absent selects none. mIoU is the mean over pairs of view and phrase; an empty union counts 0; Acc@0.25 and
Acc@0.5 are the shares of pairs strictly above.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.spatial import cKDTree
from torch import Tensor

from lerf.evaluation.metrics import iou
from lerf.evaluation.protocol import EvalInputs, EvaluationProtocol, Measured, MeasuredRun, without_labels
from lerf.evaluation.truth import ViewTruth
from lerf.exports.splat import NamedSplats, ask, build_splats
from lerf.geometry.camera_table import CameraTable
from lerf.geometry.harmonics import CONSTANT
from lerf.radiance.splats.gaussians import Gaussians
from lerf.radiance.splats.radiance import SplatRadiance
from lerf.steps import finish

ALPHA = {"opengaussian": 0.7, "vala": 10 / 255, "laga": 0.1}
"""By preset, the share of a pixel's light that the selected Gaussians stop in its mask."""
NEAREST = 10
SCORE = 0.6
RELEVANT = 0.5
"""Raw relevancy at which a phrase is as near as the nearest canonical one."""
AT_ONCE = 3
"""Phrases that one picture of the scene shows, as its red, green and blue."""
LEVELS = (0.25, 0.5)
STAGE = "3D selection in views"


def stretched(values: Float[Tensor, "phrases n"]) -> Float[Tensor, "phrases n"]:
    """Values of each phrase as shares of the way from their least to their largest over the scene."""
    low, high = values.amin(-1, keepdim=True), values.amax(-1, keepdim=True)
    return (values - low) / (high - low + 1e-9)


def selections(gaussians: NamedSplats, raw: Float[Tensor, "phrases n"]) -> dict[str, Bool[Tensor, "phrases n"]]:
    """The Gaussians that phrases select, by preset.

    Args:
        gaussians: with instances and relevancy of the phrases.
        raw: relevancy before anything is propagated.
    """
    known = (gaussians.instances >= 0).any(-1, keepdim=True)
    _, near = cKDTree(gaussians.positions.cpu().numpy()).query(
        gaussians.positions.cpu().numpy(), k=np.arange(2, min(NEAREST, len(gaussians) - 1) + 2)
    )
    around = torch.from_numpy(near).to(raw.device)
    blended = 0.5 * gaussians.relevancy + 0.5 * torch.stack([row[around].mean(-1) for row in gaussians.relevancy])
    return {
        "opengaussian": gaussians.instances >= 0,
        "vala": known & ((2 * stretched(blended) - 1).clamp(0, 1) > SCORE),
        "laga": known & (stretched(gaussians.relevancy) > SCORE) & (raw > RELEVANT),
    }


class Selection3d(EvaluationProtocol):
    """The protocol `lerf-3d`."""

    name = "lerf-3d"
    of_answers = True
    on_request = True

    def unsupported_reason(self, inputs: EvalInputs) -> str | None:
        if reason := without_labels(inputs):
            return reason
        if inputs.other_maps:
            return "maps of another method do not show it"
        if not inputs.known.has_masks:
            return "box files have no masks; give label files"
        return None if inputs.labelled else "no held-out photo has labels"

    def settings(self, inputs: EvalInputs) -> dict[str, Any]:
        return {"lerf_3d": {"alpha": ALPHA, "nearest": NEAREST, "score": SCORE, "relevant": RELEVANT}}

    def asked(self, inputs: EvalInputs, view: ViewTruth | None = None) -> Sequence[int]:
        return inputs.shown if view is None else sorted(view.targets)

    def summary(self, measured: Measured) -> dict[str, Any]:
        assert isinstance(measured, MeasuredRun)
        found = self._scores(measured)
        values = {preset: [value for rows in of.values() for value in rows] for preset, of in found.items()}
        report = {"lerf_3d_miou": {preset: sum(listed) / len(listed) for preset, listed in values.items()}}
        for level in LEVELS:
            report[f"lerf_3d_acc_{100 * level:.0f}"] = {
                preset: sum(value > level for value in listed) / len(listed) for preset, listed in values.items()
            }
        return report

    def rows(self, measured: MeasuredRun) -> dict[int, dict[str, Any]]:
        """Mean IoU of every phrase over the views, by preset."""
        result: dict[int, dict[str, Any]] = {}
        for preset, of in self._scores(measured).items():
            for number, listed in of.items():
                result.setdefault(number, {}).setdefault("lerf_3d_iou", {})[preset] = sum(listed) / len(listed)
        return result

    def _scores(self, measured: MeasuredRun) -> dict[str, dict[int, list[float]]]:
        """By preset and question, the IoU in each view."""
        if self.name not in measured.kept:
            measured.kept[self.name] = self._measure(measured)
        found: dict[str, dict[int, list[float]]] = measured.kept[self.name]
        return found

    @torch.no_grad()
    def _measure(self, measured: MeasuredRun) -> dict[str, dict[int, list[float]]]:
        inputs, model = measured.inputs, measured.model
        named, raw, texts = _answered(measured, [inputs.questions[number].text for number in self.asked(inputs)])
        chosen = selections(named, raw)
        gaussians = Gaussians.of(named.splats.moved(model.scene.similarity), model.device)
        scores: dict[str, dict[int, list[float]]] = {preset: {} for preset in chosen}
        for done, photo in enumerate(inputs.labelled):
            view = inputs.known.view(photo)
            camera = model.scene.normalised_camera(photo).scaled_to(view.width, view.height)
            table = CameraTable.from_cameras([camera], device=model.device)
            numbers = self.asked(inputs, view)
            rows = [texts.index(inputs.questions[number].text) for number in numbers]
            for preset, members in chosen.items():
                draw = within_scene if preset == "laga" else alone
                for number, share in zip(numbers, draw(gaussians, members[rows], table), strict=True):
                    mask = view.targets[number].mask
                    assert mask is not None
                    found = (share > ALPHA[preset]).cpu()
                    value = iou(found, mask) if bool((found | mask).any()) else 0.0
                    scores[preset].setdefault(number, []).append(value)
            measured.progress(STAGE, done + 1, len(inputs.labelled))
        return scores


def _answered(measured: MeasuredRun, asked: Sequence[str]) -> tuple[NamedSplats, Tensor, list[str]]:
    """The run's Gaussians with what phrases say of them, raw relevancy, and the phrases, each once."""
    model, texts = measured.model, list(dict.fromkeys(asked))
    phrases = measured.phrases.chosen([measured.phrases.texts.index(text) for text in texts])
    scales = [measured.scales[text] / model.photos.unit for text in texts]
    answers = finish(model.answer(phrases, scales=scales))
    plain = build_splats(model, refine=None if isinstance(model.radiance, SplatRadiance) else 0)
    named = ask(model, plain, answers)
    of_raw = ask(model, plain, [replace(own, relevancy=own.raw) for own in answers])
    return named, of_raw.relevancy, texts


def alone(
    gaussians: Gaussians, members: Bool[Tensor, "phrases n"], table: CameraTable
) -> list[Float[Tensor, "height width"]]:
    """Alpha of some of the Gaussians, with no others, of each phrase."""
    width, height = table.sizes[0].tolist()
    nothing = torch.zeros(height, width, device=members.device)
    return [
        finish(SplatRadiance(gaussians[row]).render(table, 0)).accumulation if bool(row.any()) else nothing
        for row in members
    ]


def within_scene(
    gaussians: Gaussians, members: Bool[Tensor, "phrases n"], table: CameraTable
) -> list[Float[Tensor, "height width"]]:
    """Share of each pixel's light that some of the Gaussians stop, among all of them, of each phrase."""
    result: list[Tensor] = []
    for some in members.split(AT_ONCE):
        shown = torch.zeros(len(gaussians), AT_ONCE, device=members.device)
        shown[:, : len(some)] = some.T.float()
        painted = replace(gaussians, harmonics=((shown - 0.5) / CONSTANT)[:, None])
        picture = finish(SplatRadiance(painted).render(table, 0))
        # Pictures have white behind them.
        share = picture.colour - (1 - picture.accumulation[..., None])
        result += list(share.movedim(-1, 0)[: len(some)])
    return result
