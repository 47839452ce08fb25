"""A nerfacto checkpoint shows here what nerfstudio shows of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from nerfacto_files import LINEAR, OTHER, TARGET, model_settings, model_state, some_rays

from lerf.errors import RunError
from lerf.geometry.camera import Camera
from lerf.geometry.camera_table import CameraTable
from lerf.geometry.similarity import Similarity, rotation_to_z
from lerf.radiance.nerfacto.layout import nerfacto_config, nerfacto_tensors
from lerf.radiance.nerfacto.radiance import NerfactoRadiance
from lerf.radiance.protocol import Radiance
from lerf.steps import finish

RECORDED: dict[str, dict[str, Any]] = {
    "default": {
        "rgb": [
            [0.15531, 0.26577, 0.50833],
            [0.00775, 0.03715, 0.97424],
            [0.25367, 0.25419, 0.65709],
            [0.22395, 0.16001, 0.64965],
            [0.21575, 0.24622, 0.5359],
            [0.22042, 0.29481, 0.58809],
        ],
        "accumulation": [0.98706, 0.18347, 0.85949, 0.99269, 0.73434, 0.97477],
        "depth": [0.1165, 0.2338, 0.205, 0.3236, 0.3513, 0.2492],
    },
    "other": {
        "rgb": [
            [0.63658, 0.65365, 0.882],
            [0.60156, 0.66119, 0.86909],
            [0.91449, 0.92171, 0.97471],
            [0.68602, 0.7183, 0.94981],
            [0.6187, 0.64781, 0.81354],
            [0.29329, 0.37352, 0.7327],
        ],
        "accumulation": [0.4775, 0.47117, 0.09777, 0.3805, 0.56762, 0.82702],
        "depth": [0.7418, 0.7094, 1.2419, 0.6174, 0.7975, 0.6406],
    },
}
"""What nerfstudio 1.1.5 rendered of the same weights and rays; `tests/nerfstudio/test_nerfacto.py` asks it anew."""


def radiance(to_theirs: Similarity | None = None, **changes: Any) -> NerfactoRadiance:
    settings = model_settings(**changes) | TARGET
    state = model_state(settings)
    config = nerfacto_config(settings, "config.yml")
    return NerfactoRadiance(config, nerfacto_tensors(settings, state, config, "it"), to_theirs or Similarity.identity())


@pytest.mark.parametrize(("name", "changes"), [("default", {}), ("other", OTHER)])
def test_pictures_are_those_of_nerfstudio(name, changes):
    colour, depth, accumulation = radiance(**changes).render_rays(some_rays())
    told = {key: torch.tensor(values) for key, values in RECORDED[name].items()}
    count = len(told["rgb"])
    torch.testing.assert_close(colour[:count], told["rgb"], atol=5e-5, rtol=0)
    torch.testing.assert_close(accumulation[:count], told["accumulation"], atol=5e-5, rtol=0)
    # Theirs is the median of all light, ours of what stops: the same where all of it does.
    opaque = accumulation[:count] > 0.98
    assert name == "other" or opaque.any()
    torch.testing.assert_close(depth[:count][opaque], told["depth"][opaque], atol=0, rtol=1e-3)


def table_of(frame: Similarity) -> CameraTable:
    """A camera of nerfstudio's frame, seen from the one that `frame` comes from."""
    pose = np.concatenate([rotation_to_z(np.array([0.3, -0.8, 0.5])), [[0.4], [-0.2], [0.6]]], axis=1)
    return CameraTable.from_cameras([Camera(24, 16, 20.0, 20.0, 12.0, 8.0, pose).moved(frame.inverse())])


FRAME = Similarity(rotation_to_z(np.array([0.2, 0.3, 0.9])), np.array([0.3, -1.2, 0.4]), 0.25)


def test_another_frame_changes_lengths_alone():
    plain, moved = radiance(), radiance(FRAME)
    assert isinstance(moved, Radiance)
    one = finish(plain.render(table_of(Similarity.identity()), 0))
    other = finish(moved.render(table_of(FRAME), 0))
    torch.testing.assert_close(other.colour, one.colour, atol=2e-3, rtol=0)
    torch.testing.assert_close(other.accumulation, one.accumulation, atol=2e-3, rtol=0)
    both = ~(one.depth.isnan() | other.depth.isnan())
    assert both.float().mean() > 0.5
    far = ((other.depth * FRAME.scale - one.depth).abs() / one.depth)[both]
    assert far.quantile(0.95) < 1e-2


def test_traced_rays_stop_where_pictures_show():
    source, cameras = radiance(FRAME), table_of(FRAME)
    picture = finish(source.render(cameras, 0))
    y, x = torch.meshgrid(torch.arange(16) + 0.5, torch.arange(24) + 0.5, indexing="ij")
    pixels = torch.stack([x, y], -1).reshape(-1, 2)
    rays = source.trace(cameras, torch.zeros(len(pixels), dtype=torch.int64), pixels, 4)
    shown = picture.depth.flatten()
    assert torch.equal(rays.hit, ~shown.isnan())
    torch.testing.assert_close(rays.median_depth[rays.hit], shown[rays.hit])
    torch.testing.assert_close(rays.weights.sum(-1), torch.ones(len(pixels)))
    again, depth = cameras.project(0, rays.median_position)
    torch.testing.assert_close(depth, rays.median_depth, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(again[rays.hit], pixels[rays.hit], atol=1e-2, rtol=0)
    assert len(source.trace(cameras, torch.zeros(0, dtype=torch.int64), torch.zeros(0, 2), 4)) == 0


def test_another_model():
    with pytest.raises(RunError, match="SplatfactoModel"):
        nerfacto_config({"_target": "nerfstudio.models.splatfacto.SplatfactoModel"}, "config.yml")
    with pytest.raises(RunError, match="has not the settings of a nerfacto"):
        nerfacto_config(TARGET, "config.yml")
    with pytest.raises(RunError, match="another content"):
        nerfacto_config(model_settings(num_levels=10**6) | TARGET, "config.yml")


@pytest.mark.parametrize(
    "name",
    [
        "field.mlp_base.model.0.hash_table", "field.mlp_base.model.1.layers.1.weight", "field.mlp_head.layers.0.weight",
        "proposal_networks.0.mlp_base.1.layers.0.bias", "proposal_networks.1.linear.weight", "field.aabb",
        "field.embedding_appearance.embedding.weight",
    ],
)  # fmt: skip
def test_tensors_that_do_not_fit(name):
    settings = model_settings() | TARGET
    config, state = nerfacto_config(settings, "it"), model_state(settings)
    nerfacto_tensors(settings, state, config, "it")
    with pytest.raises(RunError, match="train it again"):
        nerfacto_tensors(settings, {**state, name: state[name][..., :1].repeat(1, 1, 1)}, config, "it")
    if name != "field.embedding_appearance.embedding.weight":
        del state[name]
        with pytest.raises(RunError, match="train it again"):
            nerfacto_tensors(settings, state, config, "it")


def test_proposals_repeat_the_last_of_their_list():
    config = nerfacto_config(model_settings(proposal_net_args_list=[LINEAR]) | TARGET, "it")
    assert len(config.proposals) == 2
    assert config.proposals[0] == config.proposals[1]
