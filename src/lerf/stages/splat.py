"""The stage of radiance where that is a file of Gaussian splats: it is read, moved into the capture's frame, held
against the photos, and kept in the run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lerf.errors import SceneError
from lerf.files import is_file, resolved, sha256_of
from lerf.geometry.similarity import Similarity
from lerf.radiance.splats.state import SPLAT, splats_state
from lerf.run.folder import StageName
from lerf.run.settings import TrainSettings
from lerf.scenes.camera_path import read_nerfstudio_transform
from lerf.scenes.nerfstudio_frame import nerfstudio_frame
from lerf.scenes.scene import Scene
from lerf.splats.files import read_splats
from lerf.splats.splats import Splats
from lerf.stages.keys import DIGITS, capture_fingerprint
from lerf.stages.splat_fit import require_fit
from lerf.stages.stage import Context

TRANSFORMS = "dataparser_transforms.json"


class SplatStage:
    """Takes a splat for the radiance."""

    name: StageName = "radiance"
    needs: tuple[StageName, ...] = ()
    saved = True

    def __init__(self) -> None:
        self._splats: Splats | None = None
        self._digests: dict[Path, str] = {}

    def decided_by(self, context: Context) -> dict[str, Any]:
        settings = context.settings
        transforms = transforms_file(settings)
        return {
            "capture": capture_fingerprint(context.scene),
            "splat": self._digest(_file(settings)),
            "radiance_frame": settings.radiance_frame,
            "transforms": None if transforms is None else self._digest(transforms),
        }

    def check(self, context: Context) -> None:
        """Read the splat, and refuse one that the photos do not show."""
        settings, scene = context.settings, context.scene
        splats = read_splats(_file(settings))
        if settings.radiance_frame == "nerfstudio":
            frame, told = frame_of_file(settings, scene)
            context.reporter.note(f"The splat is taken to be in the frame of {told}.")
            splats = splats.moved(frame.inverse())
        require_fit(splats, scene, settings)
        self._splats = splats

    def run(self, context: Context) -> None:
        if self._splats is None:
            self.check(context)
        assert self._splats is not None
        tensors, about = splats_state(self._splats)
        context.save_stage(self.name, tensors, {SPLAT: about, "step": 0, "finished": True})

    def _digest(self, path: Path) -> str:
        if path not in self._digests:
            self._digests[path] = sha256_of(path)[:DIGITS]
        return self._digests[path]


def _file(settings: TrainSettings) -> Path:
    """The file of the splat.

    Raises:
        SceneError: it is not there.
    """
    path = settings.splat or Path()
    if not is_file(path):
        raise SceneError(f"There is no splat at {path}; give a file with --radiance.")
    return path


def transforms_file(settings: TrainSettings) -> Path | None:
    """The dataparser_transforms.json that says the splat's frame; None where none does.

    Raises:
        SceneError: the one that was given is not there.
    """
    if settings.radiance_frame != "nerfstudio":
        return None
    if settings.radiance_transforms is None:
        beside = resolved(_file(settings)).parent / TRANSFORMS
        return beside if is_file(beside) else None
    given = Path(settings.radiance_transforms)
    if not is_file(given):
        raise SceneError(f"There is no file {given}; give the {TRANSFORMS} of the nerfstudio run.")
    return given


def frame_of_file(settings: TrainSettings, scene: Scene) -> tuple[Similarity, str]:
    """The capture frame to that of nerfstudio, and where it is known from.

    Raises:
        SceneError: it cannot be known.
    """
    transforms = transforms_file(settings)
    if transforms is None:
        return nerfstudio_frame(scene), "nerfstudio's default settings"
    return read_nerfstudio_transform(transforms, scene), str(transforms)
