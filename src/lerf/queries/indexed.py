"""Answers from a baked index: no ray of the surface is drawn, no head is run."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from lerf.encoders.protocols import ImageTextEncoder
from lerf.errors import LerfWarning, QueryError, RunError
from lerf.files import sha256_of
from lerf.language.cells import FILE, Found, Index, index_from_state, load_index
from lerf.language.lifted import trained_field
from lerf.queries.answer import Answer, IndexNote, Instance
from lerf.queries.phrases import Phrases
from lerf.queries.scales import surface_relevancy
from lerf.rendering.stops import stops_and_matter
from lerf.run.folder import RunFolder

if TYPE_CHECKING:
    from lerf.model import Model

IndexUse = Literal["auto", "require", "ignore"]
"""Whether a query answers from the baked index: where a fresh one is there, always, or never."""
USES: tuple[IndexUse, ...] = ("auto", "require", "ignore")
BAKED_FROM = {"field": "language.safetensors", "lift": "radiance.safetensors"}
"""Checkpoint whose hash an index carries."""
OTHER_SURFACE = "The index is of another surface than the run's; make it again with 'lerf bake'."


def open_index(folder: Path | None, encoder: ImageTextEncoder, device: str, use: IndexUse) -> Index | None:
    """The index in a run folder that a query answers from, or None where it should ask the field.

    One that is damaged or of another state of the run is not used: with `auto` that is a warning.

    Raises:
        QueryError: `use` is none of `USES`.
        RunError: with `require`, when there is none or it cannot be used.
    """
    if use not in USES:
        raise QueryError(f"An index is used 'auto', 'require' or 'ignore', not {use!r}.")
    path = None if folder is None else folder / FILE
    if use == "ignore" or (use == "auto" and (path is None or not path.is_file())):
        return None
    if path is None or folder is None:
        raise RunError("An index lies in a run's folder, and this model has none; open one with lerf.load.")
    try:
        index = load_index(path, encoder, device=device)
        if sha256_of(folder / BAKED_FROM[index.facts.source]) != index.facts.checkpoint:
            raise RunError(f"{path} was made from another state of the run; make it again with 'lerf bake'.")
    except RunError as error:
        if use == "require":
            raise
        warnings.warn(f"The field answers, not the index. {error}", LerfWarning, stacklevel=2)
        return None
    return index


def lifted_index(folder: RunFolder, tensors: dict[str, Tensor], facts: dict[str, Any], device: str) -> Index:
    """The index that is the language of a run, from its language checkpoint.

    Raises:
        RunError: when the checkpoint does not hold one, or it is of another radiance than the run's.
    """
    path = folder.path / "language.safetensors"
    try:
        index = index_from_state({name: tensor.to(device) for name, tensor in tensors.items()}, facts["index"])
    except (KeyError, TypeError) as error:
        raise RunError(f"{path} is damaged ({error}); delete it and run 'lerf train' again.") from None
    if sha256_of(folder.path / BAKED_FROM["lift"]) != index.facts.checkpoint:
        raise RunError(f"{path} was lifted onto another radiance; delete it and run 'lerf train' again.")
    return index


def note(index: Index) -> IndexNote:
    """What a result says of the index that answered."""
    facts = index.facts
    return IndexNote(facts.source, len(index), facts.cosine, facts.lowest_cosine)


def answers_from_index(
    model: Model, index: Index, phrases: Phrases, threshold: float, scales: Sequence[float] | None = None
) -> tuple[Answer, ...]:
    """Where phrases are, if they are, in the capture frame.

    Args:
        model: the run: frames, cameras, and a radiance to say which photos see an answer.
        index: of that run.
        phrases: embedded.
        threshold: relevancy from which a phrase counts as present.
        scales: for each phrase the scale to ask at, normalised units; the closest of the index's answers.
    """
    return tuple(_answer(model, index, found, threshold) for found in index.find(phrases, threshold, scales))


def _answer(model: Model, index: Index, found: Found, threshold: float) -> Answer:
    if found.score < threshold:
        return Answer(found.text, found.score)
    best = torch.tensor([found.best], device=index.positions.device)
    # Where only scattered cells pass, the best of them is the answer.
    places = [(region.best, region.indices) for region in found.regions] or [(found.best, best)]
    instances = []
    for place, members in places:
        position = index.positions[place]
        used = min(max(found.scale, float(index.low[place])), float(index.high[place]))
        geometry = model.geometry(position, index.positions[members], used, partial(traced_depths, model))
        instances.append(Instance(float(found.relevancy[place]), geometry))
    return Answer(found.text, found.score, instances[0].geometry, tuple(instances))


@torch.no_grad()
def differences(
    model: Model, index: Index, phrases: Phrases, scales: Sequence[float] | None = None
) -> dict[str, float]:
    """By phrase the mean absolute difference between the index's relevancy in a cell and the mean of the field's over
    the surface points there, at the scale at which the index answers.

    Raises:
        QueryError: when the run has no field, its language having been lifted.
        RunError: when no surface point of the field lies in a cell of the index.
    """
    surface, field = model.surface, trained_field(model.language)
    cells = index.locate(surface.positions)
    chosen = torch.nonzero(cells >= 0).flatten()
    if len(chosen) == 0:
        raise RunError(OTHER_SURFACE)
    count = torch.bincount(cells[chosen], minlength=len(index))
    results = {}
    for row, found in enumerate(index.find(phrases, 1.0, scales)):
        one = Phrases((found.text,), phrases.queries[row : row + 1], phrases.canonical, phrases.temperature)
        theirs = surface_relevancy(field, surface, one, chosen, found.scale)[0]
        sums = torch.zeros(len(index), device=theirs.device).index_add_(0, cells[chosen], theirs)
        filled = count > 0
        results[found.text] = float((sums[filled] / count[filled] - found.relevancy[filled]).abs().mean())
    return results


@torch.no_grad()
def traced_depths(model: Model, pixels: Float[Tensor, "photos 2"]) -> Float[Tensor, " photos"]:
    """Depth of the surface that each training photo shows at its pixel, normalised units; NaN outside the photo, and
    where the light meets nothing. One ray a photo: cheaper than a map of each."""
    photos = torch.tensor(model.scene.train, device=pixels.device)
    inside = torch.nonzero(((pixels >= 0) & (pixels < model.cameras.sizes[photos])).all(-1)).flatten()
    depths = torch.full((len(photos),), torch.nan, device=pixels.device)
    if len(inside):
        rays = model.cameras.rays(photos[inside], pixels[inside])
        stops, matter = stops_and_matter(model.source, rays, model.language.config.samples)
        depths[inside] = torch.where(matter, stops.median_depth, torch.nan)
    return depths
