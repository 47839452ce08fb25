"""What must hold of whatever a reader of captures accepts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fuzzing.oracle import Case, Fault, check_finite, command


def read_and_check(case: Case) -> None:
    """`lerf info` on the input, and everything that a training would take from it; one in eight prints a table."""
    command("info", case.input, json_too=case.random.random() < 0.9)
    check_scene(case.input)


def check_scene(path: Path) -> Any:
    """Read a capture: finite cameras, rays, pixels and masks of the right shape, a record that reads back."""
    from lerf.scenes.camera_path import nerfstudio_frame
    from lerf.scenes.load import load_scene
    from lerf.scenes.record import scene_from_plain, scene_to_plain

    scene = load_scene(path)
    check_finite(scene.similarity.to_dict(), "similarity")
    check_cameras([photo.camera for photo in scene.photos], "capture")
    check_cameras([scene.normalised_camera(number) for number in range(len(scene))], "normalised")
    for number, photo in enumerate(scene.photos[:8]):
        height, width = photo.camera.height, photo.camera.width
        if scene.pixels(number).shape != (height, width, 3):
            raise Fault("not finite", f"the pixels of {photo.name} have the shape {scene.pixels(number).shape}")
        mask = scene.mask(number)
        if mask is not None and mask.shape != (height, width):
            raise Fault("not finite", f"the mask of {photo.name} has the shape {mask.shape}")
    plain = json.loads(json.dumps(scene_to_plain(scene), allow_nan=False))
    if json.dumps(scene_to_plain(scene_from_plain(plain))) != json.dumps(plain):
        raise Fault("not finite", "the record of the scene reads back as another")
    check_finite(nerfstudio_frame(scene).to_dict(), "nerfstudio's frame")
    return scene


def check_cameras(cameras: Any, what: str) -> None:
    """Cameras and their rays through corners and middle are finite; directions have unit length."""
    import torch

    from lerf.geometry.camera_table import CameraTable

    for camera in cameras:
        check_finite(camera.camera_to_world, f"{what} pose")
        numbers = [camera.fx, camera.fy, camera.cx, camera.cy, *camera.distortion]
        check_finite([float(number) for number in numbers], f"{what} camera")
    table = CameraTable.from_cameras(list(cameras))
    for number, camera in enumerate(cameras):
        x, y = camera.width - 0.5, camera.height - 0.5
        pixels = torch.tensor([[0.5, 0.5], [x, 0.5], [0.5, y], [x, y], [camera.width / 2, camera.height / 2]])
        rays = table.rays(torch.full((len(pixels),), number), pixels)
        check_finite(rays.origins, f"{what} ray origins")
        check_finite(rays.directions, f"{what} ray directions")
        if not torch.allclose(rays.directions.norm(dim=-1), torch.ones(len(pixels)), atol=1e-3):
            raise Fault("not finite", f"{what} ray directions are no unit vectors")
