"""`lerf features`: the features that training will learn from, computed ahead and shown in colours."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from rich.console import Console
from torch import Tensor

from lerf.apps.estimate import features_of
from lerf.apps.features import Features
from lerf.apps.names import distinct, file_stem, name_part
from lerf.apps.pictures import write_png
from lerf.apps.progress import TerminalReporter, capture_progress
from lerf.apps.sizes import size_text
from lerf.encoders.protocols import DenseEncoder, FeatureGrid, ImageTextEncoder
from lerf.encoders.published import title_of
from lerf.encoders.ready import encoders_of, require_weights
from lerf.encoders.registry import load_dense_encoder, load_encoder
from lerf.errors import QueryError
from lerf.files import write_json
from lerf.locks import locked_folder, remove_unfinished
from lerf.pyramids.plan import Compute, PyramidOptions, mode_in_use
from lerf.pyramids.store import PyramidStore, build_pyramids
from lerf.rendering.pca import PcaBasis, apply_pca_basis, fit_pca_basis
from lerf.run.device import choose_device
from lerf.run.make_settings import changed, default_preset, preset_settings
from lerf.run.report import downloading
from lerf.run.settings import check_border
from lerf.scenes.load import load_scene
from lerf.scenes.scene import Scene

Job = tuple[str, ImageTextEncoder | DenseEncoder, PyramidOptions]
"""An encoder by the name that it was asked for, and how it embeds."""
SAMPLES = 50_000
"""Cells that the basis of a scene is fitted on."""
LONGEST = 640
"""Longer side of a picture in pixels."""


def features(command: Features, console: Console) -> dict[str, Any]:
    """Compute what the cache lacks, and draw it."""
    device = choose_device(command.device)
    asked = {"encoder": command.encoder, "features": command.features}
    # What training on this device does where it is told nothing else.
    settings = changed(
        preset_settings(default_preset(device)), {name: value for name, value in asked.items() if value is not None}
    )
    name = settings.encoder
    console.print(f"Encoder {title_of(name)}, regulariser {title_of(command.dense)}.")
    reporter = TerminalReporter(console)
    needed = encoders_of(name, command.dense, command.weights)
    require_weights(needed, command.offline, lambda one: downloading(reporter, one))
    with capture_progress() as progress:
        scene = load_scene(command.data, command.downscale, command.missing, progress)
    chosen = _chosen(scene, command.views)
    encoder = load_encoder(name, command.weights, command.offline, device)
    check_border(mode_in_use(encoder, settings.features), command.border)
    jobs: list[Job] = [(name, encoder, PyramidOptions(settings.features, command.tile_ratios, command.border))]
    if command.dense != "none":
        jobs.append((command.dense, load_dense_encoder(command.dense, None, command.offline, device), PyramidOptions()))
    facts: dict[str, Any] = {"data": str(command.data), "photos": [scene.photos[i].name for i in scene.train]}
    with locked_folder(command.output, "choose another --output"):
        remove_unfinished(command.output, "*.png", "*.json")
        results, files = _done(command, scene, chosen, jobs, device, console)
        facts |= {"encoders": results, "files": files}
        write_json(command.output / "features.json", facts)
    console.print(f"{len(files)} pictures in {command.output}")
    return facts


def _done(
    command: Features, scene: Scene, chosen: Sequence[int], jobs: Sequence[Job], device: str, console: Console
) -> tuple[dict[str, Any], list[str]]:
    """Compute and draw the features of each encoder; facts by its name, and the pictures' files."""
    results: dict[str, Any] = {}
    files: list[str] = []
    for asked, one, options in jobs:
        _announce(one, scene, options, console)
        compute = _cluster(command, asked, one, device) if command.ray is not None else None
        store, seconds = _extract(scene, one, options, device, compute, console)
        cells = sum(entry.cells for entry in store.entries)
        results[one.name] = {
            "folder": str(store.folder),
            "fingerprint": store.fingerprint,
            "weights_sha256": getattr(one, "weights_digest", None),
            "licence": getattr(one, "licence", None),
            "mode": store.mode,
            "width": store.width,
            "tile_ratios": list(store.tile_ratios),
            "cells": cells,
            "bytes": 2 * cells * store.width,
            "seconds": round(seconds, 3),
        }
        console.print(
            f"{one.name}: {cells:,} cells of {store.width} numbers, {size_text(2 * cells * store.width)}, in "
            f"{store.folder}; licence of the weights: {getattr(one, 'licence', None) or 'see docs/encoders.md'}.",
        )
        if command.pictures:
            files += _draw(store, scene, chosen, command.output)
    return results, files


