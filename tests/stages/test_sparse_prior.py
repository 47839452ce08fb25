"""A capture's sparse points in training: near and far of the run, rays through points, and what is said of them."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from short_runs import Listener, StopAt, settings_of
from sparse_model import seen_points, write_model

from lerf.errors import RunError
from lerf.run.folder import RunFolder
from lerf.run.open_run import open_radiance_field, with_bounds
from lerf.run.settings import TrainSettings
from lerf.scenes.load import load_scene, read_points
from lerf.scenes.sparse_points import SparsePoints
from lerf.stages.train import train

pytestmark = pytest.mark.usefixtures("tiny")


@pytest.fixture(scope="module")
def capture(drawn: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The drawn capture with a COLMAP model of its points beside."""
    folder = Path(shutil.copytree(drawn.folder, tmp_path_factory.mktemp("points") / "capture"))
    scene = load_scene(folder)
    write_model(folder / "sparse/0", scene, seen_points(drawn.scene, scene))
    return folder


def with_points(folder: Path, use: str, steps: int = 3, **changes: object) -> TrainSettings:
    settings = settings_of(folder, steps=steps, language="lift", **changes)
    return replace(settings, radiance_training=replace(settings.radiance_training, points=use))


def test_the_points_are_those_that_were_written(drawn: SimpleNamespace, capture: Path) -> None:
    scene = load_scene(capture)
    found, written = read_points(scene), seen_points(drawn.scene, scene)
    assert found is not None
    np.testing.assert_allclose(found.positions, written.positions, atol=1e-9)
    assert found.observations is not None
    assert written.observations is not None
    assert {tuple(pair) for pair in found.observations.tolist()} == {tuple(p) for p in written.observations.tolist()}


@pytest.mark.parametrize("use", ["bounds", "surfaces"])
def test_points_bound_what_photos_see(use: str, capture: Path, tmp_path: Path) -> None:
    settings, listener = with_points(capture, use), Listener()
    run = train(settings, tmp_path / "run", reporter=listener)
    scene = run.read_scene()
    field = open_radiance_field(run, settings, scene, "cpu")
    points = scene.similarity.apply_points(seen_distances(capture))
    near, far = field.config.near, field.config.far
    assert settings.radiance.near < near < far < settings.radiance.far
    cameras = np.stack([scene.normalised_camera(index).camera_to_world[:, 3] for index in scene.train])
    distances = np.linalg.norm(points[:, None] - cameras, axis=-1)
    assert near < distances.min() < far / 2 < distances.max() * 1.01
    assert any("sightings of sparse points" in note for note in listener.notes)
    # Another run that takes the radiance over has its near and far.
    lent = train(settings_of(capture, steps=3, radiance_run=run.path), tmp_path / "lent")
    assert open_radiance_field(lent, settings, lent.read_scene(), "cpu").config.near == near


def seen_distances(capture: Path) -> np.ndarray:
    points = read_points(load_scene(capture))
    assert points is not None
    return points.positions


def test_rays_through_points_change_what_is_learnt(capture: Path, tmp_path: Path) -> None:
    fields = []
    for use in ("bounds", "surfaces"):
        settings = with_points(capture, use)
        run = train(settings, tmp_path / use)
        fields.append(open_radiance_field(run, settings, run.read_scene(), "cpu"))
    assert fields[0].config == fields[1].config
    assert not torch.equal(fields[0].density_out.weight, fields[1].density_out.weight)


def test_without_points_nothing_changes(drawn: SimpleNamespace, tmp_path: Path) -> None:
    listener, runs = Listener(), {}
    for use in ("none", "surfaces"):
        runs[use] = train(with_points(drawn.folder, use), tmp_path / use, reporter=listener)
    assert not any("sparse points" in note for note in listener.notes)
    (plain, _), (asked, facts) = (run.load_stage("radiance") for run in runs.values())
    assert "bounds" not in facts
    assert all(torch.equal(asked[name], tensor) for name, tensor in plain.items())


def test_an_interrupted_training_goes_on_with_the_same_points_alone(capture: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(capture, tmp_path / "capture"))
    settings = with_points(folder, "surfaces", steps=30)
    whole = train(settings, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(settings, tmp_path / "run", reporter=StopAt("radiance"))
    assert not RunFolder(tmp_path / "run").read_facts("radiance")["finished"]
    points = folder / "sparse/0/points3D.txt"
    text = points.read_text()
    points.write_text("".join(text.splitlines(keepends=True)[:400]))
    with pytest.raises(RunError, match="sparse points are not those that"):
        train(settings, tmp_path / "run")
    points.write_text(text)
    resumed = train(settings, tmp_path / "run")
    first, second = (run.load_stage("radiance")[0] for run in (whole, resumed))
    assert all(torch.equal(second[name], tensor) for name, tensor in first.items())


def test_points_that_cannot_be_used_are_told(
    drawn: SimpleNamespace, capture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    positions = seen_distances(capture)
    monkeypatch.setattr("lerf.stages.sparse_prior.usable_points", lambda scene: (SparsePoints(positions), None))
    listener = Listener()
    run = train(with_points(drawn.folder, "surfaces"), tmp_path / "run", reporter=listener)
    assert any("which photos see them is not known" in note for note in listener.notes)
    assert "bounds" not in run.read_facts("radiance")


def test_bounds_of_a_checkpoint_are_distances(tiny: None, drawn: SimpleNamespace) -> None:
    sizes = settings_of(drawn.folder).radiance
    assert with_bounds(sizes, {}, "run") is sizes
    assert with_bounds(sizes, {"bounds": {"near": 0.5, "far": 2.0}}, "run") == replace(sizes, near=0.5, far=2.0)
    for near, far in ((0.5, None), (0.0, 1.0), ("a", 1.0), (2.0, 1.0)):
        with pytest.raises(RunError):
            with_bounds(sizes, {"bounds": {"near": near, "far": far}}, "run")
