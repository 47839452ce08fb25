"""The browser's camera and ours agree; ports and hosts."""

import json
import math
import socket
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import viser.transforms as tf

from lerf.errors import ConfigError
from lerf.geometry.camera_table import CameraTable
from lerf.scenes.camera_path import read_camera_path
from lerf.scenes.load import load_scene
from lerf.viewer.geometry import Pose, opening_viewpoint, photo_viewpoint, wxyz_of
from lerf.viewer.recording import Recording
from lerf.viewer.server import free_port
from lerf.viewer.words import in_words


@pytest.fixture(scope="module")
def scene(drawn):
    return load_scene(drawn.folder)


def pose_of_photo(scene, photo):
    """What the browser would say if its camera stood where a photo was taken."""
    camera = scene.normalised_camera(photo)
    handle = SimpleNamespace(
        wxyz=wxyz_of(camera.camera_to_world), position=camera.camera_to_world[:, 3], fov=camera.vertical_angle,
        image_width=camera.width, image_height=camera.height,
    )  # fmt: skip
    return camera, Pose.of(handle)


def test_a_photos_pose_survives_the_way_to_the_browser_and_back(scene):
    camera, pose = pose_of_photo(scene, 3)
    again = pose.camera(camera.height)
    assert np.allclose(again.camera_to_world, camera.camera_to_world, atol=1e-6)
    assert (again.width, again.height) == (camera.width, camera.height)
    assert again.fy == pytest.approx(camera.fy)


def test_the_browsers_quaternion_is_opencvs(scene):
    camera, _ = pose_of_photo(scene, 0)
    axes = tf.SO3(np.array(wxyz_of(camera.camera_to_world))).as_matrix()
    assert np.allclose(axes[:, 2], -camera.camera_to_world[:, 2])
    assert np.allclose(axes[:, 1], -camera.camera_to_world[:, 1])


def test_viewpoints_look_at_the_solids(scene):
    middle = scene.similarity.apply_points(np.array([[0.0, 0.0, 0.25]]))[0]
    start = opening_viewpoint(scene)
    forwards = (start.look_at - start.position) / np.linalg.norm(start.look_at - start.position)
    towards = (middle - start.position) / np.linalg.norm(middle - start.position)
    assert forwards @ towards > 0.99
    aimed = photo_viewpoint(scene, 5, middle)
    assert np.allclose(aimed.look_at, middle)
    assert np.allclose(aimed.position, scene.normalised_camera(5).camera_to_world[:, 3])


def test_a_recorded_path_is_one_that_render_reads(scene, tmp_path):
    recording = Recording(scene)
    for photo in (0, 6, 12):
        recording.add(pose_of_photo(scene, photo)[1])
    file = tmp_path / "camera_path.json"
    file.write_bytes(recording.file(1.0, 10.0, False, 72))
    assert {"camera_path", "keyframes", "render_height", "render_width", "fps"} <= set(json.loads(file.read_text()))
    path = read_camera_path(file, scene)
    assert path.size == (96, 72)
    assert len(path.cameras) == 20
    for at, photo in ((0, 0), (-1, 12)):
        assert np.allclose(path.cameras[at].camera_to_world, scene.photos[photo].camera.camera_to_world, atol=1e-5)


def test_a_path_needs_two_keyframes(scene):
    recording = Recording(scene)
    for _ in range(2):
        with pytest.raises(ConfigError, match="two keyframes"):
            recording.file(1.0, 10.0, False, 72)
        recording.add(pose_of_photo(scene, 0)[1])
    recording.remove()
    assert len(recording) == 1
    recording.add(pose_of_photo(scene, 1)[1])
    recording.remove(everything=True)
    assert len(recording) == 0
    recording.remove()


def test_a_video_keeps_the_first_views_size(scene):
    recording = Recording(scene)
    first, second = pose_of_photo(scene, 0)[1], pose_of_photo(scene, 4)[1]
    recording.add(first)
    recording.add(Pose(second.position, second.rotation, second.angle, 2.5))
    path = recording.path(1.0, 4.0, True, 71)
    assert path.size == (96, 72)
    assert path.cameras[0].fy == pytest.approx(first.camera(72).fy)


def test_the_ray_of_a_pixel_is_the_browsers(scene):
    camera, pose = pose_of_photo(scene, 2)
    table = CameraTable.from_cameras([pose.camera(60)], are_photos=False)
    middle = torch.tensor([[table.sizes[0, 0] / 2, 30.0]])
    rays = table.rays(torch.zeros(1, dtype=torch.long), middle)
    assert np.allclose(rays.directions[0].numpy(), -camera.camera_to_world[:, 2], atol=1e-5)
    assert math.isclose(float(rays.axis_cosine[0]), 1.0, abs_tol=1e-6)


def test_the_next_free_port_is_taken():
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        assert port < free_port("127.0.0.1", port) < port + 100
    assert free_port("127.0.0.1", 0) > 0


def test_addresses_that_cannot_be_listened_on():
    with pytest.raises(ConfigError, match="no address"):
        free_port("no such host", 7007)
    with pytest.raises(ConfigError, match="Cannot listen"):
        free_port("192.0.2.1", 7007)
    with pytest.raises(ConfigError, match="65535"):
        free_port("127.0.0.1", 70000)


def test_errors_in_words():
    assert "memory" in in_words(MemoryError())
    assert "memory" in in_words(RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate"))
    assert in_words(ConfigError("Do this.")) == "Do this."
    assert "ZeroDivisionError" in in_words(ZeroDivisionError("division by zero"))
