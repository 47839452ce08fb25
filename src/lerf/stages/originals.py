"""The capture at its full resolution, which features are made of where the radiance sees reduced photos."""

from __future__ import annotations

from pathlib import Path

from lerf.errors import SceneError
from lerf.run.settings import TrainSettings
from lerf.scenes.finder import some_of
from lerf.scenes.load import read_scene
from lerf.scenes.scene import Scene


def read_originals(settings: TrainSettings, used: Scene) -> Scene:
    """The capture at its full resolution.

    Args:
        settings: of the run.
        used: the same capture at the resolution in use; each of its photos is in the result.

    Raises:
        SceneError: it cannot be read, or, where photos may be missing, the original of one that is used as a ready-made
            reduction is.
    """
    originals = read_scene(Path(settings.data), missing=settings.missing)
    if settings.missing == "skip" and settings.downscale:
        there = {photo.name for photo in originals.photos}
        lacking = [photo.name for photo in used.photos if photo.name not in there]
        if lacking:
            raise SceneError(f"The originals of {len(lacking)} photos are not there: {some_of(lacking)}.")
    return originals
