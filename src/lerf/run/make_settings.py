"""Settings of a run from a preset, or from those of another run, and what is given beside it by name."""

from __future__ import annotations

import dataclasses
import difflib
import typing
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from lerf.encoders.published import COMPANIONS, family_of, has_towers_with_patches
from lerf.errors import ConfigError
from lerf.files import is_folder, resolved
from lerf.masks.names import MAKER, model_of_masks
from lerf.run.checks import OPTION_NAMES, check_value, hints_of, option
from lerf.run.nerfstudio_run import is_nerfstudio_run
from lerf.run.settings import PRESETS, Preset, PresetName, TrainSettings
from lerf.splats.names import is_splat_name

ALIASES = {
    "estimator": "language.estimator",
    "refine_poses": "radiance_training.refine_poses",
    **{option: name for name, option in OPTION_NAMES.items()},
}
"""Shorter names of settings. `language` and `radiance` are also names of parts: they are that when a part is given."""
OF_POINTS = tuple(f"radiance_training.{name}" for name in ("point_rays", "point_weight", "point_share"))
"""What is said of rays that must end at sparse points."""


def make_settings(data: str | Path, **overrides: Any) -> TrainSettings:
    """Settings of a run from a preset and what is given beside it.

    Args:
        data: the capture.
        overrides: values by the name of a field of `TrainSettings`, of a field of its parts (`radiance.levels`,
            `language_training.steps`), or by one of `ALIASES`; `steps` are those of both trainings, where these are
            not given. None leaves a setting at the preset's value.

    Raises:
        ConfigError: unknown preset, name or device, a value of another type or out of range, or values that contradict
            each other.
    """
    # It imports torch, which the help of `lerf train` need not wait for.
    from lerf.run.device import choose_device

    given = {name: value for name, value in overrides.items() if value is not None}
    device = given.pop("device", None)
    if device is not None:
        check_value("device", device, str)
    device = choose_device(device)
    preset = given.pop("preset", default_preset(device))
    settings = changed(preset_settings(preset, data=str(data), device=device), given)
    refuse_without_effect(settings, [_full_name(name, value) for name, value in given.items()])
    return completed(settings)


def default_preset(device: str) -> PresetName:
    """The preset of a machine whose work runs on this device."""
    return "lerf-cpu" if device == "cpu" else "lerf"


def preset_settings(preset: str, *, data: str = "", device: str = "cpu") -> TrainSettings:
    """A preset as settings, with nothing else decided.

    Raises:
        ConfigError: there is no such preset.
    """
    check_value("preset", preset, PresetName)
    chosen = PRESETS[typing.cast(PresetName, preset)]
    return TrainSettings(
        data=data,
        preset=typing.cast(PresetName, preset),
        encoder=chosen.encoder,
        dense=chosen.dense,
        features=_features(chosen, chosen.encoder),
        border="edge",
        tile_ratios=None,
        language_source=chosen.language_source,
        radiance_run=None,
        device=device,
        downscale=None,
        seed=0,
        weights=None,
        radiance=chosen.radiance,
        radiance_training=chosen.radiance_training,
        language=chosen.language,
        language_training=chosen.language_training,
    )


def changed(settings: TrainSettings, overrides: Mapping[str, Any]) -> TrainSettings:
    """Settings with some values replaced; names as in `make_settings`.

    Raises:
        ConfigError: as `make_settings`.
    """
    given = {_full_name(name, value): value for name, value in overrides.items()}
    steps = given.pop("steps", None)
    given = {**_of_radiance(given), **given}
    values = {**({} if steps is None else _steps(settings, steps)), **_of_encoder(settings, given), **given}
    hints = setting_hints()
    values = {name: _converted(value, hints[name]) for name, value in values.items()}
    parts: dict[str, dict[str, Any]] = {}
    for name, value in values.items():
        check_value(name, value, hints[name])
        part, _, field = name.rpartition(".")
        parts.setdefault(part, {})[field] = value
    whole = parts.pop("", {})
    for part, fields in parts.items():
        whole[part] = replace(whole.get(part, getattr(settings, part)), **fields)
    return replace(settings, **whole)


def refuse_without_effect(settings: TrainSettings, chosen: Iterable[str]) -> None:
    """Check that every setting that somebody chose has a part in the outcome.

    Args:
        settings: all of them.
        chosen: names, as in `setting_hints`.

    Raises:
        ConfigError: one does nothing beside the others.
    """
    lift, regulariser = settings.language_source == "lift", settings.dense != "none"
    of_lift = ("language.samples", "language.estimator")
    for name in chosen:
        part = name.rpartition(".")[0]
        if part == "radiance" and settings.radiance_run and is_nerfstudio_run(settings.radiance_run):
            raise ConfigError(
                f"{option(name)} is for a radiance of lerf, and --radiance is one of nerfstudio; leave it out."
            )
        if part == "radiance_training" and settings.radiance_run:
            raise ConfigError(f"{option(name)} is for a radiance in training; leave it or --radiance out.")
        if part == "radiance" and settings.splat is not None:
            raise ConfigError(f"{option(name)} is for a hash grid, which a splat is not; leave it or --radiance out.")
        if lift and part in ("language", "language_training") and name not in of_lift:
            raise ConfigError(f"{option(name)} is for a language field; leave it out, or give --language field.")
        if name in ("language.dense_hidden", "language_training.dense_weight") and not regulariser:
            raise ConfigError(f"{option(name)} is for a dense regulariser; leave it out, or name one with --dense.")
        if name == "mask_crops" and settings.masks is None:
            raise ConfigError(
                "--mask-crops is for masks; leave it out, or give --masks their folder or what makes them."
            )
        if name == "radiance_training.pose_rate" and not settings.radiance_training.refine_poses:
            raise ConfigError(f"{option(name)} is for correcting poses; leave it out, or give --refine-poses.")
        if name in OF_POINTS and settings.radiance_training.points != "surfaces":
            raise ConfigError(
                f"{option(name)} is for rays through sparse points; leave it out, or give --radiance-training.points "
                "surfaces."
            )
        if name == "radiance_training.distortion_ramp" and not settings.radiance_training.distortion:
            raise ConfigError(f"{option(name)} fades in a loss of no weight; leave it or that weight of 0 out.")


