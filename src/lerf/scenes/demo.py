"""The capture that ships with the package: a generated scene with known answers (`src/lerf_scenes`)."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from lerf.errors import SceneError
from lerf.files import is_file

SEED, SETTING, VIEWS, HELD_OUT, SPP = 27, "table", 60, 8, 48
"""What `make demo-scene` makes it from."""


def demo_capture() -> Path:
    """Folder of the demo scene: a nerfstudio capture of 60 photos and 8 held out, with its annotation.

    Raises:
        SceneError: when the package was installed without it.
    """
    folder = Path(str(files("lerf.scenes").joinpath("demo_scene")))
    if not is_file(folder / "transforms.json"):
        raise SceneError(f"{folder} is missing from this installation of lerf; install the package again.")
    return folder
