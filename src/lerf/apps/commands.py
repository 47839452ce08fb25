"""What each command does. Every function prints for people and returns plain values for `--json`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

import lerf.model
from lerf.apps import main as cli
from lerf.apps.demo import run_demo
from lerf.apps.estimate import describe_capture, describe_run, size_text
from lerf.apps.eval_tables import report_tables
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
from lerf.evaluation.lpips import load_lpips
from lerf.evaluation.report import evaluate as evaluate_run
from lerf.evaluation.truth import read_absent
from lerf.files import sha256_of, write_atomically, write_json
from lerf.language.bake import agreement, fidelity
from lerf.language.bake import bake as bake_field
from lerf.language.cells import FILE, save_index
from lerf.language.lift import Ground, lift, training_pyramids
from lerf.language.lifted import trained_field
from lerf.run.folder import RunFolder
from lerf.scenes.load import load_scene
from lerf.stages.train import make_settings
from lerf.stages.train import train as run_training


def train(command: cli.Train, console: Console) -> dict[str, Any]:
    """Train, then print the time of each stage."""
    settings = make_settings(
        command.data,
        preset=command.preset,
        encoder=command.encoder,
        dense=command.dense,
        features=command.features,
        border=command.border,
        tile_ratios=command.tile_ratios,
        estimator=command.estimator,
        radiance_run=command.radiance,
        steps=command.steps,
        device=command.device,
        downscale=command.downscale,
        seed=command.seed,
        weights=command.weights,
        refine_poses=command.refine_poses,
        language=command.language,
        memory=command.memory,
    )
    estimate = describe_capture(
        command.data, command.downscale, settings.preset, encoder=settings.encoder, dense=settings.dense,
        tile_ratios=settings.tile_ratios, memory=settings.memory,
    )  # fmt: skip
    console.print(
        f"{estimate['photos']} photos, preset {settings.preset}: about {size_text(estimate['memory_bytes'])} of memory "
        f"and {size_text(estimate['disk_bytes'])} of disk.",
        highlight=False,
    )
    reporter = TerminalReporter(console)
    page = None
    if command.view:
        from lerf.viewer.training import TrainingPage

        page = TrainingPage(reporter, title=command.output.resolve().name, host=command.host, port=command.port)
        console.print(f"Watch it at {page.url}", highlight=False)
    try:
        run = run_training(settings, command.output, offline=command.offline, reporter=page or reporter)
    finally:
        reporter.close()
        if page is not None:
            page.close()
    timings = run.read_json("timings.json")
    seconds = ", ".join(f"{name} {value:.0f} s" for name, value in timings["seconds"].items())
    console.print(
        f"Done: {seconds}; peak memory {size_text(timings['peak_memory_bytes'])}.\n"
        f'Ask it: lerf query {command.output} "a phrase"',
        highlight=False,
    )
    return {"run": str(run.path), **timings}


def _open(command: Any) -> lerf.model.Model:
    return lerf.model.load(command.run, weights=command.weights, offline=command.offline, device=command.device)


def query(command: cli.Query, console: Console) -> dict[str, Any]:
    """Answer phrases in a table."""
    if not command.phrases:
        raise QueryError('There is no phrase to look for; give at least one, for example: lerf query RUN "mug".')
    result = (
        _open(command)
        .query(
            command.phrases,
            canonical=command.canonical,
            temperature=command.temperature,
            threshold=command.threshold,
            scale=command.scale,
            index=command.index,
            compare=command.compare,
        )
        .to_dict()
    )
    table = Table("phrase", "present", "relevancy", "point", "scale", "instances", "best seen in")
    for answer in result["queries"]:
        if not answer["present"]:
            table.add_row(answer["text"], "no", f"{answer['relevancy']:.3f}", "", "", "", "")
            continue
        point = " ".join(f"{value:.3f}" for value in answer["point"])
        place = f"{answer['view']} ({answer['pixel'][0]:.0f}, {answer['pixel'][1]:.0f})" if answer["view"] else ""
        table.add_row(
            answer["text"], "yes", f"{answer['relevancy']:.3f}", point, f"{answer['scale']:.3f}",
            str(len(answer["instances"])), place,
        )  # fmt: skip
    if not command.json:
        console.print(table)
    if "index" in result:
        console.print(index_sentence(result["index"]), highlight=False)
    return result


def index_sentence(facts: dict[str, Any]) -> str:
    """How far the answers of an index are from the field's, in words."""
    far = "how far that is from the field has not been measured"
    if facts["cosine"] is not None:
        far = f"its embeddings have a mean cosine of {facts['cosine']:.3f} with the field's"
        far += f" (5th percentile {facts['lowest_cosine']:.3f})"
    said = f"Answered from the index ({facts['cells']} cells, from the {facts['source']}); {far}."
    if "differences" in facts:
        listed = ", ".join(f"{text} {value:.4f}" for text, value in facts["differences"].items())
        said += f" Mean difference of relevancy to the field's: {listed}."
    return said


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


