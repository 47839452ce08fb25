"""Does a run say of its own training photos what their pyramids say? Language that was smoothed away, or that stands in
the wrong place in 3D, shows here without any label."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import msgspec
import torch
from jaxtyping import Float
from torch import Tensor

from lerf.documents import read_document
from lerf.encoders.rivals import named_things
from lerf.errors import LerfWarning, RunError, SceneError
from lerf.files import is_file, sha256_of, write_json
from lerf.loading import load
from lerf.model import Model
from lerf.pyramids.lookup import PyramidTable
from lerf.pyramids.plan import PyramidOptions
from lerf.pyramids.store import build_pyramids
from lerf.queries.phrases import Phrases
from lerf.queries.rivals import AUTO, seen_things
from lerf.queries.scales import choose_scales
from lerf.run.settings import TrainSettings
from lerf.scenes.scene import Scene
from lerf.stages.originals import read_originals
from lerf.steps import finish

FILE = "agreement.json"
"""Name in a run folder."""
PIXELS = 6000
PHOTOS = 12
"""Training photos that are looked at, at most, evenly spaced."""
LITTLE = 0.75
"""Below this share of agreement evaluation warns; chance is 0.5."""
LARGEST = 1 << 20
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


@dataclass(frozen=True)
class Agreement:
    """How often language in 3D and the pyramids agree on whether a place passes the canonical phrases."""

    found: Share
    """Of the places where the pyramids say that a name passes, the share where the run does."""
    denied: Share
    """Of the others, the share where the run denies it too."""
    names: list[str]
    """What was asked: what the scene shows of the names that the encoder knows."""

    @property
    def share(self) -> float:
        """The mean of both, 0..1; names rarely pass, so that the plain share would be high whatever is found."""
        return (self.found + self.denied) / 2

    @property
    def sentence(self) -> str:
        """For the user."""
        listed = ", ".join(self.names[:4]) + (", ..." if len(self.names) > 4 else "")
        return (
            f"Language in 3D agrees with the photos' own pyramids at {self.share:.0%} of training pixels "
            f"({self.found:.0%} where they see a thing, {self.denied:.0%} elsewhere; {listed})."
        )

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"share": self.share, **asdict(self)}


class _Kept(msgspec.Struct):
    """What a run folder keeps."""

    language: str = ""
    """SHA-256 of the language that was asked; runs of older versions do not say it."""
    found: Share | None = None
    denied: Share | None = None
    names: list[str] = []

    @property
    def agreement(self) -> Agreement | None:
        """None where there was nothing to ask."""
        if self.found is None or self.denied is None:
            return None
        return Agreement(self.found, self.denied, self.names)


def photos_asked(scene: Scene) -> list[int]:
    """The training photos that are looked at."""
    places = torch.linspace(0, len(scene.train) - 1, min(PHOTOS, len(scene.train))).tolist()
    return [scene.train[place] for place in sorted({round(place) for place in places})]


@torch.no_grad()
def measure_agreement(
    model: Model, photos: Sequence[int], targets: PyramidTable, factors: Float[Tensor, "photos 2"], seed: int = 0
) -> Agreement | None:
    """Signs of the margins of names, each at its scale, at random pixels of training photos, in 3D and in the pyramids.

    Args:
        model: a run.
        photos: of its training photos, as indices into its scene.
        targets: their pyramids, in their order.
        factors: size of the pyramids' photos over that of the cameras, (x, y).
        seed: of the pixels.

    Returns:
        None where the scene shows nothing that the encoder has a name for, or no pixel sees a surface.
    """
    phrases = _names_seen(model)
    if phrases is None:
        return None
    scales = finish(choose_scales(model.surfaces.search(), phrases))
    generator = torch.Generator().manual_seed(seed)
    parts = []
    for row, photo in enumerate(photos):
        pixels = torch.rand(PIXELS // len(photos), 2, generator=generator).to(model.device) * model.cameras.sizes[photo]
        ours, kept, unit = _margins_in_3d(model, phrases, scales, photo, pixels)
        ratios = torch.tensor(scales, device=unit.device)[:, None] / unit
        parts.append((ours, _margins_in_photo(targets, phrases, ratios, row, kept * factors[row].to(kept))))
    ours, theirs = (torch.cat([part.flatten() for part in side]) > 0 for side in zip(*parts, strict=True))
    if not bool(theirs.any()) or bool(theirs.all()):
        return None
    found, denied = float(ours[theirs].float().mean()), float((~ours[~theirs]).float().mean())
    return Agreement(found, denied, list(phrases.texts))


def check_agreement(folder: Path, settings: TrainSettings, scene: Scene, offline: bool = False) -> Agreement | None:
    """`measure_agreement` of a run that was trained on a scene, kept in its folder: of the same language it is measured
    once, so that a training that was killed before that makes up for it. None too where language learnt from masks and
    not from pyramids.

    Raises:
        RunError: what is kept is damaged.
    """
    path, language = folder / FILE, sha256_of(folder / "language.safetensors")
    kept = _read(path)
    if kept is not None and kept.language == language:
        return kept.agreement
    path.unlink(missing_ok=True)
    if settings.masks is not None:
        return None
    found = _measured(folder, settings, scene, offline)
    write_json(path, {"language": language, **({} if found is None else found.to_dict())})
    return found


def _measured(folder: Path, settings: TrainSettings, scene: Scene, offline: bool) -> Agreement | None:
    """`measure_agreement` of a run in a folder, by pyramids of its photos at their own size."""
    model = load(folder, offline=offline, device=settings.device)
    try:
        sharp = read_originals(settings, scene) if settings.downscale else scene
    except SceneError:
        sharp = scene  # as the training did, which has said so
    place = {photo.name: number for number, photo in enumerate(sharp.photos)}
    photos = photos_asked(model.scene)
    rows = [place[model.scene.photos[photo].name] for photo in photos]
    options = PyramidOptions(settings.features, settings.tile_ratios, settings.border)
    store = build_pyramids([partial(sharp.pixels, row) for row in rows], model.encoder, options, device=settings.device)
    sizes = torch.tensor([[sharp.photos[row].camera.width, sharp.photos[row].camera.height] for row in rows])
    factors = sizes / model.cameras.sizes[photos].cpu()
    return measure_agreement(model, photos, PyramidTable.from_store(store, device=settings.device), factors)


def _names_seen(model: Model) -> Phrases | None:
    """What a scene shows of what its encoder can name, against the canonical phrases alone."""
    bar = model.phrases("object", [text for text in model.defaults.canonical if text != AUTO] or None)
    things = named_things(model.encoder)
    seen = seen_things(model.surfaces.search(), things, bar.canonical)
    if len(seen) == 0:
        return None
    names = tuple(things.names[index] for index in seen.tolist())
    vectors = things.vectors[seen.to(things.vectors.device)].to(bar.canonical)
    return Phrases(names, vectors, bar.canonical, bar.temperature)


def _margins_in_3d(
    model: Model, phrases: Phrases, scales: Sequence[float], photo: int, pixels: Float[Tensor, "pixels 2"]
) -> tuple[Float[Tensor, "phrases kept"], Float[Tensor, "kept 2"], Float[Tensor, " kept"]]:
    """Logarithmic odds of each phrase at its scale at the pixels of a photo that see a surface; these pixels; and the
    height in normalised units of a tile of ratio 1 there."""
    index = torch.full((len(pixels),), photo, device=pixels.device)
    rays = model.radiance.trace(model.cameras, index, pixels, model.language.samples)
    latent = model.language.encode(rays)
    keep = rays.hit & latent.supported
    odds = []
    for row, scale in enumerate(scales):
        own = phrases.chosen([row])
        odds.append(own.odds(model.language.cosines(latent[keep], own.vectors, scale)))
    unit = rays.median_depth[keep] * model.cameras.sizes[photo, 1] / model.cameras.focal[photo, 1]
    return torch.cat(odds), pixels[keep], unit


def _margins_in_photo(
    targets: PyramidTable,
    phrases: Phrases,
    ratios: Float[Tensor, "phrases pixels"],
    row: int,
    pixels: Float[Tensor, "pixels 2"],
) -> Float[Tensor, "phrases pixels"]:
    """The same in the pyramid of a photo, at these tile ratios or the closest that it has."""
    odds = []
    rows = torch.full((len(pixels),), row, device=pixels.device)
    for phrase, ratio in enumerate(ratios.clamp(float(targets.ratios[0]), float(targets.ratios[-1]))):
        own = phrases.chosen([phrase])
        odds.append(own.odds((targets.interpolate(rows, pixels, ratio, renormalise=True) @ own.vectors.T).T))
    return torch.cat(odds)


def warn_of_little(folder: Path) -> None:
    """Warn where a run's training found that its language is not what its photos say (`FILE`).

    Raises:
        RunError: what is kept is damaged.
    """
    kept = _read(folder / FILE)
    told = None if kept is None else kept.agreement
    if told is not None and told.share < LITTLE:
        warnings.warn(
            f"The run's maps are worse than its own pyramids on training views. {told.sentence} Its scores measure "
            "that more than the encoder.",
            LerfWarning,
            stacklevel=3,
        )


def _read(path: Path) -> _Kept | None:
    return read_document(path, _Kept, error=RunError, remedy="delete it", largest=LARGEST) if is_file(path) else None
