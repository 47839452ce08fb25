"""Training and commands on the fake `mps`: they ask for nothing that Apple's GPUs refuse, and answer as on a CPU."""

import json
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from fake_gpu import SUPPORTED, fake_gpu
from tiny import tiny_preset

import lerf
from lerf.apps.main import main
from lerf.radiance.surface import trace_surface
from lerf.run import surfaces
from lerf.run.settings import PRESETS
from lerf.stages import language_lift
from lerf.stages import surface as surface_stage

pytestmark = pytest.mark.skipif(not SUPPORTED, reason="this torch knows no devices of Python's own")
POINTS, STEPS, RAYS = 1500, 3, 64
on_mps = partial(fake_gpu, kind="mps")


@pytest.fixture(scope="module")
def runs(drawn, drawn_run, tmp_path_factory):
    """A run trained on the CPU, and two whose language was lifted: on `mps` and on the CPU."""
    folder = tmp_path_factory.mktemp("fake-mps")
    made = SimpleNamespace(
        trained=Path(shutil.copytree(drawn_run, folder / "trained")), lifted=folder / "lifted", cpu=folder / "cpu"
    )
    options = {"preset": "lerf-cpu", "language": "lift", "radiance_run": made.trained}
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PRESETS, "lerf-cpu", tiny_preset())
        for module in (surface_stage, language_lift):
            patch.setattr(module, "trace_surface", partial(trace_surface, points=POINTS))
        with on_mps():
            lerf.train(drawn.folder, made.lifted, device="mps", **options)
        lerf.train(drawn.folder, made.cpu, device="cpu", **options)
    return made


@pytest.fixture(autouse=True)
def few_points(monkeypatch):
    monkeypatch.setattr(surfaces, "trace_surface", partial(trace_surface, points=POINTS))


@pytest.mark.parametrize("kind", ["deferred", "per sample, points, poses"])
def test_training(kind, drawn, tmp_path, monkeypatch):
    preset = tiny_preset()
    training = replace(preset.radiance_training, steps=STEPS, rays=RAYS, grid_cells=256, grid_every=1)
    if kind != "deferred":
        training = replace(training, refine_poses=True, level_share=0.5, points="surfaces", distortion_ramp=(0, 1))
        layers, shading = PRESETS["lerf"].language.layers, PRESETS["lerf"].radiance.shading
        preset = replace(
            preset, radiance=replace(preset.radiance, shading=shading), language=replace(preset.language, layers=layers)
        )
    language = replace(preset.language_training, steps=STEPS, rays=RAYS, pool_rays=1000)
    monkeypatch.setitem(PRESETS, "lerf-cpu", replace(preset, radiance_training=training, language_training=language))
    monkeypatch.setattr(surface_stage, "trace_surface", partial(trace_surface, points=300))
    with on_mps():
        lerf.train(drawn.folder, tmp_path / "run", device="mps", preset="lerf-cpu")
        lerf.load(tmp_path / "run", device="mps").query("red")


def test_lifting_gives_what_it_gives_on_a_cpu(runs):
    codes = []
    for run in (runs.lifted, runs.cpu):
        index = lerf.load(run, device="cpu").language.index
        codes.append((index.keys, index.unit_codes @ index.compressed.basis))
    assert torch.equal(codes[0][0], codes[1][0])
    torch.testing.assert_close(codes[0][1], codes[1][1], atol=2e-2, rtol=0)


@pytest.mark.parametrize("kind", ["trained", "cpu"])
def test_a_query_answers_as_on_a_cpu(kind, runs, capsys):
    run = str(getattr(runs, kind))
    said = []
    for device in ("cpu", "mps"):
        with on_mps():
            assert main(["query", run, "red", "--device", device, "--json"]) == 0
        said.append(json.loads(capsys.readouterr().out)["queries"][0])
    here, there = said
    assert there["score"] == pytest.approx(here["score"], abs=1e-3)
    assert here["instances"]
    assert len(there["instances"]) == len(here["instances"])


def test_pictures_of_all_outputs(runs, tmp_path):
    options = ["--views", "images/0003.png", "--query", "red", "--raw", "--device", "mps"]
    with on_mps():
        assert main(["render", str(runs.trained), *options, "--output", str(tmp_path / "out")]) == 0
    assert list((tmp_path / "out").glob("*.png"))


def test_an_index_and_its_answers(runs, tmp_path):
    run = str(shutil.copytree(runs.trained, tmp_path / "baked"))
    with on_mps():
        assert main(["bake", run, "--compare", "red", "--device", "mps"]) == 0
        assert main(["query", run, "red", "--device", "mps"]) == 0


def test_an_evaluation(runs):
    with on_mps():
        assert main(["eval", str(runs.trained), "--protocol", "colour", "--device", "mps"]) == 0
