"""Opening the fields of a run."""

from __future__ import annotations

from lerf.errors import RunError
from lerf.radiance.hash_grid.field import RadianceField
from lerf.run.folder import RunFolder
from lerf.run.settings import TrainSettings
from lerf.scenes.scene import Scene


def load_radiance(folder: RunFolder, settings: TrainSettings, scene: Scene, device: str) -> RadianceField:
    """The finished radiance field of a run.

    Raises:
        RunError: missing, unfinished or damaged.
    """
    tensors, facts = folder.load_stage("radiance")
    if not facts.get("finished"):
        raise RunError(f"The radiance training of {folder.path} is not finished; run the same 'lerf train' again.")
    field = RadianceField(settings.radiance.for_background(scene.background), len(scene.train))
    folder.restore_field("radiance", field, tensors)
    return field.to(device).eval()
