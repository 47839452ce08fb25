"""Pictures of a nerfacto here are nerfstudio's own, on more rays than `tests/radiance/test_nerfacto.py` has recorded.

For runs of tiny-cuda-nn nerfstudio is given a stand-in for that library, which needs a GPU: names of tensors, sizes
that are asked for and what is fed to it are nerfstudio's, what it computes is `tiny_cuda_by_hand`.
"""

from __future__ import annotations

from types import SimpleNamespace

import ns_commands
import pytest
import tiny_cuda_by_hand as by_hand
import torch
from nerfacto_files import OTHER, PHOTOS, TARGET, model_settings, model_state, some_rays, tiny_cuda_state

from lerf.geometry.similarity import Similarity
from lerf.radiance.nerfacto.layout import nerfacto_config, nerfacto_tensors, with_implementation
from lerf.radiance.nerfacto.radiance import NerfactoRadiance

ns_commands.require_nerfstudio()

RAYS = 512
CUTLASS = {"hidden_dim": 24, "hidden_dim_color": 40}


class ByHand(torch.nn.Module):
    """A module of tiny-cuda-nn's binding as nerfstudio makes and calls it, computed by `tiny_cuda_by_hand`."""

    def __init__(self, inputs, outputs=None, encoding_config=None, network_config=None):
        super().__init__()
        self.inputs, self.n_output_dims, self.encoding, self.network = inputs, outputs, encoding_config, network_config
        kind = (encoding_config or {}).get("otype")
        self.features = {"HashGrid": self._grid, "SphericalHarmonics": by_hand.harmonics}.get(kind, lambda x: x)
        self.entries = by_hand.grid_length(encoding_config) if kind == "HashGrid" else 0
        width = inputs
        if kind == "HashGrid":
            width = encoding_config["n_levels"] * encoding_config["n_features_per_level"]
        self.split = by_hand.network_length(network_config, width, outputs) if network_config else 0
        self.params = torch.nn.Parameter(torch.zeros(self.split + self.entries))

    def _grid(self, points):
        return by_hand.grid(self.encoding, self._numbers()[self.split :], points)

    def _numbers(self):
        return self.params.detach().half().float().numpy()

    def forward(self, inputs):
        assert inputs.shape[1] == self.inputs
        found = self.features(inputs.detach().numpy())
        if self.network is not None:
            padding = 1.0 if self.encoding is None else 0.0
            found = by_hand.network(self.network, self._numbers()[: self.split], found, self.n_output_dims, padding)
        return torch.from_numpy(found).float()


@pytest.fixture
def tiny_cuda(monkeypatch):
    """nerfstudio with a tiny-cuda-nn that needs no GPU."""

    def encoding(n_input_dims, encoding_config):
        return ByHand(n_input_dims, encoding_config=encoding_config)

    def network(n_input_dims, n_output_dims, network_config):
        assert network_config["otype"] == ("FullyFusedMLP" if network_config["n_neurons"] == 16 else "CutlassMLP")
        assert network_config["activation"] == "ReLU"
        return ByHand(n_input_dims, n_output_dims, network_config=network_config)

    def both(n_input_dims, n_output_dims, encoding_config, network_config):
        return ByHand(n_input_dims, n_output_dims, encoding_config, network_config)

    library = SimpleNamespace(Encoding=encoding, Network=network, NetworkWithInputEncoding=both)
    for module in ("encodings", "mlp"):
        monkeypatch.setattr(f"nerfstudio.field_components.{module}.TCNN_EXISTS", True)
        monkeypatch.setattr(f"nerfstudio.field_components.{module}.tcnn", library)


def pictures_agree(settings, state, rays, implementation, monkeypatch):
    """nerfstudio's model with these tensors shows what ours shows."""
    from nerfstudio.cameras.rays import RayBundle as TheirRays
    from nerfstudio.data.scene_box import SceneBox
    from nerfstudio.models.nerfacto import NerfactoModelConfig

    # It would download a network to score pictures with.
    monkeypatch.setattr(
        "torchmetrics.image.lpip.LearnedPerceptualImagePatchSimilarity", lambda **options: torch.nn.Identity()
    )
    box = SceneBox(aabb=torch.tensor([[-1.0, -1.0, -1.0], [1.0, 1.0, 1.0]]))
    model = NerfactoModelConfig(**settings, implementation=implementation).setup(
        scene_box=box, num_train_data=PHOTOS, metadata={}, device="cpu"
    )
    assert model.state_dict().keys() == state.keys()
    model.load_state_dict(state)
    model.eval()
    count = len(rays.origins)
    with torch.no_grad():
        theirs = model(
            TheirRays(
                origins=rays.origins,
                directions=rays.directions,
                pixel_area=torch.ones(count, 1),
                camera_indices=torch.zeros(count, 1, dtype=torch.long),
            )
        )
    settings = settings | TARGET
    config = with_implementation(nerfacto_config(settings, "it"), state)
    assert config.implementation == implementation
    ours = NerfactoRadiance(config, nerfacto_tensors(settings, state, config, "it"), Similarity.identity())
    colour, depth, accumulation = ours.render_rays(rays)
    torch.testing.assert_close(colour, theirs["rgb"], atol=1e-4, rtol=0)
    torch.testing.assert_close(accumulation, theirs["accumulation"][:, 0], atol=1e-4, rtol=0)
    opaque = accumulation > 0.999
    torch.testing.assert_close(depth[opaque], theirs["depth"][opaque, 0], atol=0, rtol=1e-3)


@pytest.mark.parametrize("changes", [{}, OTHER], ids=["default", "other"])
def test_pictures_are_those_of_nerfacto(changes, monkeypatch):
    settings = model_settings(**changes)
    pictures_agree(settings, model_state(settings), some_rays(RAYS), "torch", monkeypatch)


@pytest.mark.parametrize("changes", [{}, OTHER, CUTLASS], ids=["default", "other", "cutlass"])
def test_pictures_are_those_of_nerfacto_with_tiny_cuda_nn(changes, tiny_cuda, monkeypatch):
    settings = model_settings(**changes)
    pictures_agree(settings, tiny_cuda_state(settings), some_rays(RAYS), "tcnn", monkeypatch)
