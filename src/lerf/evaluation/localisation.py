"""LERF's localisation (Kerr et al. 2023, section 4.2): is the most relevant pixel of a view on what the phrase names?

Where masks of parts are known exactly (generated scenes) the pixel must lie in the mask of a correct instance, which is
stricter than the paper's boxes; with label files it must lie in a box of one. A report says which.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jaxtyping import Float
from torch import Tensor

from lerf.evaluation.lerf_boxes import Box
from lerf.evaluation.protocol import EvalInputs, Measured, ViewProtocol, without_labels
from lerf.evaluation.truth import Target


def peak_pixel(scores: Float[Tensor, "height width"]) -> tuple[int, int]:
    """(column, row) of the highest score; of equals the first in reading order."""
    row, column = divmod(int(scores.argmax()), scores.shape[1])
    return column, row


def in_boxes(column: int, row: int, boxes: Sequence[Box]) -> bool:
    """Whether a pixel lies in any box, edges included."""
    return any(x1 <= column <= x2 and y1 <= row <= y2 for x1, y1, x2, y2 in boxes)


class LerfLocalisation(ViewProtocol):
    """The protocol `lerf-localisation`, on held-out views."""

    name = "lerf-localisation"

    def unsupported_reason(self, inputs: EvalInputs) -> str | None:
        return without_labels(inputs) or (None if inputs.novel else "no held-out photo has labels")

    def settings(self, inputs: EvalInputs) -> dict[str, Any]:
        return {"localisation_rule": inputs.known.rule}

    def photos(self, inputs: EvalInputs) -> Sequence[int]:
        return inputs.novel

    def summary(self, measured: Measured) -> dict[str, Any]:
        return measured.means("localisation", "localisation")

    def score(self, scores: Float[Tensor, "height width"], target: Target) -> dict[str, float]:
        """`localisation`: 1 for a hit, 0 for a miss."""
        column, row = peak_pixel(scores)
        if target.exact and target.mask is not None:
            return {"localisation": float(target.mask[row, column])}
        return {"localisation": float(in_boxes(column, row, target.boxes))}