def completed(settings: TrainSettings) -> TrainSettings:
    """Settings as they are saved and compared: paths absolute, tile ratios smallest first."""

    def absolute(path: str | None) -> str | None:
        return str(resolved(Path(path))) if path else None

    def model_place(model: str) -> str:
        return str(resolved(Path(model))) if is_folder(Path(model)) else model

    model = model_of_masks(settings.masks)
    return replace(
        settings,
        data=str(resolved(Path(settings.data))),
        weights=absolute(settings.weights),
        masks=MAKER + model_place(model) if model else absolute(settings.masks),
        radiance_run=absolute(settings.radiance_run),
        radiance_transforms=absolute(settings.radiance_transforms),
        tile_ratios=None if settings.tile_ratios is None else tuple(sorted(map(float, settings.tile_ratios))),
    )


def setting_hints() -> dict[str, Any]:
    """Types of all settings by name: fields of `TrainSettings`, and of its parts with the part's name before them."""
    hints = dict(hints_of(TrainSettings))
    for part, kind in tuple(hints.items()):
        if dataclasses.is_dataclass(kind):
            hints |= {f"{part}.{name}": hint for name, hint in hints_of(typing.cast(type, kind)).items()}
    return hints


def setting_values(settings: TrainSettings) -> dict[str, Any]:
    """Values of all settings that are no parts, by the names of `setting_hints`."""
    values: dict[str, Any] = {}
    for name in hints_of(TrainSettings):
        value = getattr(settings, name)
        if dataclasses.is_dataclass(value):
            values |= {f"{name}.{field}": getattr(value, field) for field in hints_of(type(value))}
        else:
            values[name] = value
    return values


def _full_name(name: str, value: Any) -> str:
    """The name of a setting in `setting_hints`, or `steps`.

    Raises:
        ConfigError: there is no such setting.
    """
    known = setting_hints()
    if name in ALIASES and not (name in known and dataclasses.is_dataclass(value)):
        return ALIASES[name]
    if name not in known and name != "steps":
        nearest = difflib.get_close_matches(name, [*known, *ALIASES, "steps"], n=1, cutoff=0.0)[0]
        raise ConfigError(f"There is no setting named '{name}'; the nearest is '{nearest}'.")
    return name


def _steps(settings: TrainSettings, steps: Any) -> dict[str, Any]:
    """Steps of both trainings; the language's learning rate falls within them."""
    check_value("steps", steps, setting_hints()["radiance_training.steps"])
    return {
        "radiance_training.steps": steps,
        "language_training.steps": steps,
        "language_training.decay_steps": min(steps, settings.language_training.decay_steps),
    }


def _of_radiance(given: Mapping[str, Any]) -> dict[str, Any]:
    """What follows where a splat is the radiance: language is lifted onto its Gaussians."""
    radiance = given.get("radiance_run")
    return {"language_source": "lift"} if isinstance(radiance, (str, Path)) and is_splat_name(radiance) else {}


def _of_encoder(settings: TrainSettings, given: Mapping[str, Any]) -> dict[str, Any]:
    """What follows where an encoder or the source of language is given: the dense encoder and the mode of features.

    It is the one that the encoder brings, so that whoever has the one has the other, or else the preset's; one that is
    left out stays so.
    """
    preset = PRESETS[settings.preset]
    encoder, source = (given.get(name, getattr(settings, name)) for name in ("encoder", "language_source"))
    new_source, new_encoder = source != settings.language_source, encoder != settings.encoder
    values: dict[str, Any] = {}
    if isinstance(encoder, str) and (new_source or (new_encoder and settings.dense != "none")):
        values["dense"] = COMPANIONS.get(family_of(encoder), preset.dense)
    if new_encoder and isinstance(encoder, str):
        values["features"] = _features(preset, encoder)
    return values


def _features(preset: Preset, encoder: str) -> Literal["tiles", "dense"] | None:
    """How an encoder makes pyramids in a preset, where nothing is asked for."""
    return preset.features if has_towers_with_patches(encoder) else None


def _converted(value: Any, hint: Any) -> Any:
    """A value as a field holds it: lists as tuples, paths as text, integers as floats where those are held."""
    if isinstance(value, (list, tuple)):
        return tuple(_converted(item, hint) for item in value)
    if isinstance(value, Path) and _holds(hint, str):
        return str(value)
    if isinstance(value, int) and not isinstance(value, bool) and _holds(hint, float):
        return float(value)
    return value


def _holds(hint: Any, kind: type) -> bool:
    """Whether a type is, or has inside it, this one."""
    return hint is kind or any(_holds(part, kind) for part in typing.get_args(hint))
