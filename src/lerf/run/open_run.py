"""Fields, language and index of a run folder, as the protocols that everything else stands on."""

from __future__ import annotations

import typing
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from torch import Tensor

from lerf.documents import converted
from lerf.encoders.protocols import ImageTextEncoder
from lerf.encoders.registry import load_encoder
from lerf.errors import EncoderError, LerfWarning, QueryError, RunError, SceneError
from lerf.files import is_file, sha256_of
from lerf.geometry.similarity import Similarity
from lerf.language.cell_language import CellLanguage
from lerf.language.cells import FILE, CellIndex, index_from_state, load_index
from lerf.language.deferred import DeferredLanguage
from lerf.language.field import LanguageField
from lerf.language.gaussian_language import GaussianLanguage
from lerf.language.per_sample import PerSampleLanguage
from lerf.language.protocol import LanguageSource
from lerf.radiance.hash_grid.config import RadianceConfig
from lerf.radiance.hash_grid.field import RadianceField
from lerf.radiance.hash_grid.radiance import HashGridRadiance
from lerf.radiance.nerfacto.config import NerfactoConfig
from lerf.radiance.nerfacto.layout import check_tensors
from lerf.radiance.nerfacto.radiance import NerfactoRadiance
from lerf.radiance.protocol import Radiance
from lerf.radiance.splats.gaussians import Gaussians
from lerf.radiance.splats.radiance import SplatRadiance
from lerf.radiance.splats.state import SPLAT, splats_from_state
from lerf.run.differences import Difference
from lerf.run.folder import RunFolder
from lerf.run.settings import TrainSettings
from lerf.scenes.scene import Scene
from lerf.splats.splats import Splats

IndexUse = Literal["auto", "require", "ignore"]
"""Whether a query answers from the baked index: where a fresh one is there, always, or never."""
USES: tuple[IndexUse, ...] = ("auto", "require", "ignore")
TRAIN_AGAIN = "delete it and run 'lerf train' again"
NERFACTO = "nerfacto"
"""Fact of a radiance that nerfstudio trained: its `NerfactoConfig`, and the capture frame to that of its training."""
BAKED_FROM = {
    "field": "language.safetensors", "lift": "radiance.safetensors", "gaussians": "radiance.safetensors",
}  # fmt: skip
"""Checkpoint whose hash an index carries."""
BOUNDS = "bounds"
"""Fact of a radiance: near and far, normalised units, where sparse points gave them."""
Width = Annotated[int, msgspec.Meta(ge=0, le=65_536)]
_Distance = Annotated[float, msgspec.Meta(gt=0, le=1_000_000)]


