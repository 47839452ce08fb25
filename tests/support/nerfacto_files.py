"""Runs of nerfstudio's nerfacto as its Trainer leaves them, small and with weights drawn from a seed."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import tiny_cuda_by_hand as by_hand
import torch
from torch import Tensor

from lerf.geometry.rays import RayBundle

PHOTOS = 5
GRID = {"num_levels": 4, "base_res": 4, "max_res": 32, "log2_hashmap_size": 9, "features_per_level": 2}
PROPOSAL = {"hidden_dim": 8, "log2_hashmap_size": 8, "num_levels": 3, "max_res": 16, "use_linear": False}
LINEAR = {**PROPOSAL, "use_linear": True}
HIDDEN, GEOMETRY, APPEARANCE = 16, 15, 4
OTHER = {
    "disable_scene_contraction": True, "proposal_initial_sampler": "uniform", "far_plane": 3.0,
    "background_color": "white", "use_same_proposal_network": True, "proposal_net_args_list": [PROPOSAL],
    "use_average_appearance_embedding": False, "average_init_density": 2.0,
}  # fmt: skip
"""Settings that take the other way everywhere."""
TARGET = {"_target": "nerfstudio.models.nerfacto.NerfactoModel"}
CONFIG = """\
!!python/object:nerfstudio.engine.trainer.TrainerConfig
_target: &id001 !!python/name:nerfstudio.engine.trainer.Trainer ''
data: null
experiment_name: capture
logging: !!python/object:nerfstudio.configs.base_config.LoggingConfig
  local_writer: !!python/object:nerfstudio.configs.base_config.LocalWriterConfig
    _target: !!python/name:nerfstudio.utils.writer.LocalWriter ''
    stats_to_track: !!python/tuple
    - !!python/object/apply:nerfstudio.utils.writer.EventName
      - Train Iter (time)
  relative_log_dir: !!python/object/apply:pathlib.PosixPath []
method_name: nerfacto
optimizers:
  fields:
    optimizer: !!python/object:nerfstudio.engine.optimizers.AdamOptimizerConfig
      _target: &id002 !!python/name:torch.optim.adam.Adam ''
      lr: 0.01
    scheduler: null
  proposal_networks:
    optimizer: !!python/object:nerfstudio.engine.optimizers.AdamOptimizerConfig
      _target: *id002
      lr: 0.01
    scheduler: null
pipeline: !!python/object:nerfstudio.pipelines.base_pipeline.VanillaPipelineConfig
  _target: !!python/name:nerfstudio.pipelines.base_pipeline.VanillaPipeline ''
  datamanager: !!python/object:nerfstudio.data.datamanagers.base_datamanager.VanillaDataManagerConfig
    _target: !!python/name:nerfstudio.data.datamanagers.base_datamanager.VanillaDataManager ''
    data: !!python/object/apply:pathlib.PosixPath
    - /
    - captures
    - desk
    dataparser: !!python/object:nerfstudio.data.dataparsers.nerfstudio_dataparser.NerfstudioDataParserConfig
      data: null
  model: !!python/object:nerfstudio.models.nerfacto.NerfactoModelConfig
    _target: !!python/name:%(target)s ''