def _chosen(scene: Scene, views: Sequence[str] | None) -> list[int]:
    """Places in `scene.train` of the photos to draw."""
    names = [scene.photos[index].name for index in scene.train]
    unknown = [name for name in views or () if name not in names]
    if unknown:
        raise QueryError(f"There is no training photo named {unknown[0]}; names look like {names[0]}.")
    return [names.index(name) for name in dict.fromkeys(views)] if views else list(range(len(names)))


def _announce(
    encoder: ImageTextEncoder | DenseEncoder, scene: Scene, options: PyramidOptions, console: Console
) -> None:
    """What the features will take on disk, before the work starts."""
    sizes = [(scene.photos[i].camera.height, scene.photos[i].camera.width) for i in scene.train]
    count = features_of(encoder.name, sizes, getattr(encoder, "width", None), options.tile_ratios)
    if count:
        console.print(f"{encoder.name}: about {size_text(count)} of features on disk.")


def _cluster(command: Features, name: str, encoder: ImageTextEncoder | DenseEncoder, device: str) -> Compute:
    from lerf.pyramids.cluster import Cluster

    weights = command.weights if isinstance(encoder, ImageTextEncoder) else None
    dense = not isinstance(encoder, ImageTextEncoder)
    address = command.ray[0] if command.ray else None
    return Cluster(name, dense=dense, weights=weights, offline=command.offline, device=device, address=address)


def _extract(
    scene: Scene,
    encoder: ImageTextEncoder | DenseEncoder,
    options: PyramidOptions,
    device: str,
    compute: Compute | None,
    console: Console,
) -> tuple[PyramidStore, float]:
    reporter = TerminalReporter(console)
    reporter.begin(f"features ({encoder.name})", len(scene.train))
    speeds: dict[str, float] = {}
    start = time.perf_counter()
    # Ray reports on standard output, which belongs to --json.
    aside = contextlib.nullcontext() if compute is None else contextlib.redirect_stdout(sys.stderr)
    try:
        with aside:
            store = build_pyramids(
                [partial(scene.pixels, index) for index in scene.train],
                encoder,
                options,
                device=device,
                compute=compute,
                progress=lambda done, _: reporter.advance(done, speeds),
                speed=lambda value: speeds.update(tiles_per_second=value),
            )
    except BaseException:
        reporter.close()
        raise
    seconds = time.perf_counter() - start
    reporter.end(seconds)
    return store, seconds


def scene_basis(store: PyramidStore) -> PcaBasis:
    """One basis for all photos and levels of a store, fitted on cells spread evenly over them."""
    stride = max(1, sum(entry.cells for entry in store.entries) // SAMPLES)
    sample = [np.array(store.features(photo)[photo % stride :: stride]) for photo in range(len(store))]
    return fit_pca_basis(torch.from_numpy(np.concatenate(sample)).float())


def level_picture(basis: PcaBasis, grid: FeatureGrid, height: int, width: int) -> Float[Tensor, "rows columns 3"]:
    """Colours of one level over its photo of `height` x `width` pixels, bilinear between the centres of cells.

    The longer side has at most `LONGEST` pixels.
    """
    scale = min(1.0, LONGEST / max(height, width))
    rows, columns = max(1, round(height * scale)), max(1, round(width * scale))
    y, x = (torch.arange(rows) + 0.5) * height / rows, (torch.arange(columns) + 0.5) * width / columns
    pixels = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)
    return replace(grid, features=apply_pca_basis(basis, grid.features)).at(pixels)


def _draw(store: PyramidStore, scene: Scene, chosen: Sequence[int], output: Path) -> list[str]:
    """A picture for each photo and level; the basis is of all training photos, whichever are drawn."""
    basis = scene_basis(store)
    stems = distinct([file_stem(photo.name) for photo in scene.photos])
    label = name_part(store.encoder)
    files = []
    for slot in chosen:
        entry = store.entries[slot]
        for level, ratio in enumerate(store.tile_ratios):
            name = f"{stems[scene.train[slot]]}_{label}" + (f"_{ratio:g}" if ratio else "")
            path = output / f"{name}.png"
            write_png(path, level_picture(basis, store.grid(slot, level), entry.height, entry.width))
            files.append(str(path))
    return files
