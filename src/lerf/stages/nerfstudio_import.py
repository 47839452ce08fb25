"""A run of our plug-in for nerfstudio as an ordinary run: the same fields, with the capture of their training."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from lerf.errors import ConfigError, RunError
from lerf.files import write_json
from lerf.geometry.similarity import Similarity, similarity_between
from lerf.run.capture_record import record_capture, write_capture_record
from lerf.run.folder import RunFolder
from lerf.run.make_settings import make_settings, setting_hints
from lerf.run.nerfstudio_corrections import CORRECTIONS, pose_corrections
from lerf.run.nerfstudio_facts import PlugInFacts, TrainedPhoto, read_plug_in_facts
from lerf.run.nerfstudio_run import CONFIG, OBJECT, NerfstudioRun, read_checkpoint, read_nerfstudio_run
from lerf.run.open_run import BOUNDS, with_bounds
from lerf.run.settings import TrainSettings
from lerf.scenes.load import load_scene, read_scene
from lerf.scenes.nerfstudio_frame import with_frame
from lerf.scenes.record import scene_to_plain
from lerf.scenes.scene import Scene
from lerf.training.checkpoint import module_state

CLASS = "lerf.nerfstudio.model.LerfModel"
APART = 1e-3
"""By how much poses may differ from nerfstudio's after the best similarity: rotations, and positions as a share of the
cameras' spread. Rounding in single precision is a hundred times less."""


def import_run(
    source: Path, output: Path, *, data: Path | None = None, downscale: int | None = None, device: str | None = None
) -> RunFolder:
    """Write an ordinary run with the newest checkpoint of a run of the plug-in.

    Args:
        source: run folder of nerfstudio.
        output: run folder to write.
        data: the capture, where it is not at the run's own path any more.
        downscale: of the capture's photos, as in `load_scene`.
        device: that the run is to use, as in `make_settings`.

    Raises:
        RunError: the run is none of the plug-in, or cannot be read, or has not come to language; or `output` holds
            something.
        ConfigError: the capture is another one than it was trained on.
        SceneError: the capture cannot be read.
    """
    run = read_nerfstudio_run(source)
    if run.model_class != CLASS:
        raise RunError(
            f"{run.folder} is no run of this package's plug-in: give one of ns-train lerf, lerf-lite, lerf-big or "
            "lerf-cpu; a nerfacto run can be the radiance of 'lerf train --radiance'."
        )
    facts, checkpoint = read_plug_in_facts(run.folder), read_checkpoint(run)
    tensors = checkpoint.tensors
    if not bool(tensors.get("language_begun", torch.tensor(False))):
        raise RunError(
            f"{checkpoint.path} has no language yet: train on, or with an earlier --pipeline.model.language-start."
        )
    folder = RunFolder(output)
    if os.path.lexists(output) and any(Path(output).iterdir()):
        raise RunError(f"{output} is not empty; choose another --output.")
    settings = _settings(run, facts, data, downscale, device)
    scene, order = _scene(settings, facts, tensors, run.model)
    stages = _stages(tensors, order, checkpoint.step + 1)
    with_bounds(settings.radiance, stages["radiance"][1], str(checkpoint.path))
    with folder.written("choose another --output"):
        write_capture_record(folder.path, record_capture(_uncorrected(settings, scene)))
        write_json(folder.path / "scene.json", scene_to_plain(scene))
        for name, (state, told) in stages.items():
            folder.save_stage(name, state, told)
        folder.write_config(
            settings,
            {
                "encoder_fingerprint": facts.encoder_fingerprint, "dense_fingerprint": facts.dense_fingerprint,
                "canonical": facts.canonical, "temperature": facts.temperature, "threshold": facts.threshold,
            },
        )  # fmt: skip
    return folder


def _settings(
    run: NerfstudioRun, facts: PlugInFacts, data: Path | None, downscale: int | None, device: str | None
) -> TrainSettings:
    """The settings of `lerf train` that make such fields.

    Raises:
        ConfigError: the run's configuration has what is no setting.
    """
    model = run.model
    given: dict[str, Any] = {
        "preset": model.get("preset"), "encoder": facts.encoder, "dense": facts.dense, "features": facts.features,
        "downscale": downscale, "device": device, "language_source": "field",
    }  # fmt: skip
    hints = setting_hints()
    for part, entry in (("radiance", "radiance_config"), ("language", "language_config")):
        sizes = model.get(entry)
        if not isinstance(sizes, Mapping):
            raise RunError(f"{run.folder / CONFIG} has no {entry}: it was made by another version of the plug-in.")
        given |= {f"{part}.{name}": _tuples(size) for name, size in sizes.items() if name != OBJECT}
    if facts.dense == "none":  # there is no head whose size could be given
        given.pop("language.dense_hidden", None)
    unknown = [name for name in given if name not in hints]
    if unknown:
        raise ConfigError(f"{run.folder / CONFIG} has the setting {unknown[0]}, which this version does not know.")
    return make_settings(data or Path(facts.data), **given)


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _scene(
    settings: TrainSettings, facts: PlugInFacts, tensors: Mapping[str, Tensor], model: Mapping[str, Any]
) -> tuple[Scene, list[int]]:
    """The capture with the split, frame and poses of the run; and, of its training photos, their rows in the run."""
    loaded = load_scene(settings.data, settings.downscale, settings.missing)
    found = match_photos(loaded, facts.photos)
    train = tuple(sorted(found))
    test = tuple(index for index in (*loaded.train, *loaded.test) if index not in found)
    order = [found[index] for index in train]
    ours = np.stack([loaded.photos[index].camera.camera_to_world for index in train])
    theirs = np.array([facts.photos[row].camera_to_world for row in order]).reshape(-1, 3, 4)
    to_theirs = frame_between(ours, theirs, settings.data)
    rotation, translation = (tensors[f"frame.{name}"].double().numpy() for name in ("rotation", "translation"))
    inner = Similarity(rotation, translation, float(tensors["frame.scale"]))
    similarity = _sound(inner).after(to_theirs)
    scene = replace(loaded, train=train, test=tuple(sorted(test)), similarity=similarity)
    scene = replace(scene, background="alpha" if facts.cut_out else None)
    corrections = tensors.get(CORRECTIONS)
    if corrections is None or not len(corrections):
        return scene, order
    turned, moved = pose_corrections(model, corrections[order])
    positions = theirs[:, :, 3:] + moved[..., None]
    corrected = to_theirs.inverse().apply_poses(np.concatenate([turned @ theirs[:, :, :3], positions], axis=-1))
    photos = list(scene.photos)
    for index, pose in zip(train, corrected, strict=True):
        photos[index] = replace(photos[index], camera=replace(photos[index].camera, camera_to_world=pose))
    return replace(scene, photos=tuple(photos), metadata=with_frame(scene)), order


