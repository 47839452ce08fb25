import numpy as np
import pytest
import torch
from drawn_scene import FLOOR, WALL, GeneratedScene, write_generated_scene

from lerf.errors import ConfigError, StorageError
from lerf.geometry.camera_table import CameraTable, image_pixels
from lerf.scenes import load_scene


def trace(scene, origin, towards):
    direction = np.subtract(towards, origin)
    return scene.trace(np.array([origin], float), direction[None] / np.linalg.norm(direction))


def test_hits_by_hand():
    scene = GeneratedScene()
    down = trace(scene, (3, -5, 1), (3, -5, 0))
    assert (down.distance[0], down.owner[0]) == (1, FLOOR)
    ahead = trace(scene, (3, -5, 1), (3, 5, 1))
    assert (ahead.distance[0], ahead.owner[0]) == (6.4, WALL)
    away = trace(scene, (3, -5, 1), (3, -9, 1))
    assert (away.distance[0], away.owner[0]) == (np.inf, WALL)
    for number, solid in enumerate(scene.solids):
        above = np.add(solid.centre, [0, 0, 4])
        hit = trace(scene, above, solid.centre)
        assert hit.owner[0] == number
        np.testing.assert_allclose(hit.distance[0], 4 - solid.half[2])


def test_photos_show_what_the_scene_says(drawn):
    # Pixels are rendered in numpy with the generator's own camera; here the package's cameras look.
    scene = load_scene(drawn.folder)
    cameras = CameraTable.from_cameras([photo.camera for photo in scene.photos])
    for index in (0, 11, 23):
        width, height = cameras.sizes[index].tolist()
        pixels = image_pixels(width, height)
        rays = cameras.rays(torch.full((len(pixels),), index), pixels)
        hits = drawn.scene.trace(rays.origins.double().numpy(), rays.directions.double().numpy())
        photo = scene.pixels(index).reshape(-1, 3) / 255
        # The photo averages four rays a pixel, so the two differ only at edges.
        assert np.median(np.abs(photo - hits.colour)) < 0.01
        assert (np.abs(photo - hits.colour).max(-1) > 0.1).mean() < 0.15
        shares = np.bincount(hits.owner + 2, minlength=6) / len(hits.owner)
        assert shares.min() > 0.005, "something is not in the picture"


def test_it_is_a_capture_with_a_split(drawn):
    scene = load_scene(drawn.folder)
    assert len(scene) == 24
    assert scene.test == (0, 8, 16)
    assert scene.background is None
    assert {(photo.camera.width, photo.camera.height) for photo in scene.photos} == {(96, 72)}


def test_same_arguments_same_files(tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        write_generated_scene(tmp_path / name, 3, 16, 12, seed)
    files = [
        {path.relative_to(tmp_path / name): path.read_bytes() for path in (tmp_path / name).rglob("*.*")}
        for name in "abc"
    ]
    assert files[0] == files[1]
    assert files[0].keys() == files[2].keys()
    assert files[0] != files[2]


@pytest.mark.parametrize(("views", "width"), [(1, 16), (4, 4)])
def test_too_small(tmp_path, views, width):
    with pytest.raises(ConfigError, match="needs 2 views of 8x8 pixels or more"):
        write_generated_scene(tmp_path, views, width, 12)


def test_no_place_to_write(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="Cannot write"):
        write_generated_scene(tmp_path / "file" / "capture", 2, 8, 8)
