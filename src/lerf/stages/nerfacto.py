"""The radiance of a nerfacto run of nerfstudio as that of a run here: its weights are copied, nothing is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from torch import Tensor

from lerf.errors import ConfigError
from lerf.radiance.nerfacto.layout import nerfacto_config, nerfacto_tensors, with_implementation
from lerf.run.nerfstudio_corrections import CORRECTIONS, pose_corrections
from lerf.run.nerfstudio_run import CONFIG, TRANSFORMS, read_checkpoint, read_nerfstudio_run
from lerf.run.open_run import NERFACTO
from lerf.scenes.camera_path import read_nerfstudio_transform
from lerf.stages.stage import Context

LOOKS = "field.embedding_appearance.embedding.weight"
"""Tensor of a nerfacto with a row for each training photo, as `CORRECTIONS` has."""


def lent_nerfacto(context: Context) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and facts of the nerfacto run that the settings name as their radiance.

    Raises:
        ConfigError: it was trained on more photos than the capture has.
        RunError: it cannot be read, or is no nerfacto.
        SceneError: its dataparser_transforms.json cannot be used.
    """
    run = read_nerfstudio_run(Path(context.settings.radiance_run or ""))
    config = nerfacto_config(run.model, str(run.folder / CONFIG))
    checkpoint = read_checkpoint(run)
    config = with_implementation(config, checkpoint.tensors)
    tensors = nerfacto_tensors(run.model, checkpoint.tensors, config, str(checkpoint.path))
    photos = max(
        (len(checkpoint.tensors[name]) for name in (CORRECTIONS, LOOKS) if name in checkpoint.tensors), default=0
    )
    if photos > len(context.scene):
        raise ConfigError(
            f"{run.folder} was trained on {photos} photos, and {context.settings.data} has {len(context.scene)}: give "
            "the capture of that run."
        )
    frame = read_nerfstudio_transform(run.folder / TRANSFORMS, context.scene)
    fact = {"config": msgspec.to_builtins(config), "frame": frame.to_dict()}
    return tensors, {"step": checkpoint.step + 1, "finished": True, NERFACTO: fact}


def note_unused(context: Context) -> None:
    """Say what such a run has and is not used."""
    run = read_nerfstudio_run(Path(context.settings.radiance_run or ""))
    corrections = read_checkpoint(run).tensors.get(CORRECTIONS)
    if corrections is not None and bool((corrections != 0).any()):
        finite = corrections[corrections.isfinite().all(-1)]
        far = np.linalg.norm(pose_corrections(run.model, finite)[1], axis=-1).max(initial=0.0)
        context.reporter.note(
            f"nerfstudio also corrected the cameras of {len(corrections)} photos (by up to {far:.4f} of its units); "
            "that is not used, since it does not say which photos these are."
        )
