"""Photos in, run folder out: the stages of a training in their order; and the settings of a run from options."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import get_args

from lerf.errors import ConfigError
from lerf.language.field import Estimator
from lerf.pyramids.tiles import Border
from lerf.run.device import choose_device
from lerf.run.folder import RunFolder
from lerf.run.report import Reporter, Silent
from lerf.run.settings import MEMORY, PRESETS, LanguageSource, TrainSettings
from lerf.stages.features import FeatureStage
from lerf.stages.language_field import LanguageFieldStage
from lerf.stages.language_lift import LanguageLiftStage
from lerf.stages.pipeline import run_stages
from lerf.stages.prepare import open_context
from lerf.stages.radiance import RadianceStage
from lerf.stages.stage import Stage
from lerf.stages.surface import SurfaceStage

SAVE_SECONDS = 30.0
"""Time between checkpoints: what a kill can cost."""


def train(
    settings: TrainSettings,
    output: str | Path,
    *,
    offline: bool = False,
    reporter: Reporter | None = None,
    save_seconds: float = SAVE_SECONDS,
) -> RunFolder:
    """Train into `output`; an unfinished run with the same settings is continued exactly where it was saved.

    Args:
        settings: from `make_settings`.
        output: run folder.
        offline: forbid downloads.
        reporter: hears about progress; silent by default.
        save_seconds: time between checkpoints.

    Raises:
        LerfError: bad capture, encoder, settings or disk; what was saved stays.
        KeyboardInterrupt: after a checkpoint has been written.
    """
    context = open_context(
        settings, RunFolder(Path(output)), offline=offline, reporter=reporter or Silent(), save_seconds=save_seconds
    )
    run_stages(training_stages(settings), context)
    return context.run


def training_stages(settings: TrainSettings) -> list[Stage]:
    """The stages of a training in the order in which they are done."""
    features = FeatureStage()
    language = LanguageLiftStage(features) if settings.language_source == "lift" else LanguageFieldStage(features)
    return [RadianceStage(), features, language, SurfaceStage()]


def make_settings(
    data: str | Path,
    *,
    preset: str | None = None,
    encoder: str | None = None,
    dense: str | None = None,
    features: str | None = None,
    border: str = "edge",
    tile_ratios: Sequence[float] | None = None,
    estimator: str | None = None,
    radiance_run: str | Path | None = None,
    steps: int | None = None,
    device: str | None = None,
    downscale: int | None = None,
    seed: int = 0,
    weights: str | Path | None = None,
    refine_poses: bool = False,
    memory: float = MEMORY,
    language: str | None = None,
) -> TrainSettings:
    """Settings of a run from a preset and what the caller overrides.

    Raises:
        ConfigError: unknown preset or option, a number out of range, or options that contradict each other.
    """
    device = choose_device(device)
    preset = preset or ("lerf-cpu" if device == "cpu" else "lerf")
    if preset not in PRESETS:
        raise ConfigError(f"There is no preset '{preset}'; known are {', '.join(PRESETS)}.")
    if not memory > 0:
        raise ConfigError(f"--memory must be above 0, not {memory}.")
    if steps is not None and steps < 1:
        raise ConfigError(f"--steps must be at least 1, not {steps}.")
    if downscale is not None and downscale < 1:
        raise ConfigError(f"--downscale must be at least 1, not {downscale}.")
    if not 0 <= seed < 2**63:
        raise ConfigError(f"--seed must lie in 0..2^63-1, not {seed}.")
    for option, value, known in (
        ("estimator", estimator, get_args(Estimator)),
        ("features", features, ("tiles", "dense")),
        ("border", border, get_args(Border)),
        ("language", language, get_args(LanguageSource)),
    ):
        if value not in (None, *known):
            raise ConfigError(f"There is no --{option} '{value}'; known are {', '.join(known)}.")
    if features == "dense":
        _check_features("dense", border)
    if refine_poses and radiance_run:
        raise ConfigError("--refine-poses moves cameras with a radiance in training; leave it out with --radiance.")
    chosen = PRESETS[preset]
    source = language or chosen.language_source
    if source == "lift":
        for option, given in (("dense", dense if dense != "none" else None), ("estimator", estimator)):
            if given:
                raise ConfigError(f"--{option} is for a language field; leave it out, or give --language field.")
        dense = "none"
    radiance_training, language_training = chosen.radiance_training, chosen.language_training
    if steps is not None:
        radiance_training = replace(radiance_training, steps=steps)
        language_training = replace(
            language_training, steps=steps, decay_steps=min(steps, language_training.decay_steps)
        )
    if refine_poses:
        radiance_training = replace(radiance_training, refine_poses=True)
    sizes = replace(chosen.language, estimator=estimator) if estimator else chosen.language  # type: ignore[arg-type]
    return TrainSettings(
        data=str(Path(data).resolve()),
        preset=preset,
        encoder=encoder or chosen.encoder,
        dense=dense or chosen.dense,
        features=features,  # type: ignore[arg-type]
        border=border,  # type: ignore[arg-type]
        tile_ratios=None if tile_ratios is None else _checked_ratios(tile_ratios),
        downscale=downscale,
        seed=seed,
        device=device,
        weights=str(Path(weights).resolve()) if weights else None,
        radiance_run=str(Path(radiance_run).resolve()) if radiance_run else None,
        radiance=chosen.radiance,
        radiance_training=radiance_training,
        language=sizes,
        language_training=language_training,
        language_source=source,  # type: ignore[arg-type]
        memory=float(memory),
    )


def _checked_ratios(ratios: Sequence[float]) -> tuple[float, ...]:
    """Smallest first, as they are used and saved."""
    ready = tuple(sorted(float(ratio) for ratio in ratios))
    if not ready or len(set(ready)) < len(ready) or not all(0.0 < ratio <= 1.0 for ratio in ready):
        raise ConfigError(
            f"Tile ratios must lie in (0, 1], each given once, not {', '.join(map(str, ready)) or 'none'}."
        )
    return ready


def _check_features(mode: str, border: str) -> None:
    if mode == "dense" and border != "edge":
        raise ConfigError(f"--border {border} is for tiles; use --features tiles with it, or leave it out.")
