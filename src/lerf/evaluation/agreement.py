"""Does a run say of its own training photos what their pyramids say? Language that was smoothed away, or that stands in
the wrong place in 3D, shows here without any label."""

from __future__ import annotations

import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lerf.documents import read_document
from lerf.encoders.rivals import named_things
from lerf.errors import LerfWarning, RunError
from lerf.files import is_file, write_json
from lerf.loading import load
from lerf.model import Model
from lerf.pyramids.lookup import PyramidTable
from lerf.queries.phrases import Phrases
from lerf.queries.rivals import AUTO, seen_things
from lerf.queries.scales import choose_scales
from lerf.run.settings import TrainSettings
from lerf.stages.training_pyramids import training_pyramids
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


@torch.no_grad()
def measure_agreement(
    model: Model, targets: PyramidTable, factors: Float[Tensor, "photos 2"], seed: int = 0
) -> Agreement | None:
    """Signs of the margins of names, each at its scale, at random pixels of training photos, in 3D and in the pyramids.

    Args:
        model: a run.
        targets: pyramids of its training photos, in their order.
        factors: size of the pyramids' photos over that of the cameras, (x, y).
        seed: of the pixels.

    Returns:
        None where the scene shows nothing that the encoder has a name for, or no pixel sees a surface.
    """
    phrases = _names_seen(model)
    if phrases is None:
        return None
    scales = torch.tensor(finish(choose_scales(model.surfaces.search(), phrases)), device=model.device)
    train = model.scene.train
    chosen = sorted({round(place) for place in torch.linspace(0, len(train) - 1, min(PHOTOS, len(train))).tolist()})
    generator = torch.Generator().manual_seed(seed)
    parts = []
    for number in chosen:
        size = model.cameras.sizes[train[number]]
        pixels = torch.rand(PIXELS // len(chosen), 2, generator=generator).to(model.device) * size
        parts.append(_signs(model, targets, phrases, scales, number, pixels, factors[number].to(model.device)))
    ours, theirs = (torch.cat(side) for side in zip(*parts, strict=True))
    if not bool(theirs.any()) or bool(theirs.all()):
        return None
    found, denied = float(ours[theirs].float().mean()), float((~ours[~theirs]).float().mean())
    return Agreement(found, denied, list(phrases.texts))


def check_agreement(folder: Path, settings: TrainSettings, offline: bool = False) -> Agreement | None:
    """`measure_agreement` of a run that has just been trained, kept in its folder."""
    model = load(folder, offline=offline, device=settings.device)
    targets, factors = training_pyramids(folder, model.scene, model.encoder, settings, settings.device)
    found = measure_agreement(model, targets, factors)
    if found is None:
        (folder / FILE).unlink(missing_ok=True)
    else:
        write_json(folder / FILE, found.to_dict())
    return found


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


def _signs(
    model: Model,
    targets: PyramidTable,
    phrases: Phrases,
    scales: Float[Tensor, " phrases"],
    number: int,
    pixels: Float[Tensor, "pixels 2"],
    factor: Float[Tensor, " 2"],
) -> tuple[Bool[Tensor, " pairs"], Bool[Tensor, " pairs"]]:
    """Whether each name passes at pixels of a training photo that see a surface: in 3D, and in the photo's pyramid at
    the tile height that the name's scale has there."""
    cameras, photo, language = model.cameras, model.scene.train[number], model.language
    index = torch.full((len(pixels),), photo, device=pixels.device)
    rays = model.radiance.trace(cameras, index, pixels, language.samples)
    latent = language.encode(rays)
    keep = rays.hit & latent.supported
    latent, pixels = latent[keep], pixels[keep] * factor
    unit = rays.median_depth[keep] * cameras.sizes[photo, 1] / cameras.focal[photo, 1]
    targets.load(number)
    rows = torch.full((len(pixels),), number, device=pixels.device)
    ours, theirs = [], []
    for row, scale in enumerate(scales.tolist()):
        own = phrases.chosen([row])
        ours.append(own.odds(language.cosines(latent, own.vectors, scale))[0] > 0)
        ratio = (scale / unit).clamp(float(targets.ratios[0]), float(targets.ratios[-1]))
        cells = targets.interpolate(rows, pixels, ratio, renormalise=True)
        theirs.append(own.odds((cells @ own.vectors.T).T)[0] > 0)
    return torch.cat(ours), torch.cat(theirs)


def warn_of_little(folder: Path) -> None:
    """Warn where a run's training found that its language is not what its photos say (`FILE`)."""
    path = folder / FILE
    if not is_file(path):
        return
    told = read_document(path, Agreement, error=RunError, remedy="delete it", largest=LARGEST)
    if told.share < LITTLE:
        warnings.warn(
            f"The run's maps are worse than its own pyramids on training views. {told.sentence} Its scores measure "
            "that more than the encoder.",
            LerfWarning,
            stacklevel=3,
        )
