"""A run of ours as the plug-in for nerfstudio would have left it: the same fields under nerfstudio's names."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from nerfacto_files import write_checkpoint
from torch import Tensor

from lerf.geometry.similarity import Similarity
from lerf.run.folder import RunFolder
from lerf.training.checkpoint import module_state

CONFIG = """\
!!python/object:nerfstudio.engine.trainer.TrainerConfig
method_name: lerf-cpu
relative_model_dir: !!python/object/apply:pathlib.PosixPath
- nerfstudio_models
pipeline: !!python/object:lerf.nerfstudio.pipeline.LerfPipelineConfig
  datamanager: !!python/object:lerf.nerfstudio.datamanager.LerfDataManagerConfig
    encoder: colour-words
  model: !!python/object:lerf.nerfstudio.model.LerfModelConfig
    _target: !!python/name:lerf.nerfstudio.model.LerfModel ''
    preset: lerf-cpu
    prompt: fox
    radiance_config: !!python/object:lerf.radiance.hash_grid.config.RadianceConfig
%s
    language_config: !!python/object:lerf.language.config.LanguageConfig
%s
"""


def write_plug_in_run(folder: Path, source: Path, frame: Similarity, order: list[int], **changes: Any) -> Path:
    """Write it.

    Args:
        folder: of the run to write.
        source: run of ours with both fields.
        frame: capture frame to that of nerfstudio.
        order: the training photos, as places in the run's list of them, in the order of nerfstudio's training.
        changes: tensors of the checkpoint to replace or, where None, to leave out.
    """
    run = RunFolder(source)
    config, scene = run.read_config(), run.read_scene()
    settings = config["settings"]
    sizes = [
        "\n".join(f"      {name}: {json.dumps(size)}" for name, size in dataclasses.asdict(part).items())
        for part in (settings.radiance, settings.language)
    ]
    folder.mkdir(parents=True)
    (folder / "config.yml").write_text(CONFIG % tuple(sizes))
    state: dict[str, Tensor] = {"language_begun": torch.tensor(True), "cut_out": torch.tensor(False)}
    for stage in ("radiance", "language"):
        tensors = module_state(run.load_stage(stage)[0], "field")
        state |= {f"{stage}.{name}": tensor for name, tensor in tensors.items()}
    state["radiance.log_gain"] = state["radiance.log_gain"][order]
    inner = scene.similarity.after(frame.inverse())
    state |= {"frame.rotation": torch.from_numpy(inner.rotation).float(), "frame.scale": torch.tensor(inner.scale)}
    state["frame.translation"] = torch.from_numpy(inner.translation).float()
    state |= changes
    (folder / "nerfstudio_models").mkdir()
    kept = {name: tensor for name, tensor in state.items() if tensor is not None}
    write_checkpoint(folder / "nerfstudio_models" / "step-000000249.ckpt", kept, step=249)
    photos = [scene.photos[scene.train[place]] for place in order]
    poses = frame.apply_poses(np.stack([photo.camera.camera_to_world for photo in photos])).astype(np.float32)
    document = {
        "format": 1,
        "data": settings.data,
        "photos": [
            {"file": str(photo.path), "camera_to_world": pose.astype(float).ravel().tolist()}
            for photo, pose in zip(photos, poses, strict=True)
        ],
        "cut_out": False,
        **{name: getattr(settings, name) for name in ("encoder", "dense")},
        **{name: config[name] for name in ("encoder_fingerprint", "dense_fingerprint", "canonical", "temperature")},
        "features": "tiles",
        "threshold": config["threshold"],
    }
    (folder / "lerf.json").write_text(json.dumps(document))
    return folder
