"""The recorded numbers of `tests/radiance/test_nerfacto.py` are nerfstudio's, and ours agree with it on more rays."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import ns_commands
import pytest
import torch
from nerfacto_files import PHOTOS, model_settings, model_state

from lerf.geometry.rays import RayBundle
from lerf.geometry.similarity import Similarity
from lerf.radiance.nerfacto.layout import nerfacto_config, nerfacto_tensors
from lerf.radiance.nerfacto.radiance import NerfactoRadiance

ns_commands.require_nerfstudio()

FAST = Path(__file__).parents[1] / "radiance" / "test_nerfacto.py"
RAYS = 512


@pytest.fixture(scope="module")
def fast():
    """The module of the fast tests, for its settings and recorded numbers."""
    spec = importlib.util.spec_from_file_location("fast_nerfacto", FAST)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["default", "other"])
def test_pictures_are_those_of_nerfacto(name, fast, monkeypatch):
    from nerfstudio.cameras.rays import RayBundle as TheirRays
    from nerfstudio.data.scene_box import SceneBox
    from nerfstudio.models.nerfacto import NerfactoModelConfig

    # It would download a network to score pictures with.
    monkeypatch.setattr(
        "torchmetrics.image.lpip.LearnedPerceptualImagePatchSimilarity", lambda **options: torch.nn.Identity()
    )
    settings = model_settings(**(fast.OTHER if name == "other" else {}))
    state, rays = model_state(settings), fast.some_rays(RAYS)
    box = SceneBox(aabb=torch.tensor([[-1.0, -1.0, -1.0], [1.0, 1.0, 1.0]]))
    model = NerfactoModelConfig(**settings, implementation="torch").setup(
        scene_box=box, num_train_data=PHOTOS, metadata={}, device="cpu"
    )
    assert model.state_dict().keys() == state.keys()
    model.load_state_dict(state)
    model.eval()
    with torch.no_grad():
        theirs = model(
            TheirRays(
                origins=rays.origins,
                directions=rays.directions,
                pixel_area=torch.ones(RAYS, 1),
                camera_indices=torch.zeros(RAYS, 1, dtype=torch.long),
            )
        )
    config = nerfacto_config(settings | fast.TARGET, "it")
    ours = NerfactoRadiance(config, nerfacto_tensors(settings, state, config, "it"), Similarity.identity())
    colour, depth, accumulation = ours.render_rays(
        RayBundle(rays.origins, rays.directions, rays.axis_cosine, rays.photo)
    )
    torch.testing.assert_close(colour, theirs["rgb"], atol=1e-4, rtol=0)
    torch.testing.assert_close(accumulation, theirs["accumulation"][:, 0], atol=1e-4, rtol=0)
    opaque = accumulation > 0.999
    torch.testing.assert_close(depth[opaque], theirs["depth"][opaque, 0], atol=0, rtol=1e-3)
    first = fast.some_rays()
    assert torch.equal(first.origins[:1].isfinite(), torch.ones(1, 3, dtype=torch.bool))
