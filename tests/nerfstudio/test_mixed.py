"""Photos of several sizes with masks, corrected cameras, no regulariser: trained, rendered and imported."""

from __future__ import annotations

from pathlib import Path

import ns_commands
import numpy as np
import pytest
import torch
from small_capture import write_mixed_capture

import lerf
from lerf.run.nerfstudio_run import read_checkpoint, read_nerfstudio_run
from lerf.scenes.load import load_scene
from lerf.stages.nerfstudio_import import import_run

ns_commands.require_nerfstudio()

STEPS = 30


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("mixed")
    data = write_mixed_capture(root / "capture")
    options = ns_commands.train_options(data, root / "outputs", STEPS)
    ns_commands.run(
        "ns-train", *options, "--pipeline.datamanager.dense", "none",
        "--pipeline.model.camera-optimizer.mode", "SO3xR3", "nerfstudio-data",
    )  # fmt: skip
    return root


def test_cameras_are_corrected_and_imported(mixed):
    folder = mixed / "outputs" / "small" / "lerf-cpu" / "now"
    corrections = read_checkpoint(read_nerfstudio_run(folder)).tensors["camera_optimizer.pose_adjustment"]
    assert bool((corrections != 0).any())
    run = import_run(folder, mixed / "run", device="cpu")
    before, after = load_scene(mixed / "capture"), run.read_scene()
    moved = [
        np.abs(before.photos[index].camera.camera_to_world - after.photos[index].camera.camera_to_world).max()
        for index in after.train
    ]
    assert 1e-6 < max(moved) < 0.1
    model = lerf.load(run.path, device="cpu")
    assert model.language.dense_width == 0
    assert model.query("a mug").queries[0].text == "a mug"


def test_every_photo_is_rendered_in_its_size(mixed):
    from nerfstudio.utils.eval_utils import eval_setup

    _, pipeline, _, _ = eval_setup(mixed / "outputs" / "small" / "lerf-cpu" / "now" / "config.yml")
    cameras = pipeline.datamanager.train_dataset.cameras
    sizes = set()
    for number in range(2):
        outputs = pipeline.model.get_outputs_for_camera(cameras[number : number + 1])
        shape = int(cameras.height[number]), int(cameras.width[number])
        assert outputs["rgb"].shape == (*shape, 3)
        assert outputs["relevancy_0"].shape == (*shape, 1)
        assert all(bool(torch.isfinite(value).all()) for value in outputs.values())
        assert "dino" not in outputs
        sizes.add(shape)
    assert len(sizes) == 2
