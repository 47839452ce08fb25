"""Whether a capture is the one that a run was trained on."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from msgspec.structs import replace

from lerf.errors import LerfWarning, SceneError
from lerf.files import is_file
from lerf.run.capture_record import changes, read_capture_record, record_capture
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


def warn_of_changes(run: Path, scene: Scene, capture: Scene | None) -> None:
    """Say which held-out photos, or their cameras in a capture, are not what they were when a run was trained.

    Args:
        run: the run's folder.
        scene: the run's.
        capture: where the photos are read, if not where the run found them.
    """
    before = read_capture_record(run)
    if before is None:
        return
    photos = capture or scene
    # What is missing is said by whoever reads it.
    there = [index for index in scene.test if is_file(photos.photos[index].path)]
    now = record_capture(photos, before=before, photos=there)
    if capture is None:
        # The run's own cameras may be corrected ones.
        now = replace(now, photos=[replace(photo, pose=[]) for photo in now.photos])
    if found := changes(before, now):
        warnings.warn(
            f"The scores compare the run with other photos than those that it was trained beside: {'; '.join(found)}.",
            LerfWarning,
            stacklevel=2,
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