%(model)s
relative_model_dir: !!python/object/apply:pathlib.PosixPath
- nerfstudio_models
"""


def some_rays(count: int = 64) -> RayBundle:
    """Rays from around the middle of the scene, in all directions."""
    generator = torch.Generator().manual_seed(1)
    origins = torch.randn(count, 3, generator=generator) * 0.5
    directions = torch.nn.functional.normalize(torch.randn(count, 3, generator=generator), dim=-1)
    return RayBundle(origins, directions, torch.ones(count), torch.zeros(count, dtype=torch.int64))


def model_settings(**changes: Any) -> dict[str, Any]:
    """Settings of the model, as the configuration has them."""
    return {
        "average_init_density": 8.0,
        "background_color": "last_sample",
        "disable_scene_contraction": False,
        "far_plane": 1000.0,
        "near_plane": 0.05,
        "hidden_dim": HIDDEN,
        "hidden_dim_color": HIDDEN,
        "appearance_embed_dim": APPEARANCE,
        "num_nerf_samples_per_ray": 12,
        "num_proposal_iterations": 2,
        "num_proposal_samples_per_ray": [24, 16],
        "proposal_initial_sampler": "piecewise",
        "proposal_net_args_list": [PROPOSAL, LINEAR],
        "use_appearance_embedding": True,
        "use_average_appearance_embedding": True,
        "use_same_proposal_network": False,
        **GRID,
        **changes,
    }


def model_state(settings: dict[str, Any], seed: int = 0) -> dict[str, Tensor]:
    """Parameters and buffers of such a model, by nerfstudio's names; large enough to make a scene of many colours."""
    generator = torch.Generator().manual_seed(seed)

    def drawn(*shape: int, spread: float = 1.0) -> Tensor:
        return torch.randn(*shape, generator=generator) * spread

    def layers(name: str, *widths: int) -> dict[str, Tensor]:
        found = {}
        for at, (inside, outside) in enumerate(pairwise(widths)):
            found[f"{name}.layers.{at}.weight"] = drawn(outside, inside, spread=(2 / inside) ** 0.5)
            found[f"{name}.layers.{at}.bias"] = drawn(outside, spread=0.3)
        return found

    box = torch.tensor([[-1.0, -1.0, -1.0], [1.0, 1.0, 1.0]])
    table = drawn(GRID["num_levels"] << GRID["log2_hashmap_size"], 2, spread=1.5)
    state = {"device_indicator_param": torch.empty(0), "field.aabb": box, "field.max_res": torch.tensor(32)}
    state |= {"field.num_levels": torch.tensor(4), "field.log2_hashmap_size": torch.tensor(9)}
    state |= {"field.embedding_appearance.embedding.weight": drawn(PHOTOS, APPEARANCE)}
    state |= {"field.mlp_base.model.0.hash_table": table}
    state |= layers("field.mlp_base.model.1", 8, HIDDEN, 1 + GEOMETRY)
    state |= layers("field.mlp_head", 16 + GEOMETRY + APPEARANCE, HIDDEN, HIDDEN, 3)
    state |= {"camera_optimizer.pose_adjustment": torch.zeros(PHOTOS, 6)}
    rounds = 1 if settings["use_same_proposal_network"] else settings["num_proposal_iterations"]
    for at in range(rounds):
        arguments, name = settings["proposal_net_args_list"][at], f"proposal_networks.{at}"
        table = drawn(arguments["num_levels"] << arguments["log2_hashmap_size"], 2, spread=1.5)
        state |= {f"{name}.aabb": box, f"{name}.encoding.hash_table": table}
        state |= {
            f"{name}.{key}": torch.tensor(arguments[key]) for key in ("max_res", "num_levels", "log2_hashmap_size")
        }
        if arguments["use_linear"]:
            state |= {f"{name}.linear.weight": drawn(1, 6), f"{name}.linear.bias": drawn(1)}
        else:
            state |= {f"{name}.mlp_base.0.hash_table": table} | layers(f"{name}.mlp_base.1", 6, 8, 1)
    return state


def hash_encoding(values: dict[str, Any]) -> dict[str, Any]:
    """What nerfstudio asks tiny-cuda-nn for, for the grid of a model or of a proposal network."""
    base, levels = values.get("base_res", 16), values["num_levels"]
    growth = np.exp((np.log(values["max_res"]) - np.log(base)) / (levels - 1)) if levels > 1 else 1.0
    return {
        "n_levels": levels, "n_features_per_level": values.get("features_per_level", 2), "base_resolution": base,
        "log2_hashmap_size": values["log2_hashmap_size"], "per_level_scale": float(growth),
    }  # fmt: skip


def perceptron(hidden: int, layers: int, activation: str = "None") -> dict[str, Any]:
    """What nerfstudio asks tiny-cuda-nn for, for a network."""
    return {"n_neurons": hidden, "n_hidden_layers": layers - 1, "output_activation": activation}


