"""Whether a capture is the one that a run was trained on."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lerf.errors import SceneError
from lerf.scenes.scene import Scene

POSE_TOLERANCE = 1e-6
"""By how much poses of one capture may differ, as a share of the largest number in them: they are copied, not solved
for."""


def check_photos(capture: Scene, scene: Scene) -> None:
    """Refuse a capture whose photos are not those of the run's scene by name and size.

    Raises:
        SceneError: when they are not.
    """
    names, expected = ([photo.name for photo in each.photos] for each in (capture, scene))
    if names != expected:
        odd = sorted(set(names) ^ set(expected))
        detail = f"{odd[0]} is only in one of them" if odd else "they are listed in another order"
        raise SceneError(f"The photos of {capture.root} are not those of the run ({detail}); give the run's capture.")
    for new, old in zip(capture.photos, scene.photos, strict=True):
        size, was = ((photo.camera.width, photo.camera.height) for photo in (new, old))
        if size != was:
            raise SceneError(
                f"{new.name} of {capture.root} has {size[0]}x{size[1]} pixels, in the run {was[0]}x{was[1]}; "
                "give the run's capture."
            )


def check_cameras(capture: Scene, scene: Scene, folder: Path) -> None:
    """Refuse an annotation of another scene, by the names and poses of its photos.

    Names alone do not tell: those of all generated scenes are alike.

    Args:
        capture: the one that the annotation in `folder` is of.
        scene: the run's.
        folder: for the message.

    Raises:
        SceneError: when they differ.
    """
    poses, expected = ({photo.name: photo.camera.camera_to_world for photo in each.photos} for each in (capture, scene))
    alike = poses.keys() == expected.keys() and all(
        np.allclose(poses[name], pose, rtol=0, atol=POSE_TOLERANCE * float(np.abs(pose).max()))
        for name, pose in expected.items()
    )
    if not alike:
        raise SceneError(
            f"The annotation in {folder} is of another scene: the cameras of its transforms.json are not those of the "
            "run; give the folder that the run was trained on, or a copy."
        )
