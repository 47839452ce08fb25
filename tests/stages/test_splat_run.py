"""A run whose radiance is a file of splats: read, held against the photos, given language, asked."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from analytic import SPHERES, AnalyticCapture
from short_runs import Listener, StopAt
from splat_scene import splat_of, write_capture

import lerf
from lerf.apps.main import main
from lerf.errors import ConfigError, LerfError, LerfWarning, RunError, SceneError, SplatError
from lerf.language.gaussian_language import GaussianLanguage
from lerf.radiance.splats.radiance import SplatRadiance
from lerf.run.folder import RunFolder
from lerf.run.make_settings import make_settings
from lerf.run.open_run import open_splats
from lerf.scenes.load import load_scene
from lerf.scenes.nerfstudio_frame import nerfstudio_frame
from lerf.splats.files import read_splats, write_splats
from lerf.stages import splat_fit
from lerf.stages.train import train

WORDS = [sphere.name for sphere in SPHERES]


@pytest.fixture(scope="module")
def folder(analytic_capture: AnalyticCapture, tmp_path_factory) -> Path:
    """The capture, and its splat beside it."""
    folder = write_capture(analytic_capture, tmp_path_factory.mktemp("splat-run") / "capture")
    write_splats(folder.parent / "scene.ply", splat_of(analytic_capture))
    return folder


def settings(folder: Path, splat: Path | None = None, **others):
    splat = folder.parent / "scene.ply" if splat is None else splat
    named = {"encoder": "colour-words", "dense": "colour-map", **others}
    return make_settings(folder, radiance_run=str(splat), device="cpu", **named)


@pytest.fixture(scope="module")
def run(folder) -> Path:
    return train(settings(folder), folder.parent / "run").path


@pytest.fixture(scope="module")
def model(run):
    return lerf.load(run, device="cpu")


def test_language_is_lifted_unless_told(folder) -> None:
    chosen = settings(folder)
    assert chosen.language_source == "lift"
    assert settings(folder, dense=None).dense == "dino"
    assert chosen.splat == folder.parent / "scene.ply"
    assert settings(folder, language_source="field").language_source == "field"
    with pytest.raises(ConfigError, match=r"--radiance\.levels is for a hash grid"):
        settings(folder, **{"radiance.levels": 4})
    with pytest.raises(ConfigError, match="--radiance-frame is for a file of splats"):
        make_settings(folder, radiance_frame="nerfstudio")
    with pytest.raises(ConfigError, match="give --radiance-frame nerfstudio too"):
        settings(folder, radiance_transforms="x.json")


def test_the_run_holds_the_splat_to_the_bit(folder, run) -> None:
    given = read_splats(folder.parent / "scene.ply")
    kept = open_splats(RunFolder(run))
    assert kept.table.dtype == given.table.dtype
    assert kept.table.tobytes() == given.table.tobytes()


def test_it_answers_where_the_spheres_are(model) -> None:
    assert isinstance(model.radiance, SplatRadiance)
    assert isinstance(model.language, GaussianLanguage)
    for sphere, own in zip(SPHERES, model.query([*WORDS, "purple"]).queries, strict=False):
        assert own.present, own
        assert np.abs(sphere.outside(np.array(own.geometry.point))) < 0.15
        assert own.geometry.view is not None
        low, high = np.array(own.geometry.extent)
        centre = np.array(sphere.centre)
        # Near the floor tiles show more of it than of the sphere, so that the lower end may not answer.
        assert np.abs(low - (centre - sphere.radius)).max() < 1.0
        assert np.abs(high - (centre + sphere.radius)).max() < 0.8
    assert not model.query("purple").queries[0].present


def test_gaussians_know_whose_they_are(model, run) -> None:
    index = model.language.index
    owners = open_splats(RunFolder(run)).table["owner"][index.keys.numpy()]
    phrases = model.phrases(WORDS)
    from lerf.queries.scales import relevancy_at

    scale = 0.4 * model.scene.similarity.scale
    told = relevancy_at(model.language, model.language.encode_cells(), phrases, scale)
    best = told.argmax(0).numpy()
    for number, _ in enumerate(SPHERES):
        own = owners == number
        assert own.sum() > 200
        assert (best[own] == number).mean() > 0.95
        assert told[number].numpy()[own].mean() > 0.6


def test_pictures_and_points(model, analytic_capture) -> None:
    photo = model.scene.test[0]
    view = model.render(photo, WORDS)
    pixels = torch.from_numpy(model.scene.pixels(photo)).float() / 255
    assert float((view.picture.colour - pixels).abs().mean(-1).median()) < 0.03
    owners = analytic_capture.owners(photo)
    for number, word in enumerate(WORDS):
        own = owners == number
        if own.sum() > 60:
            assert view.relevancy[word][own].mean() > view.relevancy[word][~own].mean() + 0.3
    sphere = SPHERES[0]
    on_it = np.array(sphere.centre) + sphere.radius * np.array([[0.6, 0, 0.8], [-0.6, 0, 0.8]])
    assert model.relevancy_at(on_it, "red", 0.4).min() > 0.6
    assert model.relevancy_at(on_it + 100, "red", 0.4).max() == 0


def test_the_same_command_is_done(folder, run) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in run.iterdir()}
    train(settings(folder), run)
    assert before == {path.name: path.stat().st_mtime_ns for path in run.iterdir()}


def test_an_interrupted_lift_goes_on(folder, run) -> None:
    again = folder.parent / "again"
    with pytest.raises(KeyboardInterrupt):
        train(settings(folder), again, reporter=StopAt("language"))
    facts = RunFolder(again).read_facts("language")
    assert facts is not None
    assert not facts["finished"]
    assert facts["step"] >= 1
    with pytest.raises(RunError, match=r"language training of .* is not finished"):
        lerf.load(again, device="cpu")
    train(settings(folder), again)
    assert (again / "language.safetensors").read_bytes() == (run / "language.safetensors").read_bytes()


def test_another_splat_is_another_run(folder, run, analytic_capture) -> None:
    other = folder.parent / "other.ply"
    write_splats(other, splat_of(analytic_capture, 0.2))
    with pytest.raises(LerfError, match="--radiance"):
        train(settings(folder, other), run)


def test_a_splat_of_elsewhere_is_refused(folder, analytic_capture) -> None:
    from lerf.geometry.similarity import Similarity

    turn = Similarity(np.diag([1.0, -1.0, -1.0]), np.zeros(3), 1.0)
    wrong = folder.parent / "wrong.ply"
    write_splats(wrong, splat_of(analytic_capture).moved(turn))
    with pytest.raises(SplatError, match=r"does not fit the cameras of .* or --radiance-frame nerfstudio"):
        train(settings(folder, wrong), folder.parent / "none")
    assert not (folder.parent / "none").exists()
    with pytest.raises(SceneError, match="There is no splat at"):
        train(settings(folder, folder.parent / "missing.ply"), folder.parent / "none")


@pytest.mark.parametrize("told", [True, False])
def test_the_frame_of_nerfstudio(folder, run, analytic_capture, told: bool, tmp_path) -> None:
    scene = load_scene(str(folder), None, "refuse")
    frame = nerfstudio_frame(scene)
    there = tmp_path / "splat.ply"
    write_splats(there, splat_of(analytic_capture).moved(frame))
    with pytest.raises(SplatError, match="frame that nerfstudio trains in: give --radiance-frame nerfstudio"):
        train(settings(folder, there), tmp_path / "none")
    if told:
        matrix = np.column_stack([frame.rotation, frame.translation / frame.scale]).tolist()
        (tmp_path / "dataparser_transforms.json").write_text(json.dumps({"transform": matrix, "scale": frame.scale}))
    heard = Listener()
    train(settings(folder, there, radiance_frame="nerfstudio"), tmp_path / "run", reporter=heard)
    source = "dataparser_transforms.json" if told else "nerfstudio's default settings"
    assert any(f"frame of {source}" in note or source in note for note in heard.notes)
    kept, given = open_splats(RunFolder(tmp_path / "run")), open_splats(RunFolder(run))
    assert np.abs(kept.means - given.means).max() < 1e-4


def test_how_well_a_splat_fits(folder, analytic_capture, monkeypatch) -> None:
    scene, splats = load_scene(str(folder), None, "refuse"), splat_of(analytic_capture)
    rng = np.random.default_rng(0)
    found = []
    for jitter in (0.0, 0.4, 3.0):
        means = splats.means + jitter * rng.normal(size=(len(splats), 3))
        moved = splats.with_columns({axis: means[:, at] for at, axis in enumerate("xyz")})
        found.append(splat_fit.correlation(moved, scene))
    assert found[0] > 0.5
    assert found[0] > found[1] + 0.1
    assert found[2] < splat_fit.MISFIT
    monkeypatch.setattr(splat_fit, "correlation", lambda *_: 0.2)
    with pytest.warns(LerfWarning, match=r"fits the photos badly: their details correlate by 0\.20"):
        splat_fit.require_fit(splats, scene, settings(folder))


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("cut.ply", lambda good: good[:-7], "is cut off before their end"),
        ("short.splat", lambda good: good[:33], "no whole number of Gaussians"),
        ("none.spz", lambda good: b"\x1f\x8b" + good[:50], "cannot be read as SPZ"),
        ("none.sog", lambda good: b"PK\3\4" + good[:50], "cannot be read as SOG"),
        ("none.ply", lambda good: b"x" * 50, "begins like no file of splats"),
    ],
)
def test_the_command_line_says_it_in_one_sentence(folder, capsys, tmp_path, name: str, content, said: str) -> None:
    spoilt = tmp_path / name
    spoilt.write_bytes(content((folder.parent / "scene.ply").read_bytes()))
    options = [
        "--radiance",
        str(spoilt),
        "--encoder",
        "colour-words",
        "--dense",
        "none",
        "--output",
        str(tmp_path / "run"),
    ]
    assert main(["train", str(folder), *options, "--device", "cpu"]) == 2
    told = capsys.readouterr().err
    assert said in " ".join(told.split())
    assert "Traceback" not in told
    assert not (tmp_path / "run").exists()
