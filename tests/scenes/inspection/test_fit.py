"""Poses and points of one world fit; a mirrored world is told whichever axis was turned round."""

import dataclasses

import numpy as np
import pytest
from posed_points import mirrored, points_of, ring_scene

from lerf.scenes.inspection.fit import FEWEST, fit_notes, fit_of, note_of
from lerf.scenes.inspection.projection import Projector, project_tracks
from lerf.scenes.inspection.tracks import tracks_of


def fit(scene, points):
    tracks = tracks_of(scene, points)
    return fit_of(tracks, project_tracks(scene, Projector(scene), tracks))


@pytest.fixture
def scene(tmp_path):
    return ring_scene(tmp_path)


def test_points_land_where_they_were_seen(scene):
    found = fit(scene, points_of(scene))
    assert (found.in_front, found.inside, found.tracked) == (1.0, 1.0, True)
    assert found.error < 1e-3
    assert found.problem is None
    assert note_of(found) == ()


def test_the_error_is_in_pixels_of_the_listed_photos(scene):
    points = points_of(scene)
    shifted = dataclasses.replace(points, places=points.places + np.array([3 / 48, 4 / 32]))
    assert fit(scene, shifted).error == pytest.approx(5.0, abs=1e-3)
    large = dataclasses.replace(
        scene, photos=tuple(dataclasses.replace(photo, original_size=(480, 320)) for photo in scene.photos)
    )
    found = fit(large, shifted)
    assert found.error == pytest.approx(50.0, abs=1e-2)
    assert "land 50 pixels from where the photos saw them" in found.problem


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_mirrored_world_is_told(scene, axis):
    """Small pictures: the share of the width that is missed is that of 20 pixels in larger ones."""
    points, wrong = points_of(scene), mirrored(scene, axis)
    flipped = dataclasses.replace(points, positions=points.positions * np.where(np.arange(3) == axis, -1, 1))
    large = dataclasses.replace(
        wrong, photos=tuple(dataclasses.replace(photo, original_size=(1920, 1280)) for photo in wrong.photos)
    )
    found = fit(large, flipped)
    assert found.problem is not None
    (note,) = note_of(found)
    assert "do not belong to one world" in note
    assert len(note) <= 300
    if axis == 2:
        assert found.in_front == 0.0
        assert "100% of the capture's 3D points lie behind the cameras" in note


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_points_alone_in_a_mirrored_world(scene, axis):
    """The cameras are right, the points are not; where photos saw them is not known."""
    points = dataclasses.replace(points_of(scene), places=None)
    moved = points.positions * np.where(np.arange(3) == axis, -1, 1) + np.where(np.arange(3) == axis, 6.0, 0.0)
    assert fit(scene, dataclasses.replace(points, positions=moved)).problem is not None


def test_without_tracks_points_must_lie_in_some_photos(scene):
    points = dataclasses.replace(points_of(scene), observations=None, places=None)
    found = fit(scene, points)
    assert (found.tracked, found.error) == (False, None)
    assert found.inside > 0.95
    assert found.problem is None
    away = fit(scene, dataclasses.replace(points, positions=points.positions + np.array([0.0, 0.0, 3.0])))
    assert "land outside the photos" in away.problem


def test_of_few_points_nothing_is_said(scene):
    points = points_of(scene, count=3)
    few = dataclasses.replace(points, observations=points.observations[: FEWEST - 1], places=None)
    behind = dataclasses.replace(few, positions=few.positions * 100)
    assert fit(scene, behind).problem is None
    nothing = dataclasses.replace(points, observations=np.empty((0, 2), int), places=None)
    assert fit(scene, nothing).problem is None


def test_a_scene_without_points_has_nothing_to_tell(scene):
    assert fit_notes(scene) == ()
