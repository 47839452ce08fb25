"""Are the weights of encoders on this machine? Asked before any work, so that none is begun that cannot be ended."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lerf.encoders.download import Progress
from lerf.encoders.hub import SINGLE_FILES, fetch, find_local, why_not
from lerf.encoders.missing import MissingWeightsError, is_installed, other_encoder
from lerf.encoders.published import OF_THE_HUB, PUBLISHED, family_of
from lerf.encoders.registry import split_options
from lerf.errors import EncoderError
from lerf.files import is_folder

Fetching = Callable[[str], Progress | None]
"""Told the name of a model that is going to be fetched, it gives what hears how far that is."""


@dataclass(frozen=True)
class Needed:
    """An encoder that work needs."""

    name: str
    """As in the registry."""
    weights: Path | None = None
    """Where its weights are instead of their own place."""
    instead: str = ""
    """What can be done without it, in the imperative."""


def encoders_of(encoder: str, dense: str, weights: Path | None, masks: str | None = None) -> list[Needed]:
    """The encoders of a training, with the ways on without them; `dense` may be `none`. `masks` is what makes masks, as
    `sam:ID`."""
    needed = [Needed(encoder, weights, other_encoder())]
    if split_options(encoder)[1].get("attention") == "proxyclip":
        needed.append(Needed("dino", None, "take another attention than proxyclip"))
    if dense != "none":
        needed.append(Needed(dense, None, "leave the regulariser out with --dense none"))
    return needed if masks is None else [*needed, Needed(masks, None, "leave --masks out")]


def require_weights(needed: Sequence[Needed], offline: bool, fetching: Fetching = lambda name: None) -> None:
    """Make sure that the weights of encoders are on this machine; those of the hub are fetched where that may be.

    Args:
        needed: the encoders.
        offline: forbid downloads.
        fetching: hears what is fetched.

    Raises:
        MissingWeightsError: some are not here and cannot be fetched; one sentence for all.
        EncoderError: a package that they need is missing.
    """
    lacking: list[tuple[str, Needed]] = []
    for one in needed:
        model = None if one.weights else model_of(one.name)
        if model is None or model in (other for other, _ in lacking):
            continue
        if not is_installed("transformers"):
            way = f", or {one.instead}" if one.instead else ""
            raise EncoderError(f"{one.name} needs the package transformers: run pip install 'lerf[clip]'{way}.")
        if find_local(model, wanted=_files_of(one.name)) is None:
            lacking.append((model, one))
    if not lacking:
        return
    models, instead = [model for model, _ in lacking], lacking[0][1].instead
    if why := why_not(offline):
        raise MissingWeightsError(models, why, instead)
    for place, (model, one) in enumerate(lacking):
        try:
            fetch(model, fetching(one.name), _files_of(one.name))
        except MissingWeightsError as error:
            raise MissingWeightsError(models[place:], error.why, one.instead) from error


def model_of(name: str) -> str | None:
    """The model of the hub whose weights an encoder takes; None for one that takes none, or a folder's."""
    plain, _ = split_options(name)
    family, _, variant = plain.partition(":")
    if not variant:
        return PUBLISHED[family].model if family in PUBLISHED else None
    if family == "openclip":
        from lerf.encoders.open_clip_zoo import repository_of

        return repository_of(variant)
    return variant if family in OF_THE_HUB and not is_folder(Path(variant).expanduser()) else None


def fetch_model(name: str, progress: Progress | None = None, cache: Path | None = None) -> Path:
    """Fetch the weights of an encoder by its name, or a model by its id on the hub.

    The hub is asked even where they are there: another program may have brought the weights without the words. What is
    whole is not fetched again; where the hub may not or cannot be asked, what is there counts.

    Args:
        name: `openclip`, `dino:ID`, ..., or an id.
        progress: hears how far it is.
        cache: folder to fetch into instead of the hub's local cache.

    Returns:
        the folder where they lie.

    Raises:
        EncoderError: it takes no weights of the hub, or they cannot be fetched.
    """
    model = name if "/" in name and ":" not in name else model_of(name)
    if model is None:
        raise EncoderError(
            f"There is nothing on the hub for '{name}'; name one of {', '.join(PUBLISHED)}, or ORGANISATION/NAME."
        )
    wanted = _files_of(name)
    found = find_local(model, None, wanted, cache)
    try:
        if why := why_not(False):
            raise MissingWeightsError([model], why)
        return fetch(model, progress, wanted, cache).folder
    except MissingWeightsError:
        if found is None:
            raise
        return found.folder


def _files_of(name: str) -> Sequence[str]:
    """Names that the weights of an encoder may have, best first."""
    if family_of(name) == "openclip" and ":" in name:
        from lerf.encoders.open_clip_zoo import WEIGHTS

        return WEIGHTS
    return SINGLE_FILES
