"""`lerf train CAPTURE --radiance NS_RUN`: language is trained on the radiance of a nerfacto."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from command_line import refused
from nerfacto_files import PHOTOS, TARGET, model_settings, model_state, tiny_cuda_state, write_run
from short_runs import Listener, settings_of

import lerf
from lerf.errors import ConfigError, RunError
from lerf.radiance.nerfacto.layout import nerfacto_config, nerfacto_tensors, with_implementation
from lerf.radiance.nerfacto.radiance import NerfactoRadiance
from lerf.scenes.load import load_scene
from lerf.scenes.nerfstudio_frame import nerfstudio_frame
from lerf.stages.train import train
from lerf.steps import finish


@pytest.fixture(scope="module")
def theirs(drawn, tmp_path_factory):
    """A nerfacto run whose frame is the one that nerfstudio makes of the capture."""
    frame = nerfstudio_frame(load_scene(drawn.folder))
    transform = np.concatenate([frame.rotation, frame.translation[:, None] / frame.scale], axis=1)
    settings = model_settings()
    state = model_state(settings)
    state["camera_optimizer.pose_adjustment"] = torch.full((PHOTOS, 6), 0.01)
    folder = tmp_path_factory.mktemp("nerfacto") / "run"
    return write_run(folder, settings, state, transform=transform.tolist(), scale=frame.scale), frame


def test_language_on_a_nerfacto(drawn, tiny, theirs, tmp_path):
    folder, frame = theirs
    settings = settings_of(drawn.folder, radiance_run=folder, language_source="lift", downscale=4)
    listener = Listener()
    run = train(settings, tmp_path / "run", reporter=listener)
    assert any("corrected the cameras of 5 photos" in note for note in listener.notes)
    assert "radiance" not in listener.stages
    model = lerf.load(run.path, device="cpu")
    assert isinstance(model.radiance, NerfactoRadiance)
    assert model.query("red").queries[0].text == "red"
    # Rays are those of the capture's cameras in nerfstudio's frame.
    moved = model.radiance._moved(model.cameras.rays(torch.tensor([3]), torch.tensor([[5.0, 7.0]])))
    camera = model.scene.photos[3].camera.moved(frame)
    np.testing.assert_allclose(moved[0][0].numpy(), camera.camera_to_world[:, 3], atol=1e-5)
    picture = finish(model.radiance.render(model.cameras, 3))
    assert picture.colour.isfinite().all()
    # The same command has nothing left to do, nor does it need the nerfstudio run's checkpoint for that.
    facts = json.loads((run.path / "config.json").read_text())
    assert facts["settings"]["radiance_run"] == str(folder)


def test_language_on_a_nerfacto_of_tiny_cuda_nn(drawn, tiny, theirs, tmp_path):
    """The run keeps which library trained it: opened again, it shows what its checkpoint shows."""
    settings = model_settings()
    state = tiny_cuda_state(settings)
    frame = theirs[1]
    transform = np.concatenate([frame.rotation, frame.translation[:, None] / frame.scale], axis=1)
    folder = write_run(tmp_path / "theirs", settings, state, transform=transform.tolist(), scale=frame.scale)
    options = settings_of(drawn.folder, radiance_run=folder, language_source="lift", downscale=4)
    model = lerf.load(train(options, tmp_path / "run").path, device="cpu")
    assert model.query("red").queries[0].text == "red"
    assert model.radiance.config.implementation == "tcnn"
    settings = settings | TARGET
    config = with_implementation(nerfacto_config(settings, "it"), state)
    tensors = nerfacto_tensors(settings, state, config, "it")
    direct = NerfactoRadiance(config, tensors, frame.after(model.scene.similarity.inverse()))
    rays = model.cameras.rays(torch.tensor([3, 4]), torch.tensor([[5.0, 7.0], [9.0, 2.0]]))
    for one, other in zip(model.radiance.render_rays(rays), direct.render_rays(rays), strict=True):
        assert torch.equal(one.nan_to_num(-1.0), other.nan_to_num(-1.0))
    short = write_run(tmp_path / "short", model_settings(hidden_dim=32), state)
    with pytest.raises(RunError, match=r"numbers in field\.mlp_base\.model\.params, and its settings make"):
        train(settings_of(drawn.folder, radiance_run=short), tmp_path / "no run")
    assert not (tmp_path / "no run").exists()


def test_what_does_not_fit_leaves_no_run(drawn, tiny, theirs, tmp_path):
    few = write_run(tmp_path / "other", state=model_state(model_settings()))
    (few / "config.yml").write_text((few / "config.yml").read_text().replace("NerfactoModel ''", "SplatfactoModel ''"))
    with pytest.raises(RunError, match="SplatfactoModel"):
        train(settings_of(drawn.folder, radiance_run=few), tmp_path / "run")
    state = model_state(model_settings())
    state["field.embedding_appearance.embedding.weight"] = torch.zeros(1000, 4)
    many = write_run(tmp_path / "many", state=state)
    with pytest.raises(ConfigError, match="trained on 1000 photos"):
        train(settings_of(drawn.folder, radiance_run=many), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_sizes_of_a_radiance_that_is_not_ours_are_refused(theirs, tmp_path, capsys):
    arguments = ["train", "CAPTURE", "--output", str(tmp_path / "run"), "--device", "cpu", "--radiance", str(theirs[0])]
    assert "--radiance.levels" in refused(capsys, *arguments, "--radiance.levels", "9")


def test_settings_know_a_nerfacto_from_a_run(theirs):
    settings = settings_of("capture", radiance_run=theirs[0])
    assert replace(settings, radiance_run=None).radiance == settings.radiance
