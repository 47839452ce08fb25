import numpy as np
import pytest
import torch
from scene_files import picture, save, transforms, write_capture

from lerf.errors import SceneError
from lerf.scenes import load_scene
from lerf.training.pixels import PixelPool, allowed_pixels


def drawn_pixels(pool, batch):
    """Photo and pixel of each drawn ray, found again by projection."""
    photos = [pool.train[index] for index in batch.train_index.tolist()]
    points = batch.rays.origins + batch.rays.directions
    pixels = [pool.cameras.project(photo, point[None])[0][0] for photo, point in zip(photos, points, strict=True)]
    return photos, torch.stack(pixels)


def mixed(tmp_path, **options):
    """Four photos of two sizes."""
    document = transforms(4)
    document["frames"][1] |= {"w": 20, "h": 16, "fl_x": 12.0, "cx": 10.0, "cy": 8.0}
    write_capture(tmp_path, document)
    save(tmp_path / "images/0001.png", picture(20, 16, 1))
    return tmp_path, document


def test_a_ray_carries_the_colour_of_its_pixel(tmp_path):
    folder, _ = mixed(tmp_path)
    scene = load_scene(folder)
    pool = PixelPool(scene)
    batch = pool.draw(200, torch.Generator().manual_seed(0))
    photos, pixels = drawn_pixels(pool, batch)
    assert set(photos) == set(scene.train)
    torch.testing.assert_close(pixels - pixels.floor(), torch.full_like(pixels, 0.5), atol=1e-3, rtol=0)
    for photo, (x, y), colour in zip(photos, pixels.floor().int().tolist(), batch.colours, strict=True):
        np.testing.assert_array_equal(np.rint(255 * colour.numpy()), scene.pixels(photo)[y, x])
    assert (batch.background == 1).all()


def test_masked_pixels_are_never_drawn(tmp_path):
    folder, document = mixed(tmp_path)
    for number, frame in enumerate(document["frames"]):
        frame["mask_path"] = f"masks/{number}.png"
        mask = np.zeros((16, 20) if number == 1 else (8, 12), np.uint8)
        mask[2:5, 3:7] = 255
        save(folder / frame["mask_path"], mask if number != 3 else 0 * mask)
    write_capture(folder, document)
    save(folder / "images/0001.png", picture(20, 16, 1))
    scene = load_scene(folder)
    pool = PixelPool(scene)
    photos, pixels = drawn_pixels(pool, pool.draw(200, torch.Generator().manual_seed(0)))
    assert set(photos) == set(scene.train) - {3}
    assert (pixels >= torch.tensor([3, 2])).all()
    assert (pixels <= torch.tensor([7, 5])).all()
    assert allowed_pixels(scene, scene.train[0]).numel() == 12
    for number in range(4):
        save(folder / f"masks/{number}.png", np.zeros((16, 20) if number == 1 else (8, 12), np.uint8))
    with pytest.raises(SceneError, match="masks leave no pixel"):
        PixelPool(load_scene(folder))


def test_transparency_shows_the_background_of_its_ray(tmp_path):
    write_capture(tmp_path)
    pixels = {number: picture(12, 8, number, channels=4) for number in range(4)}
    for number, value in pixels.items():
        save(tmp_path / f"images/{number:04d}.png", value)
    pool = PixelPool(load_scene(tmp_path))
    batch = pool.draw(200, torch.Generator().manual_seed(0))
    assert batch.background.std() > 0.2
    photos, drawn = drawn_pixels(pool, batch)
    for photo, (x, y), colour, background in zip(
        photos, drawn.floor().int().tolist(), batch.colours, batch.background, strict=True
    ):
        *rgb, alpha = pixels[photo][y, x] / 255
        expected = alpha * np.array(rgb) + (1 - alpha) * background.numpy()
        np.testing.assert_allclose(colour.numpy(), expected, atol=3 / 255)
