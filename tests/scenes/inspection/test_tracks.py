"""Which photo of a scene a pose file's name means, and which observations are of use."""

from dataclasses import replace

import numpy as np
from posed_points import points_of, ring_scene

from lerf.scenes.inspection.tracks import photos_named, spread, tracks_of
from lerf.scenes.sparse_points import SparsePoints


def renamed(scene, *names):
    photos = [replace(photo, name=name) for photo, name in zip(scene.photos, names, strict=False)]
    return replace(scene, photos=tuple(photos))


def test_names_are_matched_from_their_end(tmp_path):
    scene = renamed(ring_scene(tmp_path, 4), "images/left/1.jpg", "images/right/1.jpg", "images/Tür.PNG", "2.jpg")
    found = photos_named(
        scene, ["left/1.jpg", "C:\\work\\right\\1.png", "1.jpg", "tu\u0308r.png", "/somewhere/2.JPG", "3.jpg", ""]
    )
    assert found.tolist() == [0, 1, -1, 2, 3, -1, -1]


def test_what_cannot_be_used_is_left_out(tmp_path):
    scene = ring_scene(tmp_path, 4)
    positions = np.array([[0.0, 0, 0], [np.nan, 0, 0], [0.1, 0, 0], [1e300, 0, 0]])
    observations = np.array([(0, 0), (0, 0), (1, 0), (2, 1), (3, 1), (2, 9), (7, 0), (-1, 2), (2, 2)])
    places = np.arange(18.0).reshape(9, 2)
    tracks = tracks_of(
        scene, SparsePoints(positions, observations=observations, names=("0000", "0001", "other"), places=places)
    )
    assert len(tracks) == 2
    assert list(zip(tracks.point.tolist(), tracks.photo.tolist(), strict=True)) == [(0, 0), (1, 1)]
    assert tracks.place.tolist() == [[0, 1], [6, 7]]
    assert np.allclose(scene.similarity.inverse().apply_points(tracks.points), positions[[0, 2]])


def test_all_observations_of_sound_points_are_kept(tmp_path):
    scene = ring_scene(tmp_path)
    points = points_of(scene)
    tracks = tracks_of(scene, points)
    assert set(zip(tracks.point.tolist(), tracks.photo.tolist(), strict=True)) == set(
        map(tuple, points.observations.tolist())
    )
    without = tracks_of(scene, replace(points, observations=None, places=None))
    assert (without.photo, without.point, without.place) == (None, None, None)


def test_a_sample_is_spread_evenly():
    assert spread(np.arange(10), 5).tolist() == [0, 2, 4, 6, 8]
    assert spread(np.arange(3), 5).tolist() == [0, 1, 2]
