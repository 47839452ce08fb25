"""The methods: nerfstudio's configuration of a training, made from a preset of `lerf train`."""

from __future__ import annotations

import numpy as np
import torch
from nerfstudio.configs.base_config import MachineConfig, ViewerConfig
from nerfstudio.data.dataparsers.nerfstudio_dataparser import NerfstudioDataParserConfig
from nerfstudio.engine.optimizers import AdamOptimizerConfig
from nerfstudio.engine.schedulers import ExponentialDecaySchedulerConfig
from nerfstudio.engine.trainer import TrainerConfig
from nerfstudio.plugins.types import MethodSpecification

from lerf.nerfstudio.datamanager import LerfDataManagerConfig
from lerf.nerfstudio.model import LerfModelConfig
from lerf.nerfstudio.optimisers import LanguageAdamConfig, RadianceAdamConfig
from lerf.nerfstudio.pipeline import LerfPipelineConfig
from lerf.run.device import default_device
from lerf.run.settings import PRESETS, Preset, PresetName

DESCRIPTIONS: dict[PresetName, str] = {
    "lerf": "LERF with OpenCLIP ViT-B/16, used in the paper",
    "lerf-lite": "LERF with a smaller network and fewer language samples",
    "lerf-big": "LERF with OpenCLIP ViT-L/14",
    "lerf-cpu": "LERF for a machine without a GPU",
}
LANGUAGE_START = 1000
"""Step from which language is trained, or half of the steps of a shorter training."""
WARMUP, LANGUAGE_WARMUP = 50, 20
"""Steps over which the learning rates of radiance and of language rise."""
POSES = {
    "optimizer": AdamOptimizerConfig(lr=1e-3, eps=1e-15),
    "scheduler": ExponentialDecaySchedulerConfig(lr_final=1e-4, max_steps=5000),
}
"""As of nerfacto."""


def method(name: PresetName) -> MethodSpecification:
    """The method of this name, with the preset of the same name."""
    allow_numbers_of_numpy()
    preset = PRESETS[name]
    steps = preset.radiance_training.steps
    device = default_device()
    config = TrainerConfig(
        method_name=name,
        machine=MachineConfig(device_type=device),
        max_num_iterations=steps,
        steps_per_eval_batch=500,
        steps_per_eval_image=min(2000, steps),
        steps_per_save=2000,
        mixed_precision=False,
        pipeline=LerfPipelineConfig(datamanager=_data(preset), model=_model(name, preset, device)),
        optimizers=_optimisers(preset),
        viewer=ViewerConfig(websocket_host="127.0.0.1", num_rays_per_chunk=1 << 15),
        vis="viewer",
    )
    return MethodSpecification(config=config, description=DESCRIPTIONS[name])


def allow_numbers_of_numpy() -> None:
    """Let torch read nerfstudio's checkpoints, whose schedules hold numpy's numbers, which it refuses since 2.6."""
    torch.serialization.add_safe_globals(
        [
            (np.float64(0).__reduce__()[0], "numpy.core.multiarray.scalar"),
            (np.float64(0).__reduce__()[0], "numpy._core.multiarray.scalar"),
            np.dtype,
            type(np.dtype("f8")),
            type(np.dtype("f4")),
        ]
    )


def _data(preset: Preset) -> LerfDataManagerConfig:
    rays = preset.radiance_training.rays
    return LerfDataManagerConfig(
        dataparser=NerfstudioDataParserConfig(),
        train_num_rays_per_batch=rays,
        eval_num_rays_per_batch=rays,
        encoder=preset.encoder,
        dense=preset.dense,
        features=preset.features or "auto",
    )


def _model(name: PresetName, preset: Preset, device: str) -> LerfModelConfig:
    radiance, language = preset.radiance_training, preset.language_training
    return LerfModelConfig(
        preset=name,
        radiance_config=preset.radiance,
        language_config=preset.language,
        language_start=min(LANGUAGE_START, radiance.steps // 2),
        distortion=radiance.distortion,
        distortion_ramp=radiance.distortion_ramp,
        anneal_steps=radiance.anneal_steps,
        grid_every=radiance.grid_every,
        grid_cells=radiance.grid_cells,
        clip_weight=language.clip_weight,
        dense_weight=language.dense_weight,
        eval_num_rays_per_chunk=4096 if device == "cpu" else 1 << 15,
    )


def _optimisers(preset: Preset) -> dict[str, dict[str, object]]:
    """Optimisers and schedules by the groups of `LerfModel.get_param_groups`."""
    radiance, language = preset.radiance_training, preset.language_training

    def decay(rate: float, final: float, steps: int, warmup: int = WARMUP) -> ExponentialDecaySchedulerConfig:
        return ExponentialDecaySchedulerConfig(
            lr_pre_warmup=rate / warmup, lr_final=final, warmup_steps=warmup, max_steps=steps
        )

    gain = radiance.gain_rate
    return {
        "radiance": {
            "optimizer": RadianceAdamConfig(lr=radiance.rate, share=radiance.network_rate),
            "scheduler": decay(radiance.rate, radiance.final_rate, radiance.steps),
        },
        "gains": {
            "optimizer": AdamOptimizerConfig(lr=radiance.rate * gain, eps=1e-15),
            "scheduler": decay(radiance.rate * gain, radiance.final_rate * gain, radiance.steps),
        },
        "language": {
            "optimizer": LanguageAdamConfig(lr=language.rate, share=language.network_rate),
            # From the step on that language is trained from (`optimisers.count_language_from`).
            "scheduler": decay(language.rate, language.final_rate, language.decay_steps, LANGUAGE_WARMUP),
        },
        "camera_opt": POSES,
    }
