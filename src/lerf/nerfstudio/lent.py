"""A run of `lerf train` whose radiance a training in nerfstudio starts from, and does not change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lerf.errors import ConfigError, RunError
from lerf.geometry.similarity import Similarity
from lerf.radiance.hash_grid.config import RadianceConfig
from lerf.run.differences import differences, listed
from lerf.run.folder import RunFolder
from lerf.run.nerfstudio_facts import TrainedPhoto
from lerf.run.nerfstudio_run import is_nerfstudio_run
from lerf.run.open_run import NERFACTO, is_splat, open_radiance_field
from lerf.run.settings import to_plain
from lerf.scenes.scene import Scene
from lerf.stages.nerfstudio_import import frame_between, match_photos

OPTION = "--pipeline.model.radiance"
LEAVE_OUT = f"leave {OPTION} out"


@dataclass(frozen=True)
class LentRadiance:
    """What is taken from the run."""

    tensors: dict[str, Tensor]
    """State of its `RadianceField`, with colour gains for the photos that nerfstudio trains on."""
    frame: Similarity
    """nerfstudio's frame to that of the field."""
    near: float
    far: float
    """Distances of the first and the last sample, normalised units: sparse points may have given them."""
    cut_out: bool
    """Whether photos are transparent around their subject."""
    seen: tuple[str, ...]
    """Names of photos that nerfstudio evaluates on although the radiance was trained on them."""


def lent_radiance(
    run: Path, sizes: RadianceConfig, photos: Sequence[TrainedPhoto], held_out: Sequence[str]
) -> LentRadiance:
    """The radiance of a run, fitted to the cameras of nerfstudio.

    Args:
        run: run folder of `lerf train`.
        sizes: of the field that is to hold it.
        photos: those that nerfstudio trains on, with their poses in its frame.
        held_out: files of those that it evaluates on.

    Raises:
        RunError: it is no run, or its radiance is not finished or damaged.
        ConfigError: its radiance is of another kind or size, or is that of another capture.
    """
    if is_nerfstudio_run(run):
        raise RunError(f"{run} is a run of nerfstudio: make it one of lerf's with 'lerf import' first.")
    folder = RunFolder(run)
    settings, scene = folder.read_config()["settings"], folder.read_scene()
    if is_splat(folder) or NERFACTO in (folder.read_facts("radiance") or {}):
        kind = "a splat" if is_splat(folder) else "a nerfacto"
        raise ConfigError(f"The radiance of {run} is {kind}: give a run whose radiance 'lerf train' trained.")
    if settings.radiance_training.refine_poses:
        raise ConfigError(
            f"The radiance of {run} belongs to cameras that it corrected, and nerfstudio has those of the capture: "
            f"give a run that was trained without --refine-poses, or {LEAVE_OUT}."
        )
    if found := differences(to_plain(settings.radiance), to_plain(sizes), "--pipeline.model.radiance-config"):
        raise ConfigError(
            f"The radiance of {run} has other sizes: {listed(found)}; use ns-train {method_of(settings.preset)}, or "
            "give these options its sizes."
        )
    places, frame = _placed(run, scene, photos)
    field = open_radiance_field(folder, settings, scene, "cpu")
    tensors = {name: tensor.detach().clone() for name, tensor in field.state_dict().items()}
    tensors["log_gain"] = _gains(tensors["log_gain"], scene, places, len(photos))
    names = {Path(scene.photos[index].name).name for index in scene.train}
    return LentRadiance(
        tensors, frame, field.config.near, field.config.far, scene.background is not None,
        tuple(name for file in held_out if (name := Path(file).name) in names),
    )  # fmt: skip


def method_of(preset: str) -> str:
    """The method of nerfstudio whose radiance has the sizes of a preset."""
    return "lerf-cpu" if preset == "lerf-demo" else preset


def _placed(run: Path, scene: Scene, photos: Sequence[TrainedPhoto]) -> tuple[dict[int, int], Similarity]:
    """By photo of the run's scene its row in `photos`; and nerfstudio's frame to the normalised one."""
    try:
        places = match_photos(scene, photos)
        ours = np.stack([scene.photos[index].camera.camera_to_world for index in places])
        theirs = np.array([photos[row].camera_to_world for row in places.values()]).reshape(-1, 3, 4)
        to_theirs = frame_between(ours, theirs, str(run))
    except ConfigError:
        raise ConfigError(
            f"{run} was trained on another capture: its photos or cameras are not those that nerfstudio trains on. "
            f"Give a run of this capture, or {LEAVE_OUT}."
        ) from None
    return places, scene.similarity.after(to_theirs.inverse())


def _gains(gains: Tensor, scene: Scene, places: dict[int, int], photos: int) -> Tensor:
    """Colour gains of nerfstudio's photos: the run's, and none for photos that it held out."""
    centred = gains - gains.mean(0, keepdim=True)
    found = torch.zeros(photos, 3)
    for place, index in enumerate(scene.train):
        if index in places:
            found[places[index]] = centred[place]
    return found
