"""One pose far from the others: told by name, and nothing that concerns the whole scene follows from it."""

import numpy as np
import pytest
from scene_files import transforms, write_capture

from lerf.apps.render_path import photo_path
from lerf.errors import LerfWarning, SceneError
from lerf.scenes import load_scene
from lerf.viewer.geometry import opening_viewpoint


def capture(folder, far, photo=5):
    document = transforms(12)
    matrix = document["frames"][photo]["transform_matrix"]
    for row, shift in zip(matrix, (0.52 * far, -0.3 * far, 0.8 * far), strict=False):
        row[3] += shift
    return write_capture(folder, document)


def test_the_photo_is_named_and_the_scene_is_that_of_the_others(tmp_path):
    with pytest.warns(LerfWarning, match=r"Far from all other photos.*images/0005\.png \(879\)") as caught:
        scene = load_scene(capture(tmp_path / "far", 880.0))
    assert len(caught) == 1
    expected = load_scene(capture(tmp_path / "near", 0.0)).similarity
    assert scene.similarity.scale == pytest.approx(expected.scale, rel=0.01)
    np.testing.assert_allclose(scene.similarity.apply_points(np.zeros(3)), 0, atol=0.01)
    # The camera stays where the file says that it is.
    assert np.linalg.norm(scene.photos[5].camera.camera_to_world[:, 3]) == pytest.approx(880, rel=0.01)


def test_no_path_and_no_opening_view_leads_there(tmp_path):
    with pytest.warns(LerfWarning):
        scene = load_scene(capture(tmp_path, 880.0))
    assert 5 in scene.train
    positions = np.stack([camera.camera_to_world[:, 3] for camera in photo_path(scene).cameras])
    assert np.linalg.norm(positions, axis=1).max() < 4
    assert np.linalg.norm(opening_viewpoint(scene).position) < 2


def test_a_photo_beyond_all_reckoning_is_refused(tmp_path):
    with pytest.raises(SceneError, match=r"images/0005\.png stands 1e\+09 from the middle"):
        load_scene(capture(tmp_path, 1e9))


def test_photos_that_are_all_very_far_away_are_fine(tmp_path):
    document = transforms(6)
    for frame in document["frames"]:
        for row, shift in zip(frame["transform_matrix"], (5e6, 4e5, 30.0), strict=False):
            row[3] += shift
    scene = load_scene(write_capture(tmp_path, document))
    assert scene.notes == ()
    assert scene.similarity.scale == pytest.approx(1 / np.hypot(2, 0.7), rel=1e-6)
