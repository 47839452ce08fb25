"""Depth against sparse points: a radiance that knows the truth, ones that are wrong by so much, and the report."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from drawn_scene import GeneratedScene
from sparse_model import seen_points, write_model
from torch import Tensor

import lerf
from lerf.errors import ConfigError, RunError
from lerf.evaluation import depth
from lerf.evaluation.depth import Depth, depth_errors, sightings, spread_of
from lerf.evaluation.protocol import EvalInputs, MeasuredRun
from lerf.evaluation.report import evaluate
from lerf.geometry.camera_table import CameraTable
from lerf.geometry.traced_rays import TracedRays
from lerf.model import Model
from lerf.queries.photo_cameras import PhotoCameras
from lerf.radiance.protocol import ColourPicture
from lerf.scenes.inspection.tracks import MEASURING, tracks_of
from lerf.scenes.load import load_scene
from lerf.scenes.scene import Scene
from lerf.steps import Steps


@dataclass
class KnownDepth:
    """The drawn scene's own depths times a factor, and no light that stops from a row of each photo on."""

    drawn: GeneratedScene
    scene: Scene
    factor: float = 1.0
    clear_from: float = np.inf

    def trace(
        self, cameras: CameraTable, index: Tensor, pixels: Tensor, heaviest: int, samples: int | None = None
    ) -> TracedRays:
        rays, back = cameras.rays(index, pixels), self.scene.similarity.inverse()
        origins = back.apply_points(rays.origins.double().numpy())
        towards = back.apply_points((rays.origins + rays.directions).double().numpy()) - origins
        found = self.drawn.trace(origins, towards / np.linalg.norm(towards, axis=-1, keepdims=True)).distance
        distance = torch.from_numpy(found * self.scene.similarity.scale).float() * self.factor
        found_depth = distance * rays.axis_cosine
        positions = rays.origins + rays.directions * distance[:, None]
        weights, hit = torch.ones(len(pixels), 1), pixels[:, 1] < self.clear_from
        return TracedRays(positions[:, None], weights, found_depth[:, None], hit, found_depth, positions)

    def render(self, cameras: CameraTable, index: int, samples: int | None = None) -> Steps[ColourPicture]:
        raise NotImplementedError


@pytest.fixture(scope="module")
def scene(drawn: SimpleNamespace) -> Scene:
    return load_scene(drawn.folder)