def tiny_cuda_state(settings: dict[str, Any], seed: int = 0) -> dict[str, Tensor]:
    """As `model_state`, of a model whose networks are tiny-cuda-nn's: flat vectors, and empty ones of encodings."""
    generator = torch.Generator().manual_seed(seed)

    def layers(network: dict[str, Any], inputs: int, outputs: int) -> Tensor:
        length = by_hand.network_length(network, inputs, outputs)
        return torch.randn(length, generator=generator) * (2 / max(inputs, network["n_neurons"])) ** 0.5

    def grid(encoding: dict[str, Any]) -> Tensor:
        return torch.randn(by_hand.grid_length(encoding), generator=generator) * 1.5

    state = {name: value for name, value in model_state(settings, seed).items() if ".mlp_" not in name}
    encoding = hash_encoding(settings)
    width = encoding["n_levels"] * encoding["n_features_per_level"]
    base = [layers(perceptron(settings["hidden_dim"], 2), width, 1 + GEOMETRY), grid(encoding)]
    state["field.mlp_base.model.params"] = torch.cat(base)
    head = perceptron(settings["hidden_dim_color"], 3)
    state["field.mlp_head.tcnn_encoding.params"] = layers(head, 16 + GEOMETRY + APPEARANCE, 3)
    for name in ("direction_encoding", "position_encoding"):
        state[f"field.{name}.tcnn_encoding.params"] = torch.zeros(0)
    rounds = 1 if settings["use_same_proposal_network"] else settings["num_proposal_iterations"]
    for at in range(rounds):
        arguments, name = settings["proposal_net_args_list"][at], f"proposal_networks.{at}"
        encoding = hash_encoding(arguments)
        width = encoding["n_levels"] * encoding["n_features_per_level"]
        state.pop(f"{name}.encoding.hash_table")
        state[f"{name}.encoding.tcnn_encoding.params"] = grid(encoding)
        if not arguments["use_linear"]:
            state[f"{name}.mlp_base.0.tcnn_encoding.params"] = state[f"{name}.encoding.tcnn_encoding.params"]
            state[f"{name}.mlp_base.1.tcnn_encoding.params"] = layers(perceptron(arguments["hidden_dim"], 2), width, 1)
    return state


def write_run(
    folder: Path,
    settings: dict[str, Any] | None = None,
    state: dict[str, Tensor] | None = None,
    *,
    target: str = "nerfstudio.models.nerfacto.NerfactoModel",
    transform: list[list[float]] | None = None,
    scale: float = 1.0,
) -> Path:
    """A run folder with configuration, checkpoint and transform."""
    settings = model_settings() if settings is None else settings
    state = model_state(settings) if state is None else state
    (folder / "nerfstudio_models").mkdir(parents=True)
    written = {name: value for name, value in settings.items() if name != "features_per_level"}
    lines = [f"    {name}: {json.dumps(value)}" for name, value in written.items()]
    (folder / "config.yml").write_text(CONFIG % {"target": target, "model": "\n".join(lines)})
    document = {"transform": transform or np.eye(4)[:3].tolist(), "scale": scale}
    (folder / "dataparser_transforms.json").write_text(json.dumps(document))
    write_checkpoint(folder / "nerfstudio_models" / "step-000000059.ckpt", state)
    return folder


def write_checkpoint(path: Path, state: dict[str, Tensor], step: int = 59) -> None:
    """A checkpoint with all that nerfstudio puts into one, numbers of numpy among it."""
    schedule = {"last_epoch": step, "_last_lr": [np.float64(0.01)], "base_lrs": [0.01]}
    torch.save(
        {
            "step": step,
            "pipeline": {f"_model.{name}": value for name, value in state.items()},
            "optimizers": {"fields": {"state": {}, "param_groups": []}},
            "schedulers": {"fields": schedule},
            "scalers": {},
        },
        path,
    )
