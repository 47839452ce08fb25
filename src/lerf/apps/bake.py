"""`lerf bake`: an index of a run's surface."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from rich.console import Console
from rich.table import Table
from tyro.conf import arg

from lerf.apps.options import RunOptions
from lerf.apps.progress import TerminalReporter
from lerf.apps.sizes import size_text


@dataclass(frozen=True, kw_only=True)
class Bake(RunOptions):
    """Write an index of a run's surface, RUN/index.safetensors, that answers phrases in milliseconds."""

    source: Literal["field", "lift"] = "field"
    """Where its embeddings come from: the trained language field, or the photos' pyramids averaged over the views."""
    compare: Annotated[tuple[str, ...], arg(metavar="PHRASE [PHRASE ...]", help_behavior_hint="")] = ()
    """Phrases for which to say how far the index's answers are from the field's."""


def bake(command: Bake, console: Console) -> dict[str, Any]:
    """An index beside the run's checkpoints, and what it holds."""
    from lerf.language.bake import agreement, fidelity
    from lerf.language.cells import FILE, save_index

    model = command.open_model()
    index = fidelity(model, _index(command, model, console))
    results = agreement(model, index, command.compare) if command.compare else []
    path = command.run / FILE
    save_index(index, path)
    size, rank = path.stat().st_size, len(index.compressed.basis)
    console.print(
        f"{path}: {len(index)} cells, {len(index.scales)} scales, rank {rank}, {size_text(size)}; mean cosine with the "
        f"field {index.facts.cosine:.3f}.",
        highlight=False,
    )
    if results and not command.json:
        console.print(agreement_table(results))
    return {
        "index": str(path),
        "source": command.source,
        "cells": len(index),
        "scales": [scale / model.scene.similarity.scale for scale in index.scales.tolist()],
        "rank": rank,
        "bytes": size,
        "cosine": index.facts.cosine,
        "lowest_cosine": index.facts.lowest_cosine,
        "agreement": {
            result.text: {
                "difference": result.difference, "distance": result.distance, "scale_ratio": result.scale_ratio,
            }
            for result in results
        },
    }  # fmt: skip


def _index(command: Bake, model: Any, console: Console) -> Any:
    """The index from the source asked for."""
    from lerf.files import sha256_of
    from lerf.language.bake import bake as bake_field
    from lerf.language.lift import Ground, lift, training_pyramids
    from lerf.language.lifted import trained_field
    from lerf.run.folder import RunFolder

    field = trained_field(model.language)
    if command.source == "field":
        return bake_field(model, sha256_of(command.run / "language.safetensors"))
    settings = RunFolder(command.run).read_config()["settings"]
    reporter = TerminalReporter(console)
    reporter.begin("pyramids", len(model.scene.train))
    try:
        targets, factors = training_pyramids(model, settings, lambda done, _: reporter.advance(done))
    finally:
        reporter.close()
    return lift(
        Ground.of(model), targets, sha256_of(command.run / "radiance.safetensors"),
        scale_range=field.scale_range, pixel_factors=factors,
    )  # fmt: skip


def agreement_table(results: list[Any]) -> Table:
    """A row for each phrase: how far the index's answer is from the field's."""
    table = Table("phrase", "difference of relevancy", "distance of best points", "ratio of scales")
    for result in results:
        table.add_row(result.text, f"{result.difference:.4f}", f"{result.distance:.3f}", f"{result.scale_ratio:.2f}")
    return table
