"""The scale at which a phrase answers in a scene."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Float16
from torch import Tensor

from lerf import kernels
from lerf.devices import in_parts
from lerf.language.protocol import LanguageSource, Latent
from lerf.queries.phrases import PEAK_POINTS, Phrases, peak, smallest_as_good
from lerf.steps import Steps

KEPT_BYTES = 256_000_000
"""Codes of all scales are kept for the next phrase if they take no more."""
LOOKS = 3
"""Scales at which a scene is searched for all names, evenly spaced."""
TEXTS_AT_ONCE = 128


class ScaleSearch:
    """The latents on which scales are chosen, with their codes at the scales that were tried, if these are kept."""

    def __init__(self, language: LanguageSource, latent: Latent) -> None:
        """`latent` is that of a surface which the language has read."""
        self.language, self.latent = language, language.scale_latent(latent)
        size = 2 * len(self.latent) * len(language.scales) * language.kept_code
        self._kept = 0 < size <= KEPT_BYTES
        self._codes: dict[float, Float16[Tensor, "rays code"]] = {}

    @torch.no_grad()
    def cosines(self, texts: Float[Tensor, "texts width"], scale: float) -> Float[Tensor, "texts rays"]:
        """Cosines of texts along the rays at one of the language's scales."""
        if not self._kept:
            return self.language.cosines(self.latent, texts, scale)
        if scale not in self._codes:
            self._codes[scale] = self.language.codes(self.latent, scale).half()
        return kernels.few_products(self._codes[scale].float(), self.language.project(texts))

    @torch.no_grad()
    def peaks(
        self, texts: Float[Tensor, "texts width"], canonical: Float[Tensor, "canonical width"]
    ) -> Float[Tensor, " texts"]:
        """For each text its highest margin over the canonical ones anywhere, in cosines: the mean over the
        `PEAK_POINTS` best points, at the best of `LOOKS` scales."""
        scales, best = self.language.scales.tolist(), torch.full((len(texts),), -torch.inf, device=texts.device)
        lost = ~self.latent.supported
        for scale in {scales[(2 * look + 1) * len(scales) // (2 * LOOKS)] for look in range(LOOKS)}:
            for start in range(0, len(texts), TEXTS_AT_ONCE):
                part = slice(start, start + TEXTS_AT_ONCE)
                cosines = self.cosines(torch.cat([texts[part], canonical]), scale)
                margins = cosines[: -len(canonical)] - cosines[-len(canonical) :].amax(dim=0)
                points = min(PEAK_POINTS, margins.shape[-1])
                found = margins.masked_fill_(lost, -torch.inf).topk(points, dim=-1).values.mean(dim=-1)
                best[part] = torch.maximum(best[part], found)
        return best


@torch.no_grad()
def choose_scales(search: ScaleSearch, phrases: Phrases) -> Steps[list[float]]:
    """For each phrase the scale whose relevancy peaks highest, and of those as good the smallest (`smallest_as_good`).

    Args:
        search: its language's `scales` are tried; a step is one of them.
        phrases: embedded.

    Returns:
        scales in normalised units, in the order of the phrases.
    """
    scales, peaks, unsupported = search.language.scales, [], ~search.latent.supported
    for scale in scales.tolist():
        cosines = search.cosines(phrases.vectors, scale)
        odds = phrases.odds(cosines)
        peaks.append(peak(odds.masked_fill_(unsupported, -torch.inf)))
        yield
    best: list[float] = scales[smallest_as_good(torch.stack(peaks, dim=-1)).cpu()].tolist()
    return best


@torch.no_grad()
def relevancy_at(
    language: LanguageSource, latent: Latent, phrases: Phrases, scale: float
) -> Float[Tensor, "phrases rays"]:
    """Relevancy of phrases along rays at one scale (normalised units), or at the closest one supervised there; 0 where
    none was."""

    def relevancy(rows: slice) -> Tensor:
        part = latent[rows] if len(latent) > rows.stop - rows.start else latent
        return torch.sigmoid(phrases.odds(language.cosines(part, phrases.vectors, scale))) * part.supported

    parts = list(in_parts(len(latent), language.rays_at_once, phrases.vectors.device, relevancy))
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=-1)


def at_equal_scales(scales: Sequence[float]) -> dict[float, list[int]]:
    """Rows of the phrases by the scale that they are asked at: what is asked at one scale is asked together."""
    rows: dict[float, list[int]] = {}
    for row, scale in enumerate(scales):
        rows.setdefault(scale, []).append(row)
    return rows
