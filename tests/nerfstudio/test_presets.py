"""The methods with the sizes of the authors, on a CPU: tiny CLIP and DINO in the hub's layout, under the real names."""

from __future__ import annotations

import socket
from pathlib import Path

import ns_commands
import pytest
import torch
from checkpoints import WIDTH, into_hub_cache, write_clip, write_dense
from small_capture import write_small_capture

from lerf.encoders.published import PUBLISHED
from lerf.run.nerfstudio_facts import read_plug_in_facts
from lerf.run.nerfstudio_run import read_nerfstudio_run

ns_commands.require_nerfstudio()
pytest.importorskip("transformers")

STEPS, START, RAYS = 50, 20, 512
WIDER = pytest.mark.slow


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_capture(tmp_path_factory.mktemp("presets") / "capture", every=12)


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The encoders of the methods, and no way to the hub itself."""
    write_clip(tmp_path / "clip")
    write_dense(tmp_path / "dino")
    for name, folder in (("openclip", "clip"), ("openclip-l", "clip"), ("dino", "dino")):
        into_hub_cache(tmp_path / folder, tmp_path / "hub", PUBLISHED[name].model)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.mark.parametrize(
    ("method", "encoder", "watched"),
    [
        ("lerf-lite", "openclip", "viewer+tensorboard"),
        pytest.param("lerf", "openclip", "tensorboard", marks=WIDER),
        pytest.param("lerf-big", "openclip-l", "tensorboard", marks=WIDER),
    ],
)
def test_fifty_steps(method, encoder, watched, capture, weights, tmp_path, monkeypatch):
    monkeypatch.delenv("LERF_POSITIVES", raising=False)
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    ns_commands.run(
        "ns-train", method, "--data", capture, "--output-dir", tmp_path / "outputs", "--experiment-name", "small",
        "--timestamp", "now", "--vis", watched, "--viewer.websocket-port", port,
        "--viewer.quit-on-train-completion", True, "--machine.device-type", "cpu", "--max-num-iterations", STEPS,
        "--pipeline.model.language-start", START, "--pipeline.datamanager.train-num-rays-per-batch", RAYS,
        "--prompt", "a red mug;the fox", "nerfstudio-data",
    )  # fmt: skip
    folder = tmp_path / "outputs" / "small" / method / "now"
    assert len(list(folder.glob("events.out.tfevents.*"))) == 1
    facts = read_plug_in_facts(folder)
    assert (facts.encoder, facts.dense, facts.features) == (encoder, "dino", "tiles")
    assert read_nerfstudio_run(folder).model["preset"] == method
    from nerfstudio.utils.eval_utils import eval_setup

    _, pipeline, _, step = eval_setup(folder / "config.yml")
    assert step == STEPS - 1
    model = pipeline.model
    assert model.language.head[-1].out_features == WIDTH
    assert (model.radiance.config.levels, model.radiance.config.log2_entries) == (16, 19)
    outputs = model.get_outputs_for_camera(pipeline.datamanager.train_dataset.cameras[0:1])
    shape = outputs["rgb"].shape[:2]
    channels = {name: value.shape[2] for name, value in outputs.items() if value.shape[:2] == shape}
    assert channels == {
        "rgb": 3, "depth": 1, "accumulation": 1, "clip": 3, "dino": 3,
        "relevancy_0": 1, "relevancy_1": 1, "composited_0": 3, "composited_1": 3,
    }  # fmt: skip
    assert all(bool(torch.isfinite(value).all()) for value in outputs.values())
    assert outputs["clip"].std() > 1e-3
