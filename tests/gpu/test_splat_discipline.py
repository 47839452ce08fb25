"""A splat on the fake GPU: lifted, asked and drawn, its tensors are of one device."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest
from analytic import AnalyticCapture
from fake_gpu import SUPPORTED, fake_gpu, triton_is_interpreted
from splat_scene import splat_of, write_capture

from lerf.apps.main import main
from lerf.radiance.surface import trace_surface
from lerf.run.make_settings import make_settings
from lerf.splats.files import write_splats
from lerf.stages import language_lift
from lerf.stages import surface as surface_stage
from lerf.stages.train import train

pytestmark = [
    pytest.mark.skipif(not SUPPORTED, reason="this torch knows no devices of Python's own"),
    pytest.mark.skipif(triton_is_interpreted(), reason="interpreted, a picture of a splat takes minutes"),
]
POINTS = 3000


@pytest.fixture(scope="module")
def run(analytic_capture: AnalyticCapture, tmp_path_factory) -> Path:
    """A splat whose language was lifted on the device."""
    folder = write_capture(analytic_capture, tmp_path_factory.mktemp("splat-gpu") / "capture")
    splat = folder.parent / "scene.ply"
    write_splats(splat, splat_of(analytic_capture))
    with pytest.MonkeyPatch.context() as patch, fake_gpu():
        for module in (surface_stage, language_lift):
            patch.setattr(module, "trace_surface", partial(trace_surface, points=POINTS))
        settings = make_settings(
            folder, radiance_run=str(splat), device="cuda", encoder="colour-words", dense="colour-map"
        )
        return train(settings, folder.parent / "run").path


def test_a_query(run, capsys) -> None:
    with fake_gpu():
        assert main(["query", str(run), "red ball", "--device", "cuda", "--json"]) == 0
        on_device = json.loads(capsys.readouterr().out)["queries"][0]
    assert main(["query", str(run), "red ball", "--device", "cpu", "--json"]) == 0
    here = json.loads(capsys.readouterr().out)["queries"][0]
    assert on_device["present"] == here["present"]
    for one, other in zip(on_device["instances"], here["instances"], strict=True):
        assert one["point"] == pytest.approx(other["point"], abs=1e-3)


def test_pictures(run, tmp_path) -> None:
    with fake_gpu():
        options = ["--query", "red ball", "--device", "cuda"]
        assert main(["render", str(run), *options, "--output", str(tmp_path / "out")]) == 0
    assert list((tmp_path / "out").glob("*.png"))


def test_an_export(run, tmp_path) -> None:
    with fake_gpu():
        out = tmp_path / "out.ply"
        options = ["--what", "splat", "--query", "red ball", "--crop", "--device", "cuda"]
        assert main(["export", str(run), str(out), *options]) == 0
    assert out.stat().st_size > 1000
