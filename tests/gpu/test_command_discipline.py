"""Commands on the fake GPU: their tensors are of one device, and they wait for it a few times a photo at most."""

import json
import shutil
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
from fake_gpu import LEDGER, SUPPORTED, fake_gpu
from tiny import tiny_preset

import lerf
from lerf.apps.main import main
from lerf.radiance.surface import trace_surface
from lerf.run import surfaces
from lerf.run.settings import PRESETS
from lerf.stages import language_lift
from lerf.stages import surface as surface_stage

pytestmark = pytest.mark.skipif(not SUPPORTED, reason="this torch knows no devices of Python's own")
POINTS = 3000


@pytest.fixture(scope="module")
def runs(drawn, drawn_run, tmp_path_factory):
    """A trained run, and one whose language was lifted on the device."""
    folder = tmp_path_factory.mktemp("fake-gpu")
    made = SimpleNamespace(trained=Path(shutil.copytree(drawn_run, folder / "trained")), lifted=folder / "lifted")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PRESETS, "lerf-cpu", tiny_preset())
        for module in (surface_stage, language_lift):
            patch.setattr(module, "trace_surface", partial(trace_surface, points=POINTS))
        with fake_gpu() as ledger:
            options = {"device": "cuda", "preset": "lerf-cpu", "language": "lift", "radiance_run": made.trained}
            lerf.train(drawn.folder, made.lifted, **options)
            made.lift_waits = sum(ledger.waits.values())
    return made


@pytest.fixture(autouse=True)
def few_points(monkeypatch):
    monkeypatch.setattr(surfaces, "trace_surface", partial(trace_surface, points=POINTS))


def test_lifting_waits_less_than_a_dozen_times_a_photo(runs, drawn):
    photos = len(json.loads((drawn.folder / "transforms.json").read_text())["frames"])
    # Of these some hundred and fifty are files, read and written.
    assert runs.lift_waits < 150 + 12 * photos


@pytest.mark.parametrize("kind", ["trained", "lifted"])
def test_a_query(kind, runs, capsys):
    with fake_gpu():
        model = lerf.load(getattr(runs, kind), device="cuda")
        model.query("red")
        LEDGER.clear()
        model.query("blue")
        assert sum(LEDGER.waits.values()) < 150, LEDGER.waits.most_common(9)
        assert main(["query", str(getattr(runs, kind)), "red", "--device", "cuda", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["queries"][0]["text"] == "red"


def test_pictures(runs, tmp_path):
    options = ["--views", "images/0003.png", "--query", "red", "--raw", "--device", "cuda"]
    with fake_gpu():
        assert main(["render", str(runs.trained), *options, "--output", str(tmp_path / "out")]) == 0
    assert list((tmp_path / "out").glob("*.png"))


def test_an_index_and_its_answers(runs):
    with fake_gpu():
        assert main(["bake", str(runs.trained), "--compare", "red", "--device", "cuda"]) == 0
        assert main(["query", str(runs.trained), "red", "--device", "cuda"]) == 0


def test_an_evaluation(runs):
    with fake_gpu():
        assert main(["eval", str(runs.trained), "--protocol", "colour", "--device", "cuda"]) == 0


@pytest.mark.slow
@pytest.mark.parametrize("what", ["cloud", "mesh", "splat"])
def test_exports(what, drawn_run, tmp_path):
    with fake_gpu():
        out = tmp_path / "out.ply"
        assert main(["export", str(drawn_run), str(out), "--what", what, "--device", "cuda"]) == 0
    assert out.stat().st_size > 1000
