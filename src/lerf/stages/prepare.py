"""Opening what a training works with, and starting its run folder or checking that it is the same run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lerf.encoders.registry import load_dense_encoder, load_encoder
from lerf.errors import RunError
from lerf.files import write_json
from lerf.run.clock import Clock
from lerf.run.folder import RunFolder
from lerf.run.report import Reporter
from lerf.run.settings import TrainSettings
from lerf.scenes.load import load_scene
from lerf.scenes.record import scene_to_plain
from lerf.stages.stage import Context

FINGERPRINTS = ("encoder_fingerprint", "dense_fingerprint")


def open_context(
    settings: TrainSettings, run: RunFolder, *, offline: bool, reporter: Reporter, save_seconds: float
) -> Context:
    """Read the capture and load the encoders; nothing is written.

    Raises:
        SceneError: bad capture.
        EncoderError: an encoder is unknown, or its weights are missing.
    """
    weights = Path(settings.weights) if settings.weights else None
    return Context(
        run,
        settings,
        load_scene(settings.data, settings.downscale),
        load_encoder(settings.encoder, weights, offline, settings.device),
        None if settings.dense == "none" else load_dense_encoder(settings.dense, None, offline, settings.device),
        reporter,
        Clock(run),
        save_seconds,
    )


def refuse_other_run(context: Context) -> None:
    """Make sure that the folder holds this run or none.

    Raises:
        RunError: it holds a run with other settings or encoders, or other files.
    """
    run = context.run
    if run.exists:
        config, encoders = run.read_config(), _about_encoders(context)
        if config["settings"] != context.settings or any(config.get(name) != encoders[name] for name in FINGERPRINTS):
            raise RunError(f"{run.path} holds a run with other settings; choose another --output or delete it.")
    elif run.path.exists() and not run.is_fresh:
        raise RunError(f"{run.path} is not empty and holds no run; choose another --output.")


def start_run(context: Context) -> None:
    """Write what a run begins with, or clear away what a killed training has left in it.

    Raises:
        StorageError: the folder cannot be written.
    """
    if context.run.exists:
        context.run.remove_leftovers()
        return
    write_json(context.run.path / "scene.json", scene_to_plain(context.scene))
    context.run.write_config(context.settings, _about_encoders(context))


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
