"""Files of Gaussian splats in every format that is read."""

from __future__ import annotations

import warnings
from pathlib import Path

from fuzzing.kinds.spoiling import data, one_of
from fuzzing.oracle import Case, Kind, check_finite

NAMES = ("a.ply", "text.ply", "a.splat", "a.spz", "a.sog")
COUNT = 40


def kinds() -> dict[str, Kind]:
    """By name."""
    return {"splats": Kind("splats", one_of(list(NAMES), data), _read, weight=4)}


def make(folder: Path) -> None:
    """A file of each format."""
    from splat_samples import random_splats, write_sog, write_text_ply

    from lerf.errors import LerfWarning
    from lerf.splats.files import write_splats

    place = folder / "splats"
    place.mkdir()
    splats = random_splats(COUNT, 1, normals=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LerfWarning)
        for name in ("a.ply", "a.splat", "a.spz"):
            write_splats(place / name, splats)
    write_text_ply(place / "text.ply", splats)
    write_sog(place / "a.sog")


def _read(case: Case) -> None:
    """Read what was spoilt, and draw it: whatever passed the reader gives finite pictures."""
    import torch

    from lerf.errors import LerfError
    from lerf.geometry.camera import Camera
    from lerf.geometry.camera_table import CameraTable
    from lerf.radiance.splats.gaussians import Gaussians
    from lerf.radiance.splats.radiance import SplatRadiance
    from lerf.splats.files import read_splats
    from lerf.steps import finish

    pose = torch.eye(4).numpy()[:3].astype("f8")
    camera = CameraTable.from_cameras([Camera(24, 18, 20.0, 20.0, 12.0, 9.0, pose)])
    error: LerfError | None = None
    # All are read: one of them is spoilt, and the others must go on being read.
    for name in NAMES:
        try:
            splats = read_splats(case.input / name)
        except LerfError as problem:
            error = problem
            continue
        picture = finish(SplatRadiance(Gaussians.of(splats)).render(camera, 0))
        check_finite(picture.colour, "colours")
        check_finite(picture.accumulation, "accumulation")
    if error is not None:
        raise error