class Bounds(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Near and far of a radiance, normalised units."""

    near: _Distance
    far: _Distance


class _Widths(msgspec.Struct):
    """What the header of a language field says of its sizes, before memory is taken for them."""

    width: Width = 1
    dense_width: Width = 0


def open_radiance(folder: RunFolder, settings: TrainSettings, scene: Scene, device: str) -> Radiance:
    """The finished radiance of a run.

    Raises:
        RunError: missing or unfinished.
    """
    if is_splat(folder):
        return SplatRadiance(Gaussians.of(open_splats(folder).moved(scene.similarity), device))
    if NERFACTO in (folder.read_facts("radiance") or {}):
        return _nerfacto(folder, scene, device)
    return HashGridRadiance(open_radiance_field(folder, settings, scene, device))


def is_splat(folder: RunFolder) -> bool:
    """Whether a run's radiance is a splat; False where there is none yet.

    Raises:
        RunError: its checkpoint is damaged.
    """
    return SPLAT in (folder.read_facts("radiance") or {})


def open_splats(folder: RunFolder) -> Splats:
    """The splat of a run, in the capture frame.

    Raises:
        RunError: missing or damaged, or the run's radiance is none.
    """
    tensors, facts = folder.load_stage("radiance")
    if SPLAT not in facts:
        raise RunError(
            f"The radiance of {folder.path} is no splat; give a run that 'lerf train --radiance' made of one."
        )
    return splats_from_state(tensors, facts[SPLAT], str(folder.path / "radiance.safetensors"), TRAIN_AGAIN)


def open_radiance_field(folder: RunFolder, settings: TrainSettings, scene: Scene, device: str) -> RadianceField:
    """The field of a run's finished radiance.

    Raises:
        RunError: missing, unfinished or damaged.
    """
    tensors, facts = folder.load_stage("radiance")
    _check_finished(folder, "radiance", facts)
    sizes = with_bounds(settings.radiance.for_background(scene.background), facts, str(folder.path))
    field = folder.restore_field("radiance", lambda: RadianceField(sizes, len(scene.train)), tensors)
    return typing.cast(RadianceField, field.to(device).eval())


def with_bounds(sizes: RadianceConfig, facts: Mapping[str, Any], where: str) -> RadianceConfig:
    """Sizes with the near and far that sparse points gave a radiance, as its checkpoint's facts have them.

    Raises:
        RunError: they are no distances.
    """
    if BOUNDS not in facts:
        return sizes
    bounds = converted(facts[BOUNDS], Bounds, where, error=RunError, remedy=TRAIN_AGAIN)
    if bounds.near >= bounds.far:
        raise RunError(f"The radiance of {where} begins behind its end; {TRAIN_AGAIN}.")
    return replace(sizes, near=bounds.near, far=bounds.far)


def open_language(folder: RunFolder, settings: TrainSettings, device: str) -> LanguageSource:
    """The finished language of a run: a trained field with its estimator, or the index that was lifted.

    Raises:
        RunError: missing, unfinished or damaged, or lifted onto another radiance.
    """
    tensors, facts = folder.load_stage("language")
    _check_finished(folder, "language", facts)
    if "index" in facts:
        index = _lifted_index(folder, tensors, facts, device)
        kind = GaussianLanguage if index.provenance.source == "gaussians" else CellLanguage
        return kind(index, settings.language.samples)
    path = str(folder.path / "language.safetensors")
    widths = converted(facts, _Widths, path, error=RunError, remedy=TRAIN_AGAIN)
    field = folder.restore_field(
        "language", lambda: LanguageField(settings.language, widths.width, widths.dense_width, (1.0, 2.0)), tensors
    )
    return source_of(typing.cast(LanguageField, field.to(device).eval()))


def source_of(field: LanguageField) -> LanguageSource:
    """A trained field as a language source, by its estimator."""
    return DeferredLanguage(field) if field.config.estimator == "deferred" else PerSampleLanguage(field)


def open_encoder(folder: RunFolder, config: dict[str, Any], weights: Path | None, offline: bool, device: str) -> Any:
    """The encoder that a run was trained with.

    Raises:
        EncoderError: its weights are missing or others.
    """
    settings: TrainSettings = config["settings"]
    given = weights or (Path(settings.weights) if settings.weights else None)
    encoder = load_encoder(settings.encoder, given, offline, device)
    if encoder.fingerprint != config["encoder_fingerprint"]:
        told = Difference(f"'{settings.encoder}'", config["encoder_fingerprint"], encoder.fingerprint)
        raise EncoderError(
            f"{folder.path} was trained with other weights of {told}; give the same ones with --weights."
        )
    return encoder


def open_index(folder: Path | None, encoder: ImageTextEncoder, device: str, use: IndexUse) -> CellIndex | None:
    """The baked index of a run that a query answers from, or None where it should ask the run's language.

    One that is damaged or of another state of the run is not used: with `auto` that is a warning.

    Raises:
        QueryError: `use` is none of `USES`.
        RunError: with `require`, when there is none or it cannot be used.
    """
    if use not in USES:
        raise QueryError(f"An index is used 'auto', 'require' or 'ignore', not {use!r}.")
    path = None if folder is None else folder / FILE
    if use == "ignore" or (use == "auto" and (path is None or not is_file(path))):
        return None
    if path is None or folder is None:
        raise RunError("An index lies in a run's folder, and this model has none; open one with lerf.load.")
    try:
        index = load_index(path, encoder, device=device)
        if sha256_of(folder / BAKED_FROM[index.provenance.source]) != index.provenance.checkpoint:
            raise RunError(f"{path} was made from another state of the run; make it again with 'lerf bake'.")
    except RunError as error:
        if use == "require":
            raise
        warnings.warn(f"The field answers, not the index. {error}", LerfWarning, stacklevel=2)
        return None
    return index


def _nerfacto(folder: RunFolder, scene: Scene, device: str) -> NerfactoRadiance:
    tensors, facts = folder.load_stage("radiance")
    _check_finished(folder, "radiance", facts)
    fact = facts[NERFACTO]
    path = str(folder.path / "radiance.safetensors")
    config = converted(fact.get("config"), NerfactoConfig, path, error=RunError, remedy=TRAIN_AGAIN)
    check_tensors(tensors, config, path)
    try:
        frame = Similarity.from_dict(fact["frame"])
    except (KeyError, SceneError) as problem:
        raise RunError(f"{path} is damaged ({problem}); {TRAIN_AGAIN}.") from None
    to_theirs = frame.after(scene.similarity.inverse())
    return NerfactoRadiance(config, {name: tensor.to(device) for name, tensor in tensors.items()}, to_theirs)


def _lifted_index(folder: RunFolder, tensors: dict[str, Tensor], facts: dict[str, Any], device: str) -> CellIndex:
    path = folder.path / "language.safetensors"
    placed = {name: tensor.to(device) for name, tensor in tensors.items()}
    index = index_from_state(placed, facts["index"], str(path), TRAIN_AGAIN)
    if sha256_of(folder.path / BAKED_FROM["lift"]) != index.provenance.checkpoint:
        raise RunError(f"{path} was lifted onto another radiance; {TRAIN_AGAIN}.")
    return index


def _check_finished(folder: RunFolder, stage: str, facts: dict[str, Any]) -> None:
    if not facts.get("finished"):
        raise RunError(f"The {stage} training of {folder.path} is not finished; run the same 'lerf train' again.")
