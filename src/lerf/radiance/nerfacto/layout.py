"""From the settings and the checkpoint of a nerfacto run to what renders it.

Names and defaults are those of nerfstudio 1.1.5. Its torch implementation stores weights and biases; what tiny-cuda-nn
stores is told in `tiny_cuda_nn.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from torch import Tensor

from lerf.documents import converted
from lerf.errors import RunError
from lerf.radiance.nerfacto.config import AGAIN, HARMONICS, HashSizes, NerfactoConfig
from lerf.radiance.nerfacto.grids import table_entries
from lerf.radiance.nerfacto.tiny_cuda_nn import is_tiny_cuda, tiny_cuda_tensors

CLASSES = ("nerfstudio.models.nerfacto.NerfactoModel", "nerfstudio.models.depth_nerfacto.DepthNerfactoModel")
"""Models that are a nerfacto when they are rendered."""
ROUNDS = "num_proposal_iterations"


def nerfacto_config(model: Mapping[str, Any], where: str) -> NerfactoConfig:
    """What renders a model with these settings; `where` says in errors whose they are.

    Raises:
        RunError: they are not those of a nerfacto.
    """
    target = str(model.get("_target", "a model without a name"))
    if target not in CLASSES:
        raise RunError(
            f"{where} is of {target.rsplit('.', 1)[-1]}, and a radiance is read from nerfacto runs alone: train one "
            "with ns-train nerfacto."
        )
    try:
        rounds = model[ROUNDS]
        nets = model["proposal_net_args_list"]
        # As nerfstudio has it: rounds beyond the list repeat its last entry.
        plain = {
            "grid": _sizes(model, "num_levels", "base_res", "max_res", "log2_hashmap_size"),
            "proposals": [_proposal(nets[min(at, len(nets) - 1)]) for at in range(rounds)],
            "proposal_samples": list(model["num_proposal_samples_per_ray"])[:rounds],
            "samples": model["num_nerf_samples_per_ray"],
            "far": model["far_plane"],
            "spacing": model["proposal_initial_sampler"],
            "density": model.get("average_init_density", 1.0),
            "contracted": not model["disable_scene_contraction"],
            "last_shows": model["background_color"] == "last_sample",
        }
        if len(plain["proposal_samples"]) != rounds:
            raise ValueError(f"{rounds} rounds of proposals with samples for {len(plain['proposal_samples'])}")
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as problem:
        raise RunError(f"{where} has not the settings of a nerfacto ({problem}): {AGAIN}.") from None
    return converted(plain, NerfactoConfig, where, error=RunError, remedy=AGAIN)


def _sizes(values: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return dict(zip(("levels", "coarsest", "finest", "log2_entries"), (values[name] for name in names), strict=True))


def _proposal(values: Mapping[str, Any]) -> dict[str, Any]:
    return _sizes({"base_res": 16, **values}, "num_levels", "base_res", "max_res", "log2_hashmap_size")


def with_implementation(config: NerfactoConfig, state: Mapping[str, Tensor]) -> NerfactoConfig:
    """A configuration that says whose tensors a checkpoint has, by their names within the model.

    The settings do not: without tiny-cuda-nn nerfstudio trains with torch whatever they say.
    """
    return msgspec.structs.replace(config, implementation="tcnn" if is_tiny_cuda(state) else "torch")


def nerfacto_tensors(
    model: Mapping[str, Any], state: Mapping[str, Tensor], config: NerfactoConfig, where: str
) -> dict[str, Tensor]:
    """The tensors that render a nerfacto, under the names of `NerfactoRadiance`.

    Args:
        model: its settings.
        state: of its checkpoint, by the names within the model.
        config: what `nerfacto_config` made of the settings and `with_implementation` of that.
        where: the checkpoint, for errors.

    Raises:
        RunError: they are not those of such a model.
    """
    found: dict[str, Tensor] = {}
    try:
        appearance = _appearance(model, state)
        if config.implementation == "tcnn":
            found |= tiny_cuda_tensors(model, state, config, appearance.numel(), where)
        else:
            found |= _torch_tensors(model, state, config)
        found["box"], found["appearance"] = state["field.aabb"].float(), appearance
    except KeyError as problem:
        raise RunError(f"{where} lacks {problem} of a nerfacto: {AGAIN}.") from None
    check_tensors(found, config, where)
    return found


def _torch_tensors(model: Mapping[str, Any], state: Mapping[str, Tensor], config: NerfactoConfig) -> dict[str, Tensor]:
    found = _network(state, "field.mlp_base.model.0.hash_table", "field.mlp_base.model.1", "field")
    found |= _layers(state, "field.mlp_head", "field.head")
    for at in range(len(config.proposals)):
        net = f"proposal_networks.{0 if model.get('use_same_proposal_network') else at}"
        linear = f"{net}.linear.weight" in state
        table = f"{net}.encoding.hash_table" if linear else f"{net}.mlp_base.0.hash_table"
        found |= _network(state, table, f"{net}.linear" if linear else f"{net}.mlp_base.1", f"proposal{at}")
    return found


def _network(state: Mapping[str, Tensor], table: str, layers: str, name: str) -> dict[str, Tensor]:
    return {f"{name}.table": state[table].float(), **_layers(state, layers, f"{name}.base")}


def _layers(state: Mapping[str, Tensor], theirs: str, ours: str) -> dict[str, Tensor]:
    """Weights and biases of a fully connected network, or of a single layer without a list around it."""
    if f"{theirs}.weight" in state:
        names = [(f"{theirs}.{part}", f"{ours}.0.{part}") for part in ("weight", "bias")]
    else:
        start = f"{theirs}.layers."
        count = len({name[len(start) :].partition(".")[0] for name in state if name.startswith(start)})
        names = [
            (f"{theirs}.layers.{at}.{part}", f"{ours}.{at}.{part}")
            for at in range(max(count, 1))
            for part in ("weight", "bias")
        ]
    return {new: state[old].float() for old, new in names}


def _appearance(model: Mapping[str, Any], state: Mapping[str, Tensor]) -> Tensor:
    """What the colour network is told of the photo when none is meant: the mean of all, zeros, or nothing."""
    name = "field.embedding_appearance.embedding.weight"
    if not model.get("use_appearance_embedding", True) or name not in state:
        return state["field.aabb"].new_zeros(0)
    mean = state[name].float().mean(0)
    return mean if model.get("use_average_appearance_embedding", True) else mean * 0.0


def check_tensors(found: Mapping[str, Tensor], config: NerfactoConfig, where: str) -> None:
    """Hold tables and layers against the settings and against each other.

    Raises:
        RunError: one does not fit, or is missing.
    """
    missing = {"box", "appearance", "field.table", "field.base.0.weight", "field.head.0.weight"} - set(found)
    if missing:
        raise RunError(f"{where} lacks {min(missing)} of a nerfacto: {AGAIN}.")
    grids = {"field": config.grid, **{f"proposal{at}": sizes for at, sizes in enumerate(config.proposals)}}
    geometry = 0
    for name, sizes in grids.items():
        table = found.get(f"{name}.table", found["appearance"])
        if table.ndim != 2 or len(table) != table_entries(sizes, config.implementation):
            raise RunError(f"{where} has a table of another size than its settings say: {AGAIN}.")
        outputs = _check_layers(found, f"{name}.base", sizes.levels * table.shape[1], where)
        geometry = outputs - 1 if name == "field" else geometry
    inputs = HARMONICS + geometry + len(found["appearance"])
    fits = found["box"].shape == (2, 3) and geometry >= 0 and found["appearance"].ndim == 1
    if not fits or _check_layers(found, "field.head", inputs, where) != 3:
        raise RunError(f"{where} has a colour network that does not fit its density network: {AGAIN}.")


def _check_layers(found: Mapping[str, Tensor], name: str, inputs: int, where: str) -> int:
    """Length of what the last layer gives.

    Raises:
        RunError: a layer does not take what the one before gives.
    """
    at = 0
    while f"{name}.{at}.weight" in found:
        weight = found[f"{name}.{at}.weight"]
        bias = found.get(f"{name}.{at}.bias", weight)
        if weight.ndim != 2 or weight.shape[1] != inputs or bias.shape != weight.shape[:1]:
            raise RunError(f"{where} has layers of other sizes than its settings say: {AGAIN}.")
        inputs, at = weight.shape[0], at + 1
    return inputs


def grid_sizes(config: NerfactoConfig, name: str) -> HashSizes:
    """Sizes of the table of `field` or of one of the proposals."""
    return config.grid if name == "field" else config.proposals[int(name.removeprefix("proposal"))]
