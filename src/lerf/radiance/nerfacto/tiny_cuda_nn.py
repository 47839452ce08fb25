"""Networks that nerfstudio trained with tiny-cuda-nn, as ordinary weights and biases.

That library keeps all parameters of a network in one vector and computes with tensor cores, for which it widens what
goes in and out. What is said here of it was read from its sources (github.com/NVlabs/tiny-cuda-nn, commit 6ee3546, and
alike since 1.6): `network_with_input_encoding.h`, `fully_fused_mlp.cu`, `cutlass_mlp.cu`, `encodings/identity.h`,
`encodings/grid.h` and the binding `modules.py`.

- The network's matrices come first, from input to output, each of [outputs, inputs] by rows; then the grid's tables.
- There are no biases. Inputs and outputs are widened to a multiple of 16 by both kinds of network that nerfstudio asks
  for (`FullyFusedMLP` for 16, 32, 64 and 128 hidden units, `CutlassMLP` otherwise); hidden layers are not.
- Inputs that a grid is widened by are 0; those that a network without an encoding is widened by are 1: their columns
  are a bias.
- The vector is of single precision and is rounded to half precision before every use.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Annotated, Any

import msgspec
from jaxtyping import Float
from torch import Tensor

from lerf.documents import converted
from lerf.errors import RunError
from lerf.radiance.nerfacto.config import AGAIN, HARMONICS, HashSizes, NerfactoConfig
from lerf.radiance.nerfacto.grids import table_entries

ALIGNED = 16
GEOMETRY = 15
"""Outputs of nerfacto's density network beside the density; no setting of it."""
COLOUR_LAYERS = 3
"""Matrices of nerfacto's colour network; no setting of it."""


class _Network(msgspec.Struct, frozen=True):
    """Sizes that the flat vectors do not tell; defaults are nerfstudio's."""

    hidden_dim: Annotated[int, msgspec.Meta(ge=1, le=4096)] = 64
    num_layers: Annotated[int, msgspec.Meta(ge=1, le=64)] = 2
    features_per_level: Annotated[int, msgspec.Meta(ge=1, le=8)] = 2


def is_tiny_cuda(state: Mapping[str, Tensor]) -> bool:
    """Whether the tensors of a checkpoint, by their names within the model, are tiny-cuda-nn's."""
    return any(name.startswith("field.") and name.endswith(".params") for name in state)


def tiny_cuda_tensors(
    model: Mapping[str, Any], state: Mapping[str, Tensor], config: NerfactoConfig, appearance: int, where: str
) -> dict[str, Tensor]:
    """Tables and layers of a nerfacto by the names of `NerfactoRadiance`, in single precision.

    Args:
        model: its settings.
        state: of its checkpoint, by the names within the model.
        config: what `nerfacto_config` made of the settings.
        appearance: numbers that the colour network is told of a photo.
        where: the checkpoint, for errors.

    Raises:
        RunError: a vector has another length than the settings make.
        KeyError: one is missing.
    """
    base = _sizes({**model, "num_layers": 2}, where)
    found = _with_grid(state, "field.mlp_base.model.params", "field", config.grid, base, where)
    colour = _sizes({"hidden_dim": model.get("hidden_dim_color", 64), "num_layers": COLOUR_LAYERS}, where)
    found |= _without_grid(
        state, "field.mlp_head.tcnn_encoding.params", "field.head", HARMONICS + GEOMETRY + appearance, 3, colour, where
    )
    nets = model["proposal_net_args_list"]
    for at, sizes in enumerate(config.proposals):
        net = f"proposal_networks.{0 if model.get('use_same_proposal_network') else at}"
        given = _sizes(nets[min(at, len(nets) - 1)], where)
        name = f"{net}.encoding.tcnn_encoding.params"
        table = _rounded(state, name, table_entries(sizes, "tcnn") * given.features_per_level, where)
        found[f"proposal{at}.table"] = table.view(-1, given.features_per_level)
        if f"{net}.linear.weight" in state:
            for part in ("weight", "bias"):
                found[f"proposal{at}.base.0.{part}"] = state[f"{net}.linear.{part}"].float()
            continue
        name, inputs = f"{net}.mlp_base.1.tcnn_encoding.params", sizes.levels * given.features_per_level
        found |= _without_grid(state, name, f"proposal{at}.base", inputs, 1, given, where)
    return found


def _sizes(values: Any, where: str) -> _Network:
    return converted(values, _Network, where, error=RunError, remedy=AGAIN)


def _with_grid(
    state: Mapping[str, Tensor], theirs: str, ours: str, sizes: HashSizes, given: _Network, where: str
) -> dict[str, Tensor]:
    """The density network of the field: its matrices and its grid are one vector."""
    widths = [sizes.levels * given.features_per_level, *_hidden(given), 1 + GEOMETRY]
    table = table_entries(sizes, "tcnn") * given.features_per_level
    vector = _rounded(state, theirs, parameters(widths) + table, where)
    layers, tables = vector.split([parameters(widths), table])
    return {f"{ours}.table": tables.view(-1, given.features_per_level), **unpadded(layers, widths, 0.0, f"{ours}.base")}


def _without_grid(
    state: Mapping[str, Tensor], theirs: str, ours: str, inputs: int, outputs: int, given: _Network, where: str
) -> dict[str, Tensor]:
    widths = [inputs, *_hidden(given), outputs]
    return unpadded(_rounded(state, theirs, parameters(widths), where), widths, 1.0, ours)


def _hidden(given: _Network) -> list[int]:
    return [given.hidden_dim] * (given.num_layers - 1)


def _rounded(state: Mapping[str, Tensor], name: str, length: int, where: str) -> Float[Tensor, " parameters"]:
    """A vector as tiny-cuda-nn computes with it."""
    vector = state[name]
    if vector.shape != (length,):
        raise RunError(
            f"{where} has {vector.numel()} numbers in {name}, and its settings make {length}: {AGAIN}, or restore the "
            "config.yml of that training."
        )
    return vector.half().float()


def _padded(widths: Sequence[int]) -> list[int]:
    first, *hidden, last = widths
    return [-(-first // ALIGNED) * ALIGNED, *hidden, -(-last // ALIGNED) * ALIGNED]


def parameters(widths: Sequence[int]) -> int:
    """Numbers in the vector of a network with so many inputs, hidden units and outputs."""
    return sum(inside * outside for inside, outside in pairwise(_padded(widths)))


def unpadded(
    vector: Float[Tensor, " parameters"], widths: Sequence[int], padding: float, name: str
) -> dict[str, Tensor]:
    """Weights and biases of a network without what it was widened by.

    Args:
        vector: `parameters(widths)` numbers.
        widths: inputs, hidden units and outputs that are used.
        padding: value of the further inputs.
        name: what the tensors are named after.
    """
    padded, found = list(pairwise(_padded(widths))), {}
    matrices = vector.split([inside * outside for inside, outside in padded])
    for at, (matrix, (inside, outside)) in enumerate(zip(matrices, padded, strict=True)):
        used = matrix.view(outside, inside)[: widths[at + 1]]
        found[f"{name}.{at}.weight"] = used[:, : widths[at]].contiguous()
        found[f"{name}.{at}.bias"] = padding * used[:, widths[at] :].sum(-1)
    return found
