"""A nerfacto of tiny-cuda-nn shows here what that library's own functions, and its networks by hand, make of it.

The recorded numbers come from tiny-cuda-nn's `kernel_grid` and `kernel_sh` themselves (commit 6ee3546, taken unchanged
out of `encodings/grid.h`, `encodings/spherical_harmonics.h` and `common_device.h`), compiled for a CPU with numbers of
single precision. The lengths come from real checkpoints.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tiny_cuda_by_hand as by_hand
import torch
from nerfacto_files import (
    LINEAR,
    OTHER,
    PROPOSAL,
    TARGET,
    hash_encoding,
    model_settings,
    perceptron,
    some_rays,
    tiny_cuda_state,
)

from lerf.errors import RunError
from lerf.geometry.contraction import to_unit_cube
from lerf.geometry.similarity import Similarity
from lerf.radiance.nerfacto.config import HashSizes
from lerf.radiance.nerfacto.field import harmonics
from lerf.radiance.nerfacto.grids import TinyCudaTable, levels_of, table_entries
from lerf.radiance.nerfacto.layout import nerfacto_config, nerfacto_tensors, with_implementation
from lerf.radiance.nerfacto.radiance import NerfactoRadiance
from lerf.radiance.nerfacto.tiny_cuda_nn import parameters

GRIDS: dict[tuple[int, ...], dict[int, list[float]]] = {
    (16, 16, 2048, 19, 2): {
        1: [
            0.12107, -0.11098, 0.29956, 0.24362, -0.24633, -0.07412, -0.17516, -0.29491, -0.17462, 0.17681, 0.44236,
            0.43082, -0.74387, -0.68053, -0.15353, -0.05133, 0.08088, 0.1678, -0.07476, 0.4054, 0.21831, -0.03937,
            -0.829, 0.06973, -0.1642, -0.50858, -0.40697, 0.00091, -0.12171, 0.16154, 0.31698, -0.03989,
        ],
        5: [
            0.18355, -0.06372, -0.4247, -0.18449, 0.15509, -0.11142, -0.37986, 0.01821, 0.11699, 0.16923, -0.13916,
            0.11609, 0.30854, -0.18832, -0.14173, -0.07872, -0.14717, -0.02365, -0.00254, -0.07598, -0.16981, 0.21005,
            0.12045, -0.08411, -0.32487, -0.32395, 0.31785, -0.01645, 0.15149, -0.35611, -0.03965, -0.19026,
        ],
    },
    (5, 16, 128, 17, 2): {
        1: [
            0.12107, -0.11098, -0.184, -0.06446, 0.40174, -0.33517, 0.1363, 0.36692, -0.04322, -0.08809,
        ],
        7: [
            -0.16273, -0.02304, 0.1197, 0.42827, -0.21502, 0.1812, 0.18604, 0.54638, -0.25394, 0.38265,
        ],
    },
    (5, 16, 256, 17, 2): {
        2: [
            -0.97181, 0.88654, 0.47854, 0.47826, -0.39146, 0.87546, 0.8204, -0.00626, 0.4751, -0.70401,
        ],
        8: [
            -0.5018, 0.2563, 0.04273, -0.06838, -0.29657, 0.36596, -0.6957, -0.40759, 0.0095, 0.91525,
        ],
    },
    (6, 3, 50, 12, 4): {
        3: [
            -0.2301, 0.19872, -0.11874, -0.49772, -0.25577, 0.05685, 0.16679, 0.38022, -0.08825, 0.31943, 0.29109,
            0.13713, -0.2251, -0.11984, -0.04248, -0.03148, 0.04191, -0.30276, 0.50209, 0.02794, -0.23917, 0.12059,
            0.19568, -0.21249,
        ],
        9: [
            0.11077, -0.61615, -0.40623, -0.36101, 0.46048, -0.07277, 0.72145, -0.78977, -0.08275, 0.00232, -0.04891,
            -0.1543, -0.01569, -0.08205, 0.16352, -0.56623, -0.34951, 0.01248, 0.13107, 0.16976, 0.04048, -0.22361,
            0.05835, -0.23683,
        ],
    },
}  # fmt: skip
"""Features of some points, by levels, coarsest, finest, log2 of entries and features of a level: nerfacto's three
grids, and one whose sizes are no powers of two."""
HARMONICS = [
    [
        0.28209, -0.46234, -0.11977, 0.1031, -0.21815, 0.25341, -0.25854, -0.05651, -0.4648, 0.42534, 0.14148,
        0.30255, 0.24694, -0.06747, 0.30144, -0.3289,
    ],
    [
        0.28209, 0.26193, -0.3593, -0.20255, -0.2428, -0.43071, 0.19627, 0.33305, -0.06312, 0.07217, 0.47239, 0.41747,
        0.08128, -0.32281, 0.12281, 0.16885,
    ],
]  # fmt: skip
DENSE = {"num_levels": 4, "base_res": 3, "max_res": 17, "log2_hashmap_size": 9, "use_linear": False, "hidden_dim": 16}
WIDER = {"hidden_dim": 24, "hidden_dim_color": 40, "proposal_net_args_list": [DENSE, {**LINEAR, "base_res": 2}]}
"""Widths that `CutlassMLP` computes, and levels that are arrays."""


def some_points(count: int) -> torch.Tensor:
    places = np.mod(
        (np.arange(count)[:, None] + 0.5) * [0.8191725133961645, 0.6710436067037893, 0.5497004779019703], 1.0
    )
    places[:4] = [[0, 0, 0], [1, 1, 1], [0.5, 0.5, 0.5], [1, 0, 1]]
    return torch.from_numpy(places.astype(np.float32))


def scattered(entries: int, features: int) -> torch.Tensor:
    """Numbers from -1 to 1 that differ from entry to entry; the recorded features are of these."""
    number = (np.arange(entries * features, dtype=np.uint64) * np.uint64(2654435761)).astype(np.uint32)
    number ^= number >> np.uint32(15)
    number = number * np.uint32(2246822519)
    return torch.from_numpy((number / 2147483648.0 - 1.0).astype(np.float32)).view(entries, features)


@pytest.mark.parametrize("key", GRIDS, ids=str)
def test_grids_are_those_of_the_library(key):
    sizes, features = HashSizes(*key[:4]), key[4]
    table, points = scattered(table_entries(sizes, "tcnn"), features), some_points(10)
    found = TinyCudaTable(table, sizes)(points)
    for row, told in GRIDS[key].items():
        torch.testing.assert_close(found[row], torch.tensor(told), atol=1e-5, rtol=0)
    encoding = {
        "n_levels": key[0], "base_resolution": key[1], "log2_hashmap_size": key[3], "n_features_per_level": features,
        "per_level_scale": np.exp((np.log(key[2]) - np.log(key[1])) / (key[0] - 1)),
    }  # fmt: skip
    again = by_hand.grid(encoding, table.numpy().ravel(), points.numpy())
    np.testing.assert_allclose(found.numpy(), again, atol=1e-6)
    hashed = [level.hashed for level in levels_of(sizes)]
    assert not hashed[0]
    assert hashed[-1]


def test_harmonics_are_those_of_the_library():
    steps = np.arange(2) + 0.5
    z, turn = 2 * np.mod(steps * 0.7548776662466927, 1.0) - 1, 2 * np.pi * np.mod(steps * 0.5698402909980532, 1.0)
    flat = np.sqrt(1 - z * z)
    directions = torch.from_numpy(np.stack([flat * np.cos(turn), flat * np.sin(turn), z], axis=1).astype(np.float32))
    torch.testing.assert_close(harmonics(directions, "tcnn"), torch.tensor(HARMONICS), atol=1e-5, rtol=0)
    many = some_rays().directions
    again = by_hand.harmonics((many.numpy() + 1) / 2)
    np.testing.assert_allclose(harmonics(many, "tcnn").numpy(), again, atol=1e-6)


def test_lengths_are_those_of_real_checkpoints():
    """github.com/ayaanzhaque/instruct-nerf2nerf, issue 49: of a nerfacto-huge, and of the grid of a nerfacto."""
    assert 2 * table_entries(HashSizes(16, 16, 2048, 19), "tcnn") == 12_196_240
    assert 2 * table_entries(HashSizes(16, 16, 8192, 21), "tcnn") == 47_857_600
    assert parameters([32, 256, 16]) == 12_288


def loaded(settings: dict[str, Any], state: dict[str, torch.Tensor]) -> NerfactoRadiance:
    settings = settings | TARGET
    config = with_implementation(nerfacto_config(settings, "config.yml"), state)
    assert config.implementation == "tcnn"
    return NerfactoRadiance(config, nerfacto_tensors(settings, state, config, "it"), Similarity.identity())


def half(vector: torch.Tensor) -> np.ndarray:
    return vector.half().float().numpy()


@pytest.mark.parametrize("changes", [{}, OTHER, WIDER], ids=["default", "other", "wider"])
def test_networks_by_hand(changes):
    """Padded networks, as the library has them, give what ours without padding give."""
    settings = model_settings(**changes)
    state, rays = tiny_cuda_state(settings), some_rays(200)
    radiance = loaded(settings, state)
    outside = rays.origins.abs().max(-1).values > 1
    inside = to_unit_cube(rays.origins) if not settings["disable_scene_contraction"] else (rays.origins + 1) / 2
    for at, own in enumerate(radiance.proposals):
        net = "proposal_networks.0" if settings["use_same_proposal_network"] else f"proposal_networks.{at}"
        arguments = settings["proposal_net_args_list"][min(at, len(settings["proposal_net_args_list"]) - 1)]
        features = by_hand.grid(
            hash_encoding(arguments), half(state[f"{net}.encoding.tcnn_encoding.params"]), inside.numpy()
        )
        if arguments["use_linear"]:
            out = features @ state[f"{net}.linear.weight"].numpy().T + state[f"{net}.linear.bias"].numpy()
        else:
            vector = half(state[f"{net}.mlp_base.1.tcnn_encoding.params"])
            out = by_hand.network(perceptron(arguments["hidden_dim"], 2), vector, features, 1, 1.0)
        told = settings["average_init_density"] * np.exp(out[:, 0])
        compare_density(own(rays.origins)[0], told, outside & settings["disable_scene_contraction"])
    base, vector = perceptron(settings["hidden_dim"], 2), half(state["field.mlp_base.model.params"])
    split = by_hand.network_length(base, 8, 16)
    features = by_hand.grid(hash_encoding(settings), vector[split:], inside.numpy())
    out = by_hand.network(base, vector[:split], features, 16, 0.0)
    density, geometry = radiance.field(rays.origins)
    told = settings["average_init_density"] * np.exp(out[:, 0])
    compare_density(density, told, outside & settings["disable_scene_contraction"])
    within = density > 0
    np.testing.assert_allclose(geometry[within].numpy(), out[within.numpy(), 1:], atol=2e-5, rtol=2e-5)
    seen = [by_hand.harmonics((rays.directions.numpy() + 1) / 2), out[:, 1:]]
    seen.append(np.tile(radiance.appearance.numpy(), (len(out), 1)))
    head = perceptron(settings["hidden_dim_color"], 3, "Sigmoid")
    vector = half(state["field.mlp_head.tcnn_encoding.params"])
    told = by_hand.network(head, vector, np.concatenate(seen, axis=1), 3, 1.0)
    found = radiance._colours(rays.directions, torch.from_numpy(out[:, None, 1:]).float())
    np.testing.assert_allclose(found[:, 0].numpy(), told, atol=1e-5)
    assert told.std(0).min() > 0.02


def compare_density(found: torch.Tensor, told: np.ndarray, outside: torch.Tensor) -> None:
    np.testing.assert_allclose(found.numpy(), np.where(outside.numpy(), 0.0, told), rtol=5e-5, atol=1e-6)
    assert told.std() > 0


def test_pictures_have_colours():
    colour, _, accumulation = loaded(model_settings(), tiny_cuda_state(model_settings())).render_rays(some_rays())
    assert colour.isfinite().all()
    assert colour.std(0).min() > 0.02
    assert accumulation.max() > 0.5


VECTORS = [
    "field.mlp_base.model.params", "field.mlp_head.tcnn_encoding.params",
    "proposal_networks.0.encoding.tcnn_encoding.params", "proposal_networks.0.mlp_base.1.tcnn_encoding.params",
    "proposal_networks.1.encoding.tcnn_encoding.params",
]  # fmt: skip


@pytest.mark.parametrize("name", VECTORS)
def test_vectors_that_do_not_fit(name):
    settings = model_settings()
    state = tiny_cuda_state(settings)
    with pytest.raises(RunError, match=f"in {name}, and its settings make .*train it again"):
        loaded(settings, {**state, name: state[name][:-1]})
    with pytest.raises(RunError, match="its settings make"):
        loaded(settings, {**state, name: state[name][None]})
    if name != "field.mlp_base.model.params":
        del state[name]
        with pytest.raises(RunError, match=f"lacks '{name}' of a nerfacto: train it again"):
            loaded(settings, state)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"hidden_dim": 32}, r"in field\.mlp_base\.model\.params"),
        ({"hidden_dim_color": 64}, r"in field\.mlp_head\.tcnn_encoding\.params"),
        ({"base_res": 5}, r"in field\.mlp_base\.model\.params"),
        ({"features_per_level": 4}, r"in field\.mlp_base\.model\.params"),
        ({"hidden_dim": "wide"}, "another content"),
        ({"hidden_dim": 10**9}, "another content"),
        ({"proposal_net_args_list": [{**PROPOSAL, "hidden_dim": 32}, LINEAR]}, r"proposal_networks\.0"),
        ({"proposal_net_args_list": [{**PROPOSAL, "num_layers": 3}, LINEAR]}, r"proposal_networks\.0"),
    ],
)
def test_settings_that_do_not_fit(changes, says):
    state = tiny_cuda_state(model_settings())
    with pytest.raises(RunError, match=says):
        loaded(model_settings(**changes), state)


def test_what_the_linear_layer_takes():
    settings = model_settings()
    state = tiny_cuda_state(settings)
    state["proposal_networks.1.linear.weight"] = torch.zeros(1, 5)
    with pytest.raises(RunError, match="layers of other sizes"):
        loaded(settings, state)


def test_the_rest_of_older_checkpoints():
    """Other versions of nerfstudio name their networks otherwise."""
    settings = model_settings()
    state = {"field.mlp_base_grid.tcnn_encoding.params": torch.zeros(9), "field.aabb": torch.zeros(2, 3)}
    with pytest.raises(RunError, match=r"lacks 'field.mlp_base.model.params'"):
        loaded(settings, state)
