"""`lerf render`: pictures of views. It prints for people and returns plain values for `--json`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

import lerf.model
from lerf.apps import main as cli
from lerf.apps.pictures import (
    PcaBasis,
    accumulation_picture,
    apply_pca_basis,
    centred_picture,
    depth_picture,
    fit_pca_basis,
    normalised_picture,
    raw_picture,
    write_png,
)
from lerf.apps.progress import TerminalReporter
from lerf.apps.render_path import render_path
from lerf.errors import ConfigError, QueryError
from lerf.files import write_atomically, write_json


def _open(command: Any) -> lerf.model.Model:
    return lerf.model.load(command.run, weights=command.weights, offline=command.offline, device=command.device)


def distinct(names: Sequence[str]) -> list[str]:
    """The names in order; one that was there before, in either case of letters, gets the first free number: c, c_2."""
    taken: set[str] = set()
    wanted = {name.casefold() for name in names}
    result = []
    for name in names:
        chosen, number = name, 1
        while chosen.casefold() in taken or (number > 1 and chosen.casefold() in wanted):
            number += 1
            chosen = f"{name}_{number}"
        taken.add(chosen.casefold())
        result.append(chosen)
    return result


def _feature_bases(model: lerf.model.Model) -> tuple[PcaBasis, PcaBasis | None]:
    """Colours for embeddings and dense features, fitted once on what the training photos see."""
    embeddings, dense = model.surface_features()
    return fit_pca_basis(embeddings.cpu()), fit_pca_basis(dense.cpu()) if dense is not None else None


def render(command: cli.Render, console: Console) -> dict[str, Any]:
    """One set of files a view; the raw maps also as NPY. Along a camera path, frames and a video."""
    if command.path is not None:
        return render_path(command, _open(command), console)
    if command.output is None:
        raise ConfigError("Say where the pictures go with --output.")
    if command.video is not None or command.outputs:
        raise ConfigError("--video and --outputs need a camera path; give --path FILE, or --path photos.")
    output = command.output
    model = _open(command)
    scene = model.scene
    chosen = list(scene.train if command.split == "train" else scene.test)
    if command.views:
        names = {scene.photos[index].name: index for index in range(len(scene))}
        unknown = [name for name in command.views if name not in names]
        if unknown:
            raise QueryError(f"The run has no photo named {unknown[0]}; names look like {scene.photos[0].name}.")
        chosen = [names[name] for name in dict.fromkeys(command.views)]
    if not chosen:
        raise QueryError(f"The {command.split} split has no photo; use --split or --views.")
    phrases = model.phrases(command.query, command.canonical, command.temperature) if command.query else None
    scales: list[float] = []
    if phrases and command.scale is not None:
        scales = [model.normalised_scale(command.scale)] * len(phrases.texts)
    elif phrases:
        scales = model.choose_scales(phrases)
    files: list[str] = []
    reporter = TerminalReporter(console)
    reporter.begin("views", len(chosen))
    # Numbered over all photos, so that a photo's files are named alike whatever else is rendered.
    stems = distinct([re.sub(r"[^\w.-]+", "_", str(Path(photo.name).with_suffix(""))) for photo in scene.photos])
    labels = distinct([re.sub(r"\W+", "_", text).strip("_") or "phrase" for text in phrases.texts] if phrases else [])
    # The pair may still be that of another: a_b and c, a and b_c.
    pairs = iter(distinct([f"{stem}_{label}" for stem in stems for label in labels]))
    map_names = [[next(pairs) for _ in labels] for _ in stems]
    bases = _feature_bases(model) if command.features else ()
    for done, index in enumerate(chosen):
        stem = stems[index]
        picture = model.render(index).picture
        images = {
            f"{stem}_colour": picture.colour,
            f"{stem}_depth": depth_picture(picture.depth),
            f"{stem}_accumulation": accumulation_picture(picture.accumulation),
        }
        if bases:
            maps_of_features = model.render_features(index, command.scale)
            for label, basis, features in zip(("clip", "dense"), bases, maps_of_features, strict=True):
                if basis is not None and features is not None:
                    images[f"{stem}_{label}"] = apply_pca_basis(basis, features.cpu())
        if phrases:
            maps = model.relevancy_maps(model.cameras, index, phrases, scales)
            for name, raw in zip(map_names[index], maps, strict=True):
                images[f"{name}_raw"] = raw_picture(raw)
                images[f"{name}_centred"] = centred_picture(raw)
                images[f"{name}_normalised"] = normalised_picture(raw, picture.colour)
                path = output / f"{name}.npy"
                array = raw.cpu().numpy()
                write_atomically(path, lambda file, array=array: np.save(file, array))  # type: ignore[misc]
                files.append(str(path))
        for name, image in images.items():
            path = output / f"{name}.png"
            write_png(path, image)
            files.append(str(path))
        reporter.advance(done + 1)
    reporter.close()
    unit = scene.similarity.scale
    facts = {
        "scales": {text: value / unit for text, value in zip(phrases.texts, scales, strict=True)} if phrases else {},
        "files": files,
    }
    write_json(output / "render.json", facts)
    console.print(f"{len(files)} files in {output}", highlight=False)
    return facts
