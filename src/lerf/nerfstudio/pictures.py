"""Relevancy as nerfstudio shows it: a number for each pixel that it colours itself, and composites over the scene."""

from __future__ import annotations

from torch import Tensor

from lerf.rendering.colour_maps import normalised
from lerf.rendering.outputs import Display, composite, relevancy_colours


def paint_relevancy(outputs: dict[str, Tensor], phrases: int, threshold: float, stretched: bool) -> dict[str, Tensor]:
    """The outputs with `composited_i` for each of the phrases, by the raw `relevancy_i` of that phrase.

    Args:
        outputs: of a view, [height, width, channels].
        phrases: how many.
        threshold: raw relevancy from which composites show it.
        stretched: whether `relevancy_i` is 0 at the tie and 1 at the highest of the view, as composites always are.
    """
    painted = dict(outputs)
    for number in range(phrases):
        raw = outputs[f"relevancy_{number}"][..., 0]
        shown, _ = relevancy_colours(raw, Display(range="normalised"))
        display = Display(above=threshold)
        painted[f"composited_{number}"] = composite(outputs["rgb"], shown.to(raw.device), raw, display)
        painted[f"relevancy_{number}"] = (normalised(raw) if stretched else raw)[..., None]
    return painted
