"""Opening what a training works with, and starting its run folder or checking that it is the same run."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

from lerf.encoders.ready import encoders_of, require_weights
from lerf.encoders.registry import load_dense_encoder, load_encoder
from lerf.errors import LerfWarning, RunError, SceneError
from lerf.files import is_absent, write_json
from lerf.masks.names import model_of_masks
from lerf.run.capture_record import (
    NAMED,
    changed_files,
    changes,
    read_capture_record,
    record_of_run,
    write_capture_record,
)
from lerf.run.clock import Clock
from lerf.run.differences import Difference, listed, settings_differences
from lerf.run.folder import RunFolder
from lerf.run.report import READING, Reporter, downloading, reported_if_slow
from lerf.run.settings import TrainSettings
from lerf.scenes.inspection.fit import fit_notes
from lerf.scenes.load import load_scene
from lerf.scenes.record import scene_to_plain
from lerf.scenes.scene import Scene
from lerf.stages.moved_capture import follow_move, refuse_other_capture
from lerf.stages.originals import read_originals
from lerf.stages.stage import Context

TWO_WAYS = "train into another --output, or delete the run to train it again"
FINGERPRINTS = ("encoder_fingerprint", "dense_fingerprint")


def open_context(
    settings: TrainSettings,
    run: RunFolder,
    *,
    offline: bool,
    reporter: Reporter,
    save_seconds: float,
    scene: Scene | None = None,
) -> Context:
    """Read the capture and load the encoders; nothing is written but weights that are fetched.

    `scene` is the capture where it has been loaded as the settings say: the headers of many photos take a while.

    Raises:
        SceneError: bad capture.
        EncoderError: an encoder is unknown, or its weights are missing.
    """
    weights = Path(settings.weights) if settings.weights else None
    require_encoders(settings, offline, reporter)
    if scene is None:
        with reported_if_slow(reporter, READING) as progress:
            scene = load_scene(settings.data, settings.downscale, settings.missing, progress)
    for note in fit_notes(scene):
        warnings.warn(note, LerfWarning, stacklevel=2)
    return Context(
        run,
        settings,
        scene,
        load_encoder(settings.encoder, weights, offline, settings.device),
        None if settings.dense == "none" else load_dense_encoder(settings.dense, None, offline, settings.device),
        reporter,
        Clock(run),
        save_seconds,
        originals=_originals(settings, scene, reporter),
    )


def require_encoders(settings: TrainSettings, offline: bool, reporter: Reporter) -> None:
    """Make sure that the weights of a training's encoders are on this machine; they are fetched where that may be.

    Raises:
        EncoderError: they cannot be had, or a package that they need is missing.
    """
    weights = Path(settings.weights) if settings.weights else None
    masks = settings.masks if model_of_masks(settings.masks) else None
    needed = encoders_of(settings.encoder, settings.dense, weights, masks)
    require_weights(needed, offline, lambda name: downloading(reporter, name))


def refuse_other_run(context: Context) -> None:
    """Make sure that the folder holds this run or none.

    Where it holds this run its own normalised frame is used: that of its fields, whatever this version would choose.

    Raises:
        RunError: it holds a run with other settings or encoders, of another capture or one that has changed, or other
            files.
    """
    run = context.run
    if run.exists:
        _refuse_other_settings(context, run.read_config())
        # One that has learnt nothing yet begins anew, so that a capture that was mended can be gone on with.
        if run.has_checkpoints:
            saved = run.read_scene()
            _refuse_changed_capture(context, saved)
            context.scene = replace(context.scene, similarity=saved.similarity)
    elif not is_absent(run.path) and not run.is_fresh:
        raise RunError(f"{run.path} is not empty and holds no run; choose another --output.")


def note_unknown_photos(context: Context) -> None:
    """Say so where a run cannot know whether its photos have changed."""
    path = context.run.path
    if context.run.has_checkpoints and read_capture_record(path) is None:
        context.reporter.note(
            f"{path} was begun by an older lerf, which did not write down what its photos were: whether "
            "they have changed since cannot be checked."
        )


def start_run(context: Context) -> None:
    """Write what a run begins with.

    Raises:
        StorageError: the folder cannot be written.
    """
    run = context.run
    follow_move(context)
    # A run of an older version is known by its capture from now on; files that were touched are not read again.
    if not run.has_checkpoints or read_capture_record(run.path) != context.record:
        write_capture_record(run.path, context.record)
    if not run.has_checkpoints:
        write_json(run.path / "scene.json", scene_to_plain(context.scene))
    if not run.exists:
        run.write_config(context.settings, _about_encoders(context))


def refuse_capture_changed_meanwhile(context: Context) -> None:
    """Make sure that the photos are still those that the run began with.

    Raises:
        RunError: they are not.
    """
    if names := changed_files(context.record):
        raise RunError(
            f"{len(names)} photos or masks changed while {context.run.path} was trained ({listed(names, NAMED)}); "
            f"{TWO_WAYS}."
        )


def _originals(settings: TrainSettings, scene: Scene, reporter: Reporter) -> Scene | None:
    """The capture at its full resolution, where another one is asked for and the originals were shipped."""
    if not settings.downscale:
        return None
    try:
        return read_originals(settings, scene)
    except SceneError as error:
        note_reduced(reporter, error)
        return None


def note_reduced(reporter: Reporter, error: SceneError) -> None:
    """Say that the original photos cannot be used."""
    reporter.note(f"Features come from the reduced photos, as the originals cannot be used. {error}")


def _refuse_other_settings(context: Context, config: dict[str, Any]) -> None:
    path, before, now = context.run.path, config["settings"], context.settings
    # Another path may lead to the same capture; where more differs it is one of the things that are listed.
    if settings_differences(replace(before, data=now.data), now):
        found = settings_differences(before, now)
        raise RunError(
            f"{path} holds a run with other settings: {listed(found)}; give those of the run, choose another --output, "
            "or delete it."
        )
    if before.data != now.data:
        refuse_other_capture(context, before.data, f"Give that one, {TWO_WAYS}")
    encoders = _about_encoders(context)
    for name, encoder in zip(FINGERPRINTS, (context.settings.encoder, context.settings.dense), strict=True):
        if config.get(name) != encoders[name]:
            told = Difference(f"'{encoder}'", config.get(name), encoders[name])
            raise RunError(
                f"{path} was trained with other weights of {told}; give the same ones with --weights, or choose "
                "another --output."
            )


def _refuse_changed_capture(context: Context, saved: Scene) -> None:
    run = context.run
    before = record_of_run(run.path, context.settings, saved)
    if found := changes(before, context.record):
        raise RunError(
            f"The capture has changed since {run.path} was begun: {'; '.join(found)}. Undo that, or {TWO_WAYS}."
        )


def _about_encoders(context: Context) -> dict[str, Any]:
    """Entries of config.json that the encoders decide."""
    defaults = context.encoder.defaults
    return {
        "encoder_fingerprint": context.encoder.fingerprint,
        "dense_fingerprint": context.dense.fingerprint if context.dense else None,
        "canonical": list(defaults.canonical),
        "temperature": defaults.temperature,
        "threshold": defaults.threshold,
    }
