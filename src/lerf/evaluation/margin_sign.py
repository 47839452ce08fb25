"""Whether the run sees a phrase where the photo itself does: the sign of the margin over the canonical phrases.

At pixels that a phrase is true of, the embedding that the run renders is compared with its teacher's, the encoder's
pyramid of the held-out photo there, at the same height of a tile. What decides an answer is not how close the two are
but whether the phrase is closer than the best canonical phrase in both, or in neither: cosines of 0.9 may hide that the
margin, a few hundredths, has turned round.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lerf.evaluation.protocol import EvalInputs, EvaluationProtocol, Measured, MeasuredRun, without_labels
from lerf.language.protocol import Latent
from lerf.model import Model
from lerf.pyramids.lookup import PyramidTable
from lerf.pyramids.store import build_pyramids
from lerf.queries.phrases import Phrases
from lerf.queries.relevancy import odds_of_cosines
from lerf.scenes.scene import Scene

PIXELS = 64
"""Of each phrase in a view, at most: evenly spaced among those that it is true of, in reading order."""


class MarginSign(EvaluationProtocol):
    """The protocol `margin-sign`, on labelled views with masks."""

    name = "margin-sign"

    def unsupported_reason(self, inputs: EvalInputs) -> str | None:
        if reason := without_labels(inputs):
            return reason
        if inputs.other_maps:
            return "maps of another method hold no embeddings"
        if not inputs.known.has_masks:
            return "box files have no masks; give label files"
        return None if inputs.labelled else "no held-out photo has labels"

    def settings(self, inputs: EvalInputs) -> dict[str, Any]:
        return {"margin_sign": {"pixels": PIXELS}}

    def summary(self, measured: Measured) -> dict[str, Any]:
        """`margin_sign`, the share of pixels at which both signs are the same, and `teacher_cosine`, the mean cosine of
        the embeddings there; both are means over queries, that is pairs of phrase and view."""
        assert isinstance(measured, MeasuredRun)
        inputs, rows = measured.inputs, list[tuple[float, float]]()
        for done, photo in enumerate(inputs.labelled):
            measured.progress("signs of margins", done, len(inputs.labelled))
            rows += compared(measured, photo)
            measured.progress("signs of margins", done + 1, len(inputs.labelled))
        if not rows:
            return {}
        names = ("margin_sign", "teacher_cosine")
        return {name: sum(column) / len(rows) for name, column in zip(names, zip(*rows, strict=True), strict=True)}


@torch.no_grad()
def compared(measured: MeasuredRun, photo: int) -> list[tuple[float, float]]:
    """For each phrase that a view shows: the share of pixels with the same sign, and the mean cosine of embeddings.

    Pixels at which the run renders nothing, or nothing that photos supervised, are left out.
    """
    model, inputs, view = measured.model, measured.inputs, measured.inputs.known.view(photo)
    asked = [(number, target.mask) for number, target in sorted(view.targets.items()) if target.mask is not None]
    if not asked:
        return []
    size = model.cameras.sizes_on_host[photo]
    spots = [mask_pixels(mask, size) for _, mask in asked]
    pixels = torch.cat(spots).to(model.device)
    index = torch.full((len(pixels),), photo, device=model.device)
    rays = model.radiance.trace(model.cameras, index, pixels, model.language.samples)
    latent, unit = model.language.encode(rays), rays.median_depth * size[1] / model.cameras.focal[photo, 1]
    usable, table = rays.hit & latent.supported, teacher(model, photo, measured.capture)
    texts, start, rows = list(measured.phrases.texts), 0, []
    for (number, _), some in zip(asked, spots, strict=True):
        stop = start + len(some)
        part = torch.nonzero(usable[start:stop]).flatten() + start
        start = stop
        if len(part):
            text = inputs.questions[number].text
            phrases = measured.phrases.chosen([texts.index(text)])
            found = _agreement(model, latent[part], table, (pixels[part], unit[part]), phrases, measured.scales[text])
            rows.append(found)
    return rows


def _agreement(
    model: Model,
    latent: Latent,
    table: PyramidTable,
    seen: tuple[Float[Tensor, "pixels 2"], Float[Tensor, " pixels"]],
    phrases: Phrases,
    scale: float,
) -> tuple[float, float]:
    """Share of equal signs and mean cosine at pixels; `seen` are these, and the scale of a tile of ratio 1 at each."""
    pixels, unit = seen
    own = model.language.embed(latent, scale)
    ratio = (latent.nearest_scale(scale) / unit).clamp(float(table.ratios[0]), float(table.ratios[-1]))
    photo = torch.zeros(len(pixels), dtype=torch.int64, device=pixels.device)
    theirs = table.interpolate(photo, pixels, ratio, renormalise=True)
    positive = [odds_of_cosines(phrases.vectors @ each.T, 1, phrases.temperature)[0] > 0 for each in (own, theirs)]
    return float((positive[0] == positive[1]).float().mean()), float((own * theirs).sum(-1).mean())


def teacher(model: Model, photo: int, capture: Scene | None) -> PyramidTable:
    """The pyramid of one photo alone, which is read from `capture` where that is given."""
    scene = model.scene if capture is None else capture
    store = build_pyramids([lambda: scene.pixels(photo)], model.encoder, device=model.device)
    return PyramidTable.from_store(store, device=model.device)


def mask_pixels(mask: Bool[Tensor, "height width"], size: Sequence[int]) -> Float[Tensor, "pixels 2"]:
    """Centres (x, y) of up to `PIXELS` pixels of a mask, evenly spaced, in a picture of (width, height) `size`."""
    rows, columns = torch.nonzero(mask).unbind(1)
    chosen = torch.arange(min(PIXELS, len(rows))) * len(rows) // max(1, min(PIXELS, len(rows)))
    x = (columns[chosen] + 0.5) * (size[0] / mask.shape[1])
    y = (rows[chosen] + 0.5) * (size[1] / mask.shape[0])
    return torch.stack([x, y], dim=-1)
