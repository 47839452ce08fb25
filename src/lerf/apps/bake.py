"""`lerf bake`: an index of a run's surface."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from rich.console import Console
from tyro.conf import arg

from lerf.apps.checks import check_cache, check_folder
from lerf.apps.options import RunOptions
from lerf.apps.progress import TerminalReporter
from lerf.apps.sizes import size_text
from lerf.apps.tables import Listing, show
from lerf.errors import QueryError
from lerf.ranges import Words


@dataclass(frozen=True, kw_only=True)
class Bake(RunOptions):
    """Write an index of a run's surface, RUN/index.safetensors, that answers phrases in milliseconds."""

    source: Literal["field", "lift"] = "field"
    """Where its embeddings come from: the trained language field, or the photos' pyramids averaged over the views."""
    compare: Annotated[tuple[Words, ...], arg(metavar="PHRASE [PHRASE ...]", help_behavior_hint="")] = ()
    """Phrases for which to say how far the index's answers are from the field's."""

    def check(self) -> None:
        check_folder(self.run, "RUN")
        if self.source == "lift":
            check_cache()


def bake(command: Bake, console: Console) -> dict[str, Any]:
    """An index beside the run's checkpoints, and what it holds."""
    from lerf.language.bake import with_fidelity
    from lerf.language.cell_language import index_of
    from lerf.language.cells import FILE, save_index
    from lerf.run.folder import RunFolder

    model = command.open_model(console)
    if index_of(model.language) is not None:
        raise QueryError(
            "The run's language was lifted from the photos and is an index already; train it with --language field in "
            "a new folder for a field to bake or to compare with."
        )
    path = command.run / FILE
    with RunFolder(command.run).written("copy the run and bake the copy"):
        surface = model.surface
        index = with_fidelity(_index(command, model, console), surface.rays, surface.latent, model.language)
        save_index(index, path)
    agreements = agreement(model, command.compare) if command.compare else {}
    size, rank = path.stat().st_size, len(index.compressed.basis)
    console.print(
        f"{path}: {len(index)} cells, {len(index.scales)} scales, rank {rank}, {size_text(size)}; mean cosine with the "
        f"field {index.provenance.cosine:.3f}.",
    )
    if agreements and not command.json:
        show(console, agreement_table(agreements))
    return {
        "index": str(path),
        "encoder": model.encoder.name,
        "source": command.source,
        "cells": len(index),
        "scales": [scale / model.photos.unit for scale in index.scales.tolist()],
        "rank": rank,
        "bytes": size,
        "cosine": index.provenance.cosine,
        "lowest_cosine": index.provenance.lowest_cosine,
        "agreement": agreements,
    }


def _index(command: Bake, model: Any, console: Console) -> Any:
    """The index from the source asked for."""
    from lerf.files import sha256_of
    from lerf.language.bake import bake as bake_field
    from lerf.language.lift import LiftInputs, lift
    from lerf.radiance.surface import trace_surface
    from lerf.run.folder import RunFolder
    from lerf.stages.training_pyramids import training_pyramids
    from lerf.steps import finish

    surface, language = model.surface, model.language
    if command.source == "field":
        checkpoint = sha256_of(command.run / "language.safetensors")
        return bake_field(surface.rays, surface.latent, language, model.encoder, checkpoint)
    settings = RunFolder(command.run).read_config()["settings"]
    reporter = TerminalReporter(console)
    reporter.begin("pyramids", len(model.scene.train))
    try:
        targets, factors = training_pyramids(
            command.run, model.scene, model.encoder, settings, model.device, lambda done, _: reporter.advance(done)
        )
    finally:
        reporter.close()
    train, samples = model.scene.train, language.samples
    traced = finish(trace_surface(model.radiance, model.cameras, train, samples))
    inputs = LiftInputs(traced, model.radiance, model.cameras, train, samples, model.encoder)
    return lift(
        inputs, targets, sha256_of(command.run / "radiance.safetensors"),
        scale_range=(float(language.scales[0]), float(language.scales[-1])), pixel_factors=factors,
    )  # fmt: skip


def agreement(model: Any, texts: tuple[str, ...]) -> dict[str, dict[str, float]]:
    """By phrase, how far the index's answer is from the field's: the mean absolute difference of relevancy in the
    cells, the distance between the most relevant points in capture units, and the index's scale over the field's."""
    from lerf.steps import finish

    phrases = model.phrases(texts)
    index = model.surfaces.index("require")
    of_cells, of_field = (finish(model.answer(phrases, index=use)) for use in ("require", "ignore"))
    differences = model.surfaces.differences(index, phrases, of_cells)
    cells, surface = model.surfaces.open("require").positions, model.surface.positions
    results = {}
    for ours, theirs in zip(of_cells, of_field, strict=True):
        apart = (cells[ours.relevancy.argmax()] - surface[theirs.relevancy.argmax()]).norm()
        results[ours.answer.text] = {
            "difference": differences[ours.answer.text],
            "distance": float(apart) / model.photos.unit,
            "scale_ratio": ours.scale / theirs.scale,
        }
    return results


def agreement_table(results: dict[str, dict[str, float]]) -> Listing:
    """A row for each phrase."""
    table = Listing(("phrase", "difference of relevancy", "distance of best points", "ratio of scales"))
    for text, row in results.items():
        table.add(text, f"{row['difference']:.4f}", f"{row['distance']:.3f}", f"{row['scale_ratio']:.2f}")
    return table
