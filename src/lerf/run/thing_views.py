"""The training photos of a run as those who tell which points of a surface are of one thing."""

from __future__ import annotations

import warnings

import torch

from lerf.encoders.mini_things import MiniThings
from lerf.encoders.protocols import FeatureGrid
from lerf.errors import LerfWarning, SceneError
from lerf.geometry.camera_table import CameraTable
from lerf.queries.one_thing import ThingViews
from lerf.scenes.scene import Scene


def thing_views(scene: Scene, cameras: CameraTable, device: str) -> ThingViews | None:
    """The training photos of a scene whose photos are the rows of `cameras`; None, with a warning, where the first
    cannot be read: a run may lie where its photos do not."""
    try:
        if scene.train:
            scene.pixels(scene.train[0])
    except SceneError as error:
        warnings.warn(
            f"The photos do not tell which points are of one thing, so that answers end less exactly: {error}",
            LerfWarning,
            stacklevel=2,
        )
        return None
    things = MiniThings(device)

    def vectors(photo: int) -> FeatureGrid | None:
        try:
            pixels = scene.pixels(photo)
        except SceneError as error:
            warnings.warn(f"A photo does not tell which points are of one thing: {error}", LerfWarning, stacklevel=2)
            return None
        return things.encode_photo(torch.from_numpy(pixels).permute(2, 0, 1) / 255.0)

    return ThingViews(cameras, scene.train, vectors)
