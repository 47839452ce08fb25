"""Training and commands on the fake `mps`: they ask for nothing that Apple's GPUs refuse, and answer as on a CPU."""

import json
import shutil
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from drawn_scene import write_generated_scene
from fake_gpu import LEDGER, SUPPORTED, fake_gpu, held
from tiny import tiny_preset

import lerf
from lerf.apps.main import main
from lerf.evaluation.baseline import pyramid_map
from lerf.pyramids.lookup import leading_basis
from lerf.pyramids.store import build_pyramids
from lerf.radiance.surface import trace_surface
from lerf.run import surfaces
from lerf.run.settings import PRESETS, Preset
from lerf.stages import language_lift
from lerf.stages import steps as steps_file
from lerf.stages import surface as surface_stage

pytestmark = pytest.mark.skipif(not SUPPORTED, reason="this torch knows no devices of Python's own")
POINTS, PHOTO = 300, "images/0003.png"
AT_REPORTS = ("training/loop.py", "training/checkpoint.py")
on_mps = partial(fake_gpu, kind="mps")


def preset_of(steps: int, rays: int) -> Preset:
    """The preset of the tests, smaller and shorter: the fake device takes its time over every operation."""
    tiny = tiny_preset()
    return replace(
        tiny,
        radiance=replace(tiny.radiance, levels=3, finest=48),
        language=replace(tiny.language, grids=((3, 8, 48),)),
        radiance_training=replace(tiny.radiance_training, steps=steps, rays=rays, grid_cells=1024, grid_every=4),
        language_training=replace(tiny.language_training, steps=steps, rays=rays, pool_rays=2000, decay_steps=steps),
    )


def per_sample() -> Preset:
    """With the networks of the preset `lerf`, and with points and poses that are refined."""
    short, whole = preset_of(3, 64), PRESETS["lerf"]
    training = replace(
        short.radiance_training, refine_poses=True, level_share=0.5, points="surfaces", distortion_ramp=(0, 1),
        grid_every=1,
    )  # fmt: skip
    return replace(
        short,
        radiance=replace(short.radiance, shading=whole.radiance.shading),
        radiance_training=training,
        language=replace(short.language, layers=whole.language.layers),
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A small capture, a run of it that was trained on the CPU, and one whose language was lifted on `mps`."""
    folder = tmp_path_factory.mktemp("fake-mps")
    made = SimpleNamespace(capture=folder / "capture", trained=folder / "trained", lifted=folder / "lifted")
    write_generated_scene(made.capture, views=6, width=48, height=36)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PRESETS, "lerf-cpu", preset_of(400, 1024))
        for module in (surfaces, surface_stage, language_lift):
            patch.setattr(module, "trace_surface", partial(trace_surface, points=POINTS))
        lerf.train(made.capture, made.trained, device="cpu", preset="lerf-cpu")
        with on_mps():
            lerf.train(
                made.capture, made.lifted, device="mps", preset="lerf-cpu", language="lift", radiance_run=made.trained
            )
    return made


@pytest.fixture(autouse=True)
def few_points(monkeypatch):
    for module in (surfaces, surface_stage):
        monkeypatch.setattr(module, "trace_surface", partial(trace_surface, points=POINTS))


@pytest.mark.parametrize("preset", [preset_of(3, 64), per_sample()], ids=["deferred", "per sample"])
def test_training_and_a_query_of_what_was_trained(preset, made, tmp_path, monkeypatch):
    waited, plain = {}, steps_file.train_steps

    def watched(name, *arguments, **named):
        LEDGER.clear()
        plain(name, *arguments, **named)
        assert LEDGER.launched > 100
        waited[name] = [line for line in LEDGER.waits if not line.startswith(AT_REPORTS)]

    monkeypatch.setattr(steps_file, "train_steps", watched)
    monkeypatch.setitem(PRESETS, "lerf-cpu", preset)
    with on_mps():
        lerf.train(made.capture, tmp_path / "run", device="mps", preset="lerf-cpu")
        lerf.load(tmp_path / "run", device="mps").query("red")
    assert waited == {"radiance": [], "language": []}


@pytest.mark.parametrize("kind", ["trained", "lifted"])
def test_a_query_answers_as_on_a_cpu(kind, made, capsys):
    said = []
    for device in ("cpu", "mps"):
        with on_mps():
            assert main(["query", str(getattr(made, kind)), "red", "--device", device, "--json"]) == 0
        said.append(json.loads(capsys.readouterr().out)["queries"][0])
    here, there = said
    assert there["relevancy"] == pytest.approx(here["relevancy"], abs=1e-3)
    assert here["instances"] or kind == "lifted"
    assert len(there["instances"]) == len(here["instances"])


def test_pictures(made, tmp_path):
    options = ["--views", PHOTO, "--query", "red", "--raw", "--features", "--output", str(tmp_path / "out")]
    with on_mps():
        assert main(["render", str(made.trained), *options, "--device", "mps"]) == 0
    assert list((tmp_path / "out").glob("*.png"))


def test_an_index_and_its_answers(made, tmp_path):
    run = str(shutil.copytree(made.trained, tmp_path / "baked"))
    with on_mps():
        assert main(["bake", run, "--compare", "red", "--device", "mps"]) == 0
        assert main(["query", run, "red", "--device", "mps"]) == 0


def test_an_evaluation(made):
    with on_mps():
        assert main(["eval", str(made.lifted), "--protocol", "colour", "--device", "mps"]) == 0


def test_the_pyramid_of_a_photo(made):
    """The 2D baseline, and the basis that lifting onto Gaussians starts from."""
    maps, spans = [], []
    for device in ("cpu", "mps"):
        with on_mps():
            model = lerf.load(made.trained, device=device)
            maps.append(pyramid_map(model, model.phrases("red"), 0))
            store = build_pyramids([lambda: model.scene.pixels(0)], model.encoder, device=device)  # noqa: B023
            basis = held(leading_basis(store, 4, 0.999, device))
            spans.append(basis.T @ basis)
    torch.testing.assert_close(*maps, rtol=0, atol=3e-3)
    torch.testing.assert_close(*spans, rtol=0, atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("what", ["cloud", "mesh", "splat"])
def test_exports(what, made, tmp_path):
    with on_mps():
        out = tmp_path / "out.ply"
        assert main(["export", str(made.lifted), str(out), "--what", what, "--device", "mps"]) == 0
    assert out.stat().st_size > 1000
