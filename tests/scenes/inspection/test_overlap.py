"""How many photos see a place, held against counting by hand; and photos that hang together with no others."""

import dataclasses

import numpy as np
import pytest
from posed_points import HEIGHT, WIDTH, points_of, ring_scene, seen
from scene_files import look_at

from lerf.scenes.inspection import overlap
from lerf.scenes.inspection.extent import baseline_of, depths_of
from lerf.scenes.inspection.overlap import overlap_of
from lerf.scenes.inspection.projection import Projector, project_tracks
from lerf.scenes.inspection.tracks import tracks_of
from lerf.scenes.sparse_points import SparsePoints


def found(scene, points=None):
    projector = Projector(scene)
    tracks = None if points is None else tracks_of(scene, points)
    projections = None if tracks is None else project_tracks(scene, projector, tracks)
    return overlap_of(scene, projector, tracks, projections), projections


@pytest.fixture
def scene(tmp_path):
    return ring_scene(tmp_path)


def test_tracks_are_counted(scene):
    points = points_of(scene, sees=0.3)
    lengths = np.bincount(points.observations[:, 0])
    lengths = lengths[lengths > 0]
    result, _ = found(scene, points)
    assert result.source == "tracks"
    assert result.photos_per_place == pytest.approx(lengths.mean())
    assert result.seen_thrice == pytest.approx((lengths >= 3).mean())
    assert (result.parts, result.apart, result.towards_centre) == ((24,), (), 1.0)


def test_groups_that_share_no_points_are_apart(scene):
    points = points_of(scene)
    point, photo = points.observations.T
    # Photos 0 to 5 see the first points alone, the others the rest, and photo 23 sees fewer than make a connection.
    kept = np.where(photo < 6, point < 100, point >= 100) & ((photo != 23) | (point < 105))
    result, _ = found(scene, dataclasses.replace(points, observations=points.observations[kept], places=None))
    assert result.parts[0] == 18 or result.parts == (17, 6, 1)
    assert set(result.apart) >= set(range(6))


def test_a_photo_that_sees_nothing_is_apart(scene):
    points = points_of(scene)
    kept = points.observations[:, 1] != 7
    result, _ = found(scene, dataclasses.replace(points, observations=points.observations[kept], places=None))
    assert (result.parts, result.apart) == ((23, 1), (7,))


def test_points_without_tracks_are_counted_in_every_frame(scene):
    points = points_of(scene)
    counts = np.zeros(len(points))
    for photo in scene.photos:
        pixels, depth = seen(photo.camera.camera_to_world, points.positions)
        counts += (depth > 0) & (pixels >= 0).all(1) & (pixels <= [WIDTH, HEIGHT]).all(1)
    result, _ = found(scene, SparsePoints(points.positions))
    assert result.source == "points"
    assert result.photos_per_place == pytest.approx(counts[counts > 0].mean(), rel=1e-3)
    assert result.parts == (24,)


def test_frusta_alone(scene):
    result, _ = found(scene)
    assert result.source == "frusta"
    assert result.photos_per_place > 5
    assert result.parts == (24,)
    # One photo looks the other way, from where it stands.
    away = scene.photos[4].camera.camera_to_world.copy()
    away[:, [0, 2]] *= -1
    photos = [*scene.photos]
    photos[4] = dataclasses.replace(photos[4], camera=dataclasses.replace(photos[4].camera, camera_to_world=away))
    result, _ = found(dataclasses.replace(scene, photos=tuple(photos)))
    assert result.apart == (4,)
    assert result.towards_centre == pytest.approx(23 / 24)


def test_of_many_photos_a_sample_is_taken_and_counts_are_of_all(scene, monkeypatch):
    whole, _ = found(scene)
    monkeypatch.setattr(overlap, "MOST_PHOTOS", 8)
    part, _ = found(scene)
    assert part.parts is None
    assert part.apart == ()
    assert part.photos_per_place == pytest.approx(whole.photos_per_place, rel=0.3)


def test_depths_and_baseline(scene):
    points = points_of(scene)
    result, projections = found(scene, points)
    depths = depths_of(scene, projections)
    true = np.concatenate(
        [seen(photo.camera.camera_to_world, points.positions[points.observations[points.observations[:, 1] == i, 0]])[1]
         for i, photo in enumerate(scene.photos)]
    )  # fmt: skip
    assert depths.median == pytest.approx(np.median(true), rel=0.01)
    assert depths.near == pytest.approx(np.percentile(true, 1), rel=0.05)
    assert depths.far == pytest.approx(np.percentile(true, 99), rel=0.05)
    # The ring has radius 2; the origin is sqrt(4 + 0.49) away.
    assert baseline_of(scene, depths, result) == pytest.approx(2 / np.median(true), rel=0.01)
    alone, _ = found(scene)
    assert baseline_of(scene, None, alone) == pytest.approx(2 / np.hypot(2, 0.7), rel=0.01)


def test_a_walk_past_things_has_a_baseline_with_points_alone(scene):
    poses = [look_at((0.1 * n, 0, 0), (0.1 * n, 5, 0)) for n in range(24)]
    photos = [
        dataclasses.replace(photo, camera=dataclasses.replace(photo.camera, camera_to_world=pose[:3]))
        for photo, pose in zip(scene.photos, poses, strict=True)
    ]
    from lerf.geometry.similarity import normalising_similarity

    walk = dataclasses.replace(
        scene, photos=tuple(photos), similarity=normalising_similarity(np.stack([pose[:3] for pose in poses]))
    )
    alone, _ = found(walk)
    assert baseline_of(walk, None, alone) is None
