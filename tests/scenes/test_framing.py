"""The normalised frame of captures whose cameras stand inside of what they see."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from sparse_model import seen_points, write_model

from lerf.geometry.similarity import Similarity
from lerf.scenes import framing
from lerf.scenes.framing import framed_by
from lerf.scenes.inspection.tracks import tracks_of
from lerf.scenes.load import load_scene
from lerf.scenes.scene import Scene
from lerf.scenes.sparse_points import SparsePoints


@pytest.fixture(scope="module")
def scene(drawn: SimpleNamespace) -> Scene:
    return load_scene(drawn.folder)


def enlarged(scene: Scene, factor: float) -> Scene:
    """The scene as if its cameras stood inside of what they see, which reaches `factor` times as far."""
    before = scene.similarity
    return replace(scene, similarity=Similarity(before.rotation, factor * before.translation, factor * before.scale))


def reach(scene: Scene, points: SparsePoints) -> np.ndarray:
    """Of each sighting how far the point lies from the middle, along the farthest axis."""
    tracks = tracks_of(scene, points)
    assert tracks.point is not None
    return np.abs(tracks.points[tracks.point]).max(1)


def test_around_a_thing_the_frame_is_that_of_the_cameras(drawn: SimpleNamespace, scene: Scene) -> None:
    points = seen_points(drawn.scene, scene)
    assert np.percentile(reach(scene, points), framing.MOST) < 1.0
    assert framed_by(scene, points) is scene
    assert framed_by(enlarged(scene, 8.0), None).similarity.scale == 8.0 * scene.similarity.scale


def test_inside_of_a_room_the_cube_holds_what_is_seen(drawn: SimpleNamespace, scene: Scene) -> None:
    points, inside = seen_points(drawn.scene, scene), enlarged(scene, 4.0)
    framed = framed_by(inside, points)
    assert np.array_equal(framed.similarity.rotation, scene.similarity.rotation)
    within = reach(framed, points)
    assert np.percentile(within, 70) < 1.0 + 1e-9
    assert np.percentile(within, 90) > 0.5
    cameras = np.stack([framed.normalised_camera(index).camera_to_world[:, 3] for index in framed.train])
    assert np.abs(cameras).max() < 1.0 + 1e-9
    # Nothing but the frame differs, and it does not depend on the one before.
    assert replace(framed, similarity=inside.similarity) == inside
    again = framed_by(enlarged(scene, 9.0), points).similarity
    assert again.scale == pytest.approx(framed.similarity.scale)
    np.testing.assert_allclose(again.translation, framed.similarity.translation)


def test_too_few_points_and_points_that_are_no_good_decide_nothing(drawn: SimpleNamespace, scene: Scene) -> None:
    points, inside = seen_points(drawn.scene, scene), enlarged(scene, 4.0)
    assert points.observations is not None
    few = replace(points, observations=points.observations[: framing.FEWEST - 1])
    assert framed_by(inside, few) is inside
    assert framed_by(inside, SparsePoints(points.positions[:0])) is inside
    # Which photo sees which is not known.
    assert framed_by(inside, SparsePoints(points.positions)) is inside
    assert framed_by(inside, replace(points, positions=1e6 * points.positions)) is inside


def test_loading_a_capture_frames_it(drawn: SimpleNamespace, scene: Scene, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(drawn.folder, tmp_path / "capture"))
    points = seen_points(drawn.scene, scene)
    write_model(folder / "sparse/0", scene, points)
    assert load_scene(folder).similarity.scale == scene.similarity.scale
    far = replace(points, positions=8.0 * points.positions)
    write_model(folder / "sparse/1", scene, far)
    shutil.rmtree(folder / "sparse/0")
    framed = load_scene(folder).similarity
    assert framed.scale < scene.similarity.scale
    assert framed.scale == pytest.approx(framed_by(scene, far).similarity.scale)
    (folder / "sparse/1/points3D.txt").write_text("no points\n")
    assert load_scene(folder).similarity.scale == scene.similarity.scale