@pytest.fixture
def seen_by_two(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the drawn scene's points no more than three photos know."""
    monkeypatch.setattr(depth, "LEAST_PHOTOS", 2)


def measured(drawn: SimpleNamespace, scene: Scene, points: Any, **radiance: float) -> MeasuredRun:
    model = Model.__new__(Model)
    model.radiance, model.photos = KnownDepth(drawn.scene, scene, **radiance), PhotoCameras.of(scene, "cpu")
    inputs = EvalInputs(scene, None, False)
    inputs.__dict__["_points"] = (None if points is None else tracks_of(scene, points), None)
    return MeasuredRun(inputs, [Depth()], lambda stage, done, total: None, model)


@pytest.mark.usefixtures("seen_by_two")
def test_the_true_depth_has_no_error(drawn: SimpleNamespace, scene: Scene) -> None:
    report = Depth().summary(measured(drawn, scene, seen_points(drawn.scene, scene)))
    assert report["depth_error_p90"] < 1e-3
    assert report["depth_points"] == sum(view["depth_points"] for view in report["depth_views"])
    assert [view["photo"] for view in report["depth_views"]] == [scene.photos[photo].name for photo in scene.test]


@pytest.mark.usefixtures("seen_by_two")
def test_depth_that_is_too_large_by_a_tenth(drawn: SimpleNamespace, scene: Scene) -> None:
    report = Depth().summary(measured(drawn, scene, seen_points(drawn.scene, scene), factor=1.1))
    assert report["depth_error_median"] == pytest.approx(0.1, abs=1e-3)
    assert report["depth_error_p90"] == pytest.approx(0.1, abs=1e-3)


@pytest.mark.usefixtures("seen_by_two")
def test_rays_that_meet_nothing_are_wrong(drawn: SimpleNamespace, scene: Scene) -> None:
    report = Depth().summary(measured(drawn, scene, seen_points(drawn.scene, scene), clear_from=0.0))
    assert report["depth_error_median"] == report["depth_error_p90"] == 1.0


def test_points_of_many_photos_measure_and_none_that_is_learnt_from(drawn: SimpleNamespace, scene: Scene) -> None:
    points = seen_points(drawn.scene, scene)
    held = scene.test[0]
    everyone = np.array([(point, photo) for point in range(len(points)) for photo in (held, *scene.train[:3])])
    tracks = tracks_of(scene, replace(points, observations=everyone))
    assert tracks.point is not None
    pairs = sightings(tracks, held)
    assert sorted(tracks.point[pairs]) == list(range(0, len(points), MEASURING))
    fewer = tracks_of(scene, replace(points, observations=everyone[everyone[:, 1] != scene.train[0]]))
    assert len(sightings(fewer, held)) == 0
    assert len(sightings(tracks, scene.train[5])) == 0
    assert len(sightings(None, held)) == 0


def test_points_beside_the_picture_or_behind_it_are_left_out(drawn: SimpleNamespace, scene: Scene) -> None:
    radiance, cameras, held = KnownDepth(drawn.scene, scene), PhotoCameras.of(scene, "cpu").table, scene.test[0]
    pose = scene.normalised_camera(held).camera_to_world
    ahead, beside, behind = (pose[:, :3] @ local + pose[:, 3] for local in ([0, 0, -1], [9, 0, -1], [0, 0, 1]))
    assert len(depth_errors(radiance, cameras, held, np.stack([ahead, beside, behind]))) == 1
    assert len(depth_errors(radiance, cameras, held, np.empty((0, 3)))) == 0


def test_depths_that_are_no_numbers_are_refused(drawn: SimpleNamespace, scene: Scene) -> None:
    radiance, cameras = KnownDepth(drawn.scene, scene, factor=np.nan), PhotoCameras.of(scene, "cpu").table
    points = scene.similarity.apply_points(seen_points(drawn.scene, scene).positions)
    with pytest.raises(RunError, match="not numbers"):
        depth_errors(radiance, cameras, scene.test[0], points)


def test_spread() -> None:
    assert spread_of(np.arange(11.0)) == {"depth_error_median": 5.0, "depth_error_p90": 9.0, "depth_points": 11}


def test_why_depth_cannot_be_measured(drawn: SimpleNamespace, scene: Scene) -> None:
    points = seen_points(drawn.scene, scene)
    reason = Depth().unsupported_reason
    assert reason(EvalInputs(scene, None, False)) == "the capture has no sparse 3D points"
    assert reason(EvalInputs(scene, None, True)) == "maps of another method do not show it"
    assert reason(EvalInputs(replace(scene, test=()), None, False)) == "the capture has no held-out photos"
    said = reason(measured(drawn, scene, points).inputs)
    assert said is not None
    assert "that 4 photos see" in said
    broken = EvalInputs(scene, None, False)
    broken.__dict__["_points"] = (None, "The capture's 3D points cannot be read and are not looked at. Because.")
    assert reason(broken) == "the capture's 3D points cannot be read and are not looked at. Because"


@pytest.mark.usefixtures("tiny", "seen_by_two")
def test_the_report_has_depth_where_there_are_points(
    drawn: SimpleNamespace, drawn_run: Path, scene: Scene, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(drawn.folder, tmp_path / "capture"))
    write_model(folder / "sparse/0", scene, seen_points(drawn.scene, scene))
    model = lerf.load(drawn_run, device="cpu")
    with pytest.raises(ConfigError, match="depth cannot be measured: the capture has no sparse 3D points"):
        evaluate(model, ["depth"])
    report = evaluate(model, capture=load_scene(folder))
    assert report["protocol"][:2] == ["colour", "depth"]
    assert 0.0 < report["depth_error_median"] < report["depth_error_p90"]
    alone = evaluate(model, ["depth"], capture=load_scene(folder))
    assert alone["depth_views"] == report["depth_views"]
    assert "psnr" not in alone
    assert alone["settings"]["depth_least_photos"] == 2