def match_photos(scene: Scene, trained: Sequence[TrainedPhoto]) -> dict[int, int]:
    """By photo of a scene, the row of the training photo that it is.

    Names are compared from the end, so that a capture may have moved, and reduced photos lie in a folder of their own.

    Raises:
        ConfigError: one of the training photos is not there, or is more than one.
    """
    by_path = {os.path.abspath(photo.path): index for index, photo in enumerate(scene.photos)}
    by_name: dict[str, list[int]] = {}
    for index, photo in enumerate(scene.photos):
        by_name.setdefault(Path(photo.name).name, []).append(index)
    found: dict[int, int] = {}
    for row, one in enumerate(trained):
        parts = Path(one.file).parts
        named = by_name.get(parts[-1], [])
        listed = {index: Path(scene.photos[index].name).parts for index in named}
        fits = [index for index, own in listed.items() if parts[-len(own) :] == own]
        choice = [by_path[one.file]] if one.file in by_path else fits if len(fits) == 1 else named
        if len(choice) != 1 or choice[0] in found:
            how = "is not in" if not choice else "is more than one photo of"
            raise ConfigError(f"{one.file}, which was trained on, {how} {scene.root}: give the capture with --data.")
        found[choice[0]] = row
    return found


def frame_between(
    ours: Float[np.ndarray, "photos 3 4"], theirs: Float[np.ndarray, "photos 3 4"], data: str
) -> Similarity:
    """The capture frame to nerfstudio's, from the poses of the same photos in both.

    Raises:
        ConfigError: no similarity takes the ones to the others.
    """
    found = similarity_between(ours, theirs)
    if found is not None:
        moved = found.apply_poses(ours)
        spread = np.linalg.norm(theirs[:, :, 3] - theirs[:, :, 3].mean(0), axis=1).max()
        apart = np.abs(moved - theirs).max((0, 1))
        if apart[:3].max() <= APART and apart[3] <= APART * spread:
            return found
    raise ConfigError(
        f"The cameras of {data} stand elsewhere than those of the training; give the run's capture with --data."
    )


def _sound(similarity: Similarity) -> Similarity:
    if not similarity.is_sound:
        raise RunError("The checkpoint's frame is damaged: train the run again.")
    return similarity


def _stages(tensors: Mapping[str, Tensor], order: list[int], step: int) -> dict[str, tuple[dict[str, Tensor], dict]]:
    """Tensors and facts of both checkpoints."""
    radiance, language = (module_state(tensors, name) for name in ("radiance", "language"))
    if "log_gain" not in radiance or "head.0.weight" not in language:
        raise RunError("The checkpoint has no radiance and language of the plug-in: train the run again.")
    radiance["log_gain"] = radiance["log_gain"][order]
    done = {"step": step, "finished": True}
    heads = {name: [key for key in language if key.startswith(f"{name}.") and key.endswith("weight")]
             for name in ("head", "dense_head")}  # fmt: skip
    width, dense = (len(language[keys[-1]]) if keys else 0 for keys in heads.values())
    # Of a radiance that the plug-in was lent; `with_bounds` checks them.
    given = tensors.get("bounds", torch.zeros(2)).double().flatten().tolist()
    bounds = {BOUNDS: dict(zip(("near", "far"), given, strict=False))} if any(given) else {}
    return {
        "radiance": ({f"field.{name}": value for name, value in radiance.items()}, done | bounds),
        "language": (
            {f"field.{name}": value for name, value in language.items()}, {**done, "width": width, "dense_width": dense}
        ),
    }  # fmt: skip


def _uncorrected(settings: TrainSettings, scene: Scene) -> Scene:
    """The capture as its files have it, with the run's split: what a later command finds again."""
    loaded = read_scene(Path(settings.data), settings.downscale, settings.missing)
    return replace(loaded, train=scene.train, test=scene.test)
