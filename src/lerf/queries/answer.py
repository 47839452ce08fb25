"""Where phrases are in a scene: one rule of scale, presence, regions and best view, whatever surface and language."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from lerf.errors import RunError
from lerf.geometry.extent import robust_extent
from lerf.geometry.visibility import depths_at, unoccluded
from lerf.queries.best_view import best_view
from lerf.queries.instances import answering_regions
from lerf.queries.photo_cameras import PhotoCameras
from lerf.queries.phrases import Phrases, presence
from lerf.queries.refined import TRAIN_AGAIN, relevancy_of_surface
from lerf.queries.result import Answer, Geometry, Instance, Vector
from lerf.queries.scales import choose_scales
from lerf.queries.surface import DepthMaps, Surface
from lerf.steps import Steps, finish

InPhoto = tuple[str | None, tuple[float, float] | None]
"""Name of a photo and a pixel of its file, or neither."""


@dataclass(frozen=True)
class AnswerSettings:
    """What an answer depends on besides the scene and the phrases."""

    threshold: float
    """Relevancy from which a phrase counts as present."""
    scales: tuple[float | None, ...] = ()
    """For each phrase the scale that it is asked at, normalised units; None, or nothing, for the one that answers
    best."""


@dataclass(frozen=True)
class PhraseAnswer:
    """The answer to one phrase with what it was found in."""

    answer: Answer
    """Capture frame."""
    scale: float
    """At which the phrase was asked, normalised units."""
    relevancy: Float[Tensor, " points"]
    """Of the surface's points at that scale, propagated along the surface: what every picture shows."""
    raw: Float[Tensor, " points"]
    """The same as language has it, before the propagation."""
    members: tuple[Int[Tensor, " _members"], ...]
    """Points of each instance, as indices into the surface's."""


def answer(surface: Surface, phrases: Phrases, cameras: PhotoCameras, settings: AnswerSettings) -> list[PhraseAnswer]:
    """Where phrases are, if they are; see `answer_steps`."""
    return finish(answer_steps(surface, phrases, cameras, settings))


@torch.no_grad()
def answer_steps(
    surface: Surface, phrases: Phrases, cameras: PhotoCameras, settings: AnswerSettings
) -> Steps[list[PhraseAnswer]]:
    """Where phrases are, if they are, in the order of the phrases.

    Args:
        surface: points that answer, and the language that was read there.
        phrases: embedded.
        cameras: of the photos; the training photos say what shows an answer best.
        settings: threshold and scales.

    Raises:
        RunError: nothing on the surface can answer, or what the run holds gives numbers that are not finite.
    """
    wanted = settings.scales or (None,) * len(phrases)
    open_rows = [row for row, scale in enumerate(wanted) if scale is None]
    best = (yield from choose_scales(surface.scale_search, phrases.chosen(open_rows))) if open_rows else []
    found_scales = iter(best)
    scales = [next(found_scales) if scale is None else scale for scale in wanted]
    relevancy = yield from relevancy_of_surface(surface, phrases, scales)
    answers = []
    for row, text in enumerate(phrases.texts):
        raw, refined = relevancy.raw[row], relevancy.refined[row]
        own = PhraseAnswer(Answer(text, presence(raw)), scales[row], refined, raw, ())
        if own.answer.relevancy >= settings.threshold:
            own = _located(surface, own, cameras, settings.threshold)
        known = phrases.known[row] if phrases.known else None
        answers.append(replace(own, answer=replace(own.answer, known=known)))
        yield
    return answers


def _located(surface: Surface, own: PhraseAnswer, cameras: PhotoCameras, threshold: float) -> PhraseAnswer:
    """The answer to a phrase that is present, with its instances."""
    raw, score = own.raw, own.answer.relevancy
    regions = answering_regions(surface.contracted, raw, score, threshold, surface.join_size, own.relevancy)
    # Where only scattered points pass, the best of them is the answer.
    best = raw.argmax()
    found = [(region.best, region.indices) for region in regions] or [(int(best), best[None])]
    scales = surface.latent[torch.tensor([at for at, _ in found])].nearest_scale(own.scale).tolist()
    views = _best_views(surface.positions[[at for at, _ in found]], surface.depth_maps, cameras)
    instances = tuple(
        Instance(float(raw[at]), _geometry(surface, at, members, scale, cameras, view))
        for (at, members), scale, view in zip(found, scales, views, strict=True)
    )
    answer = replace(own.answer, geometry=instances[0].geometry, instances=instances)
    return replace(own, answer=answer, members=tuple(members for _, members in found))


def _geometry(
    surface: Surface, best: int, members: Int[Tensor, " members"], scale: float, cameras: PhotoCameras, view: InPhoto
) -> Geometry:
    """A region in the capture frame, with the photo that shows its best point best; `scale` in normalised units."""
    position, to_capture = surface.positions[best], cameras.scene.similarity.inverse()
    # The frames differ by a rotation: an extent along the capture's axes needs the points, not a box around them.
    captured = torch.from_numpy(to_capture.apply_points(surface.positions[members].cpu().numpy()))
    point = to_capture.apply_points(position.cpu().numpy()[None])[0]
    low, high = robust_extent(captured, torch.from_numpy(point))
    extent = (_vector(low.numpy()), _vector(high.numpy()))
    numbers = (*_vector(point), *extent[0], *extent[1], scale / cameras.unit)
    if not all(map(math.isfinite, numbers)):
        raise RunError(f"The run's frame puts an answer at no finite place; {TRAIN_AGAIN}.")
    return Geometry(_vector(point), scale / cameras.unit, extent, *view)


def _best_views(positions: Float[Tensor, "points 3"], depth_maps: DepthMaps, cameras: PhotoCameras) -> list[InPhoto]:
    """For each point the name of the training photo that shows it best, and the pixel of the original file; None and
    None where none does."""
    scene, table = cameras.scene, cameras.table
    photos = list(scene.train)
    pixel, depth = table.project_into(photos, positions)
    surface = depths_at([depth_maps[photo] for photo in photos], table.sizes[photos], pixel)
    sizes, focal = table.sizes[photos].float(), table.focal[photos, 1]
    views: list[InPhoto] = []
    for number in range(len(positions)):
        visible = unoccluded(depth[:, number], surface[:, number])
        found = best_view(pixel[:, number], depth[:, number], visible, sizes, focal)
        x, y = (math.nan, math.nan) if found is None else scene.to_original_pixel(photos[found.photo], *found.pixel)
        # The lens may bend the point out of the original file.
        seen = found is not None and math.isfinite(x) and math.isfinite(y)
        views.append((scene.photos[photos[found.photo]].name, (float(x), float(y))) if found and seen else (None, None))
    return views


def _vector(values: np.ndarray) -> Vector:
    x, y, z = (float(value) for value in values)
    return x, y, z
