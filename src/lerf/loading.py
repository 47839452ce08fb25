"""Opening a trained run from Python."""

from __future__ import annotations

from pathlib import Path

from lerf.errors import RunError
from lerf.model import Model
from lerf.queries.result import QueryDefaults
from lerf.run.device import choose_device
from lerf.run.folder import RunFolder
from lerf.run.open_run import TRAIN_AGAIN, open_encoder, open_language, open_radiance


def load(
    run: str | Path, *, weights: str | Path | None = None, offline: bool = False, device: str | None = None
) -> Model:
    """Open a trained run.

    Args:
        run: folder that `lerf train` wrote.
        weights: encoder weights, where they are not at their usual place.
        offline: forbid downloads.
        device: by default `cuda` where there is one.

    Raises:
        RunError: not a run, unfinished, damaged, or of a newer version.
        ConfigError: the device is not available.
        EncoderError: the encoder's weights are missing or not those that the run was trained with.
    """
    folder, device = RunFolder(Path(run)), choose_device(device)
    config = folder.read_config()
    settings, scene = config["settings"], folder.read_scene()
    radiance = open_radiance(folder, settings, scene, device)
    language = open_language(folder, settings, device)
    encoder = open_encoder(folder, config, Path(weights) if weights else None, offline, device)
    if language.width != encoder.width:
        raise RunError(
            f"{folder.path / 'language.safetensors'} is damaged (its embeddings have {language.width} numbers, those "
            f"of '{encoder.name}' {encoder.width}); {TRAIN_AGAIN}."
        )
    return Model(
        scene,
        radiance,
        language,
        encoder,
        defaults=QueryDefaults(tuple(config["canonical"]), config["temperature"], config["threshold"]),
        device=device,
        folder=folder.path,
    )