def bake(command: cli.Bake, console: Console) -> dict[str, Any]:
    """An index beside the run's checkpoints, and what it holds."""
    model, run = _open(command), RunFolder(command.run)
    field = trained_field(model.language)
    if command.source == "field":
        index = fidelity(model, bake_field(model, sha256_of(run.path / "language.safetensors")))
    else:
        reporter = TerminalReporter(console)
        reporter.begin("pyramids", len(model.scene.train))
        try:
            targets, factors = training_pyramids(
                model, run.read_config()["settings"], lambda done, _: reporter.advance(done)
            )
        finally:
            reporter.close()
        index = lift(
            Ground.of(model), targets, sha256_of(run.path / "radiance.safetensors"),
            scale_range=field.scale_range, pixel_factors=factors,
        )  # fmt: skip
        index = fidelity(model, index)
    results = agreement(model, index, command.compare) if command.compare else []
    path = run.path / FILE
    save_index(index, path)
    size = path.stat().st_size
    rank = len(index.compressed.basis)
    console.print(
        f"{path}: {len(index)} cells, {len(index.scales)} scales, rank {rank}, {size_text(size)}; mean cosine with the "
        f"field {index.facts.cosine:.3f}.",
        highlight=False,
    )
    if results and not command.json:
        table = Table("phrase", "difference of relevancy", "distance of best points", "ratio of scales")
        for result in results:
            table.add_row(
                result.text, f"{result.difference:.4f}", f"{result.distance:.3f}", f"{result.scale_ratio:.2f}"
            )
        console.print(table)
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


def evaluate(command: cli.Eval, console: Console) -> dict[str, Any]:
    """The protocols asked for, or all that the scene's material allows."""
    model = _open(command)
    capture = None
    if command.data is not None:
        settings = RunFolder(command.run).read_config()["settings"]
        capture = load_scene(command.data, settings.downscale)
    lpips = None if command.lpips_weights is None else load_lpips(command.lpips_weights, model.device)
    reporter = TerminalReporter(console)
    try:
        report = evaluate_run(
            model,
            command.protocol or None,
            labels=command.labels,
            maps=command.maps,
            absent=None if command.absent is None else read_absent(command.absent),
            capture=capture,
            run=command.run,
            lpips=lpips,
            progress=reporter.show,
        )
    finally:
        reporter.close()
    if not command.json:
        for table in report_tables(report):
            console.print(table)
    for view in report.get("left_out", []):
        console.print(f"{view['photo']} is left out: {view['reason']}.", markup=False, highlight=False)
    return report


def info(command: cli.Info, console: Console) -> dict[str, Any]:
    """Facts about a capture or a run."""
    run = RunFolder(command.path)
    if run.exists:
        facts = describe_run(run)
    else:
        facts = describe_capture(
            command.path, command.downscale, command.preset, encoder=command.encoder, dense=command.dense,
            memory=command.memory,
        )  # fmt: skip
    if not command.json:
        table = Table(show_header=False)
        for name, value in facts.items():
            shown = size_text(value) if name.endswith("_bytes") else str(value)
            table.add_row(name.removesuffix("_bytes").replace("_", " "), shown)
        console.print(table)
    return facts


def demo(command: cli.Demo, console: Console) -> dict[str, Any]:
    """The shipped scene from photos to measured answers."""
    return run_demo(command, console)


def make_scene(command: cli.MakeScene, console: Console) -> dict[str, Any]:
    """A generated capture."""
    from lerf_scenes.write import Photography, write_scene

    reporter = TerminalReporter(console)
    reporter.begin("photographs", command.views + command.held_out)
    try:
        annotation = write_scene(
            command.output,
            command.seed,
            command.kind,
            Photography(command.views, command.held_out, command.width, command.height, command.spp),
            report=lambda done, _: reporter.advance(done),
        )
    finally:
        reporter.close()
    objects = [f"{thing.colour} {thing.kind}" for thing in annotation.objects]
    console.print(
        f"{command.output}: {', '.join(objects)}.\nTrain on it: lerf train {command.output} --preset lerf-demo "
        f"--output RUN",
        highlight=False,
    )
    return {
        "scene": str(command.output),
        "seed": annotation.seed,
        "kind": annotation.setting,
        "objects": objects,
        "phrases": len(annotation.phrases),
    }
