"""`lerf train`: posed photos in, run folder out.

Every setting of a run is an option. The defaults of most are those of the preset, or of the run that is repeated, so
the options that decide which are read ahead of the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console
from tyro.conf import arg

from lerf.apps.checks import check_apart, check_folder, only_with
from lerf.apps.options import Command, OfflineOption, PageOptions
from lerf.apps.progress import TerminalReporter, capture_progress
from lerf.apps.sizes import size_text
from lerf.apps.suggest import suggested
from lerf.encoders.published import title_of
from lerf.errors import ConfigError, SceneError
from lerf.files import resolved
from lerf.ranges import Count
from lerf.run.make_settings import (
    changed,
    completed,
    default_preset,
    preset_settings,
    refuse_without_effect,
    setting_values,
)
from lerf.run.settings import LanguageSource, PresetName, TrainSettings, optional
from lerf.splats.names import is_splat_name

HELP = ("-h", "--help")


@dataclass(frozen=True, kw_only=True)
class StartOptions:
    """Where settings start from."""

    config: Annotated[Path | None, optional("FILE")] = None
    """config.json of a run to repeat: its settings hold where no option beside it says otherwise."""
    steps: Annotated[Count | None, optional()] = None
    """Steps of both trainings, where --radiance-training.steps and --language-training.steps do not say otherwise."""


@dataclass(frozen=True, kw_only=True)
class AheadOptions(StartOptions):
    """Options that decide the defaults of others."""

    preset: PresetName | None = None
    device: str | None = None
    encoder: str | None = None
    language: LanguageSource | None = None
    radiance: str | None = None

    @property
    def splat(self) -> str | None:
        """The radiance, where it is a file of splats, which decides where language comes from."""
        return self.radiance if self.radiance and is_splat_name(self.radiance) else None


@dataclass(frozen=True, kw_only=True)
class OutputOption:
    """Where the run goes."""

    output: Annotated[Path | None, arg(metavar="RUN", help_behavior_hint="(required without --config)")] = None
    """Run folder to write; with --config by default the one that it is in."""


@dataclass(frozen=True, kw_only=True)
class Train(Command, OfflineOption, PageOptions, TrainSettings, StartOptions, OutputOption):
    """Turn a folder of posed photos into a language embedded radiance field.

    A run that was interrupted continues when the same command is given again. The defaults shown are those of the
    preset lerf-cpu, or of what --preset or --config names beside --help.
    """

    view: bool = False
    """Watch it in the browser, at --host and --port, and hold it there. Needs the extra lerf[viewer]."""

    @property
    def settings(self) -> TrainSettings:
        """The settings among the options."""
        return TrainSettings(**{field.name: getattr(self, field.name) for field in fields(TrainSettings)})

    def check(self) -> None:
        only_with(self, ("host", "port"), self.view, "for the page; give --view with it")
        if not self.data:
            raise ConfigError("Say what to train on, for example: lerf train CAPTURE --output RUN.")
        if self.output is None and self.config is None:
            raise ConfigError("Say where the run goes with --output RUN.")
        refuse_without_effect(self.settings, self.chosen)
        if self.steps is not None and self.language_source == "lift" and self.radiance_run:
            raise ConfigError("--steps is for trainings, and with --radiance nothing is trained for --language lift.")
        check_apart(self.run, Path(self.data), "output")
        check_folder(self.run, "output")

    @property
    def run(self) -> Path:
        """The run folder."""
        return self.output or run_of(self.config or Path())

    @property
    def chosen(self) -> list[str]:
        """Settings, by the names of `setting_hints`, that differ from those that the preset or --config gives."""
        asked = {
            "device": self.device, "steps": self.steps, "encoder": self.encoder,
            "language_source": self.language_source, "radiance_run": self.radiance_run if self.splat else None,
        }  # fmt: skip
        before, now = setting_values(_started(self.config, self.preset, asked)), setting_values(self.settings)
        return [name for name in now if now[name] != before[name]]


def defaults(arguments: Sequence[str]) -> Train:
    """What options of `lerf train` are where `arguments`, those after its name, do not give them.

    Raises:
        ConfigError: the preset and a run to repeat are both given, or the device is not there.
        RunError: the run to repeat cannot be read.
    """
    given = [argument for argument in arguments if argument not in HELP]
    ahead, _ = tyro.cli(
        AheadOptions,
        prog="lerf train",
        args=given,
        return_unknown_args=True,
        add_help=False,
        config=(tyro.conf.DisallowNone,),
    )
    if ahead.config is not None and ahead.preset is not None:
        raise ConfigError("--config and --preset both say what settings start from; give one of them.")
    device = ahead.device or (None if ahead.config is None else saved_settings(ahead.config).device)
    if len(given) == len(arguments):
        from lerf.run.device import choose_device

        device = choose_device(device)
    asked = {
        "device": device, "steps": ahead.steps, "encoder": ahead.encoder, "language_source": ahead.language,
        "radiance_run": ahead.splat,
    }  # fmt: skip
    return Train(**vars(_started(ahead.config, ahead.preset or default_preset(device or "cpu"), asked)))


def _started(config: Path | None, preset: PresetName, asked: Mapping[str, object]) -> TrainSettings:
    """Settings of the run to repeat, or of the preset, with what is asked for beside it and is not None."""
    start = preset_settings(preset) if config is None else saved_settings(config)
    return changed(start, {name: value for name, value in asked.items() if value is not None})


def saved_settings(config: Path) -> TrainSettings:
    """Settings of the run whose config.json, or folder, this is.

    Raises:
        RunError: it cannot be read.
    """
    from lerf.run.folder import RunFolder

    return RunFolder(run_of(config)).read_config()["settings"]


def run_of(config: Path) -> Path:
    """Folder of the run whose config.json this is; a folder is taken as that of the run."""
    return config.parent if config.name == "config.json" else config


def train(command: Train, console: Console) -> dict[str, Any]:
    """Train, then print the time of each stage."""
    from lerf.apps.estimate import training_needs
    from lerf.evaluation.agreement import check_agreement
    from lerf.scenes.load import load_scene
    from lerf.stages.prepare import require_encoders
    from lerf.stages.train import train as run_training

    settings, output = completed(command.settings), command.run
    reporter = TerminalReporter(console)
    # Before anything is said, since what it warns of may be a reason not to train.
    try:
        with capture_progress() as progress:
            scene = load_scene(settings.data, settings.downscale, settings.missing, progress)
    except SceneError:
        require_encoders(settings, command.offline, reporter)  # what no capture can do without is told first
        raise
    console.print(encoder_line(settings))
    require_encoders(settings, command.offline, reporter)
    if command.config is not None:
        console.print(repeated(command.config, saved_settings(command.config), settings, output))
    estimate = training_needs(settings, scene)
    console.print(
        f"{len(scene)} photos: about {size_text(estimate['memory_bytes'])} of memory and "
        f"{size_text(estimate['disk_bytes'])} of disk.",
    )
    page = None
    if command.view:
        from lerf.viewer.training import TrainingPage

        page = TrainingPage(reporter, title=resolved(output).name, host=command.host, port=command.port)
        console.print(f"Watch it at {page.url}")
    try:
        run = run_training(settings, output, offline=command.offline, reporter=page or reporter, scene=scene)
        agreement = check_agreement(output, settings, scene, command.offline)
    finally:
        reporter.close()
        if page is not None:
            page.close()
    timings = run.read_timings()
    seconds = ", ".join(f"{name} {value:.0f} s" for name, value in timings.seconds.items())
    if agreement is not None:
        console.print(agreement.sentence)
    console.print(
        f"Done: {seconds or 'nothing was left to do'}; peak memory {size_text(timings.peak_memory_bytes)}.\n"
        f"Ask it: {suggested('query', output, 'a phrase')}",
    )
    told = None if agreement is None else agreement.to_dict()
    facts = {"run": str(run.path), "encoder": settings.encoder, "dense": settings.dense}
    return {**facts, "agreement": told, **timings.to_dict()}


def encoder_line(settings: TrainSettings) -> str:
    """The first line of a training: what it learns language from, and its preset."""
    regulariser = "no regulariser" if settings.dense == "none" else f"regulariser {title_of(settings.dense)}"
    return f"Encoder {title_of(settings.encoder)}, {regulariser}, preset {settings.preset}."


def repeated(config: Path, saved: TrainSettings, settings: TrainSettings, output: Path) -> str:
    """What is taken from the run that is repeated and what is not, in words."""
    before, now = setting_values(saved), setting_values(settings)
    others = [f"{name} {now[name]}" for name in now if now[name] != before[name]]
    changes = ", ".join(others) or "nothing"
    return f"Settings of {config}: capture {settings.data}, run {output}; changed beside it: {changes}."
