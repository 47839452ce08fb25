"""Photos in, run folder out: the stages of a training in their order."""

from __future__ import annotations

from pathlib import Path

from lerf.run.folder import RunFolder
from lerf.run.report import Reporter, Silent
from lerf.run.settings import TrainSettings
from lerf.scenes.scene import Scene
from lerf.stages.features import FeatureStage
from lerf.stages.language_field import LanguageFieldStage
from lerf.stages.language_lift import LanguageLiftStage
from lerf.stages.pipeline import run_stages
from lerf.stages.prepare import open_context
from lerf.stages.radiance import RadianceStage
from lerf.stages.splat import SplatStage
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
    scene: Scene | None = None,
) -> RunFolder:
    """Train into `output`; an unfinished run with the same settings is continued exactly where it was saved.

    Args:
        settings: from `run.make_settings`.
        output: run folder.
        offline: forbid downloads.
        reporter: hears about progress; silent by default.
        save_seconds: time between checkpoints.
        scene: the capture, where it was loaded as the settings say; its notes have then been told.

    Raises:
        LerfError: bad capture, encoder, settings or disk; what was saved stays.
        KeyboardInterrupt: after a checkpoint has been written.
    """
    context = open_context(
        settings, RunFolder(Path(output)), offline=offline, reporter=reporter or Silent(), save_seconds=save_seconds,
        scene=scene,
    )  # fmt: skip
    run_stages(training_stages(settings), context)
    return context.run


def training_stages(settings: TrainSettings) -> list[Stage]:
    """The stages of a training in the order in which they are done."""
    features = FeatureStage()
    language = LanguageLiftStage(features) if settings.language_source == "lift" else LanguageFieldStage(features)
    radiance = RadianceStage() if settings.splat is None else SplatStage()
    return [radiance, features, language, SurfaceStage()]
