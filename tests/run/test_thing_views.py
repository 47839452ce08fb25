"""The photos of a run as those who tell its things apart, and a run whose photos are elsewhere."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import lerf
from lerf.encoders.mini_things import MiniThings
from lerf.errors import LerfWarning
from lerf.queries.photo_cameras import PhotoCameras
from lerf.queries.surface import steps_of_rays
from lerf.run.thing_views import thing_views
from lerf.scenes.load import load_scene
from lerf.steps import finish


def test_the_training_photos_are_asked(drawn: SimpleNamespace) -> None:
    scene = load_scene(drawn.folder)
    views = thing_views(scene, PhotoCameras.of(scene, "cpu").table, "cpu")
    assert views is not None
    assert views.photos == scene.train
    photo = scene.train[1]
    expected = MiniThings().encode_photo(torch.from_numpy(scene.pixels(photo)).permute(2, 0, 1) / 255.0)
    found = views.vectors(photo)
    assert found is not None
    torch.testing.assert_close(found.features, expected.features)
    assert (found.dx, found.dy) == (expected.dx, expected.dy)


def test_a_surface_that_is_made_again_has_the_graph_of_the_photos(drawn_run: Path, tmp_path: Path) -> None:
    """That of the training, not the one of normals and dense features."""
    run = shutil.copytree(drawn_run, tmp_path / "run")
    trained = lerf.load(run).surface
    (run / "surface.safetensors").unlink()
    model = lerf.load(run)
    torch.testing.assert_close(model.surface.graph.transition.values, trained.graph.transition.values)
    plain = finish(steps_of_rays(_traced(model), model.language))
    assert not torch.allclose(
        plain.graph.transition.values.sort().values, trained.graph.transition.values.sort().values
    )


def _traced(model: lerf.Model):  # type: ignore[no-untyped-def]
    from lerf.radiance.surface import trace_surface

    return finish(trace_surface(model.radiance, model.cameras, model.scene.train, model.language.samples))


def test_a_run_without_its_photos_says_what_is_less_exact(
    drawn_run: Path, drawn: SimpleNamespace, tmp_path: Path
) -> None:
    capture, run = shutil.copytree(drawn.folder, tmp_path / "capture"), shutil.copytree(drawn_run, tmp_path / "run")
    scene = load_scene(capture)
    shutil.rmtree(capture)
    with pytest.warns(LerfWarning, match="answers end less exactly"):
        assert thing_views(scene, PhotoCameras.of(scene, "cpu").table, "cpu") is None
    # Its surface is stored: a query does not ask the photos again.
    assert len(lerf.load(run).surface) > 0


def test_a_single_photo_that_is_gone_is_said_and_left_out(drawn: SimpleNamespace, tmp_path: Path) -> None:
    scene = load_scene(shutil.copytree(drawn.folder, tmp_path / "capture"))
    views = thing_views(scene, PhotoCameras.of(scene, "cpu").table, "cpu")
    assert views is not None
    gone = scene.train[2]
    scene.photos[gone].path.unlink()
    with pytest.warns(LerfWarning, match="does not tell which points are of one thing"):
        assert views.vectors(gone) is None
    assert views.vectors(scene.train[1]) is not None
