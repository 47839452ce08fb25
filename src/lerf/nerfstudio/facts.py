"""What a run of the plug-in says of itself beside nerfstudio's own files, so that `lerf import` need not guess.

`lerf.json` in the run's folder: the training photos with their poses in nerfstudio's frame, and the encoders.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from lerf.encoders.protocols import DenseEncoder, ImageTextEncoder
from lerf.files import write_json
from lerf.nerfstudio.datamanager import LerfDataManager
from lerf.pyramids.plan import mode_in_use
from lerf.run.nerfstudio_facts import FILE, FORMAT, TrainedPhoto


def write_facts(
    folder: Path, data: LerfDataManager, encoder: ImageTextEncoder, dense: DenseEncoder | None, cut_out: bool
) -> None:
    """Write the file.

    Args:
        folder: of the run.
        data: what hands out its photos.
        encoder: of images and texts.
        dense: the regulariser.
        cut_out: whether photos are transparent around their subject.
    """
    config, defaults = data.config, encoder.defaults
    root = Path(config.data).absolute() if config.data else Path.cwd()
    features = None if config.features == "auto" else config.features
    document = {
        "format": FORMAT,
        "data": str(root),
        "photos": [msgspec.to_builtins(photo) for photo in trained_photos(data)],
        "cut_out": cut_out,
        "encoder": config.encoder,
        "encoder_fingerprint": encoder.fingerprint,
        "dense": config.dense,
        "dense_fingerprint": None if dense is None else dense.fingerprint,
        "features": mode_in_use(encoder, features),
        "canonical": list(defaults.canonical),
        "temperature": defaults.temperature,
        "threshold": defaults.threshold,
    }
    write_json(folder / FILE, document)


def trained_photos(data: LerfDataManager) -> list[TrainedPhoto]:
    """The training photos of a data manager, in its order."""
    dataset = data.train_dataset
    poses = dataset.cameras.camera_to_worlds[:, :3].cpu().double()
    return [
        TrainedPhoto(str(Path(file).absolute()), pose.flatten().tolist())
        for file, pose in zip(dataset.image_filenames, poses, strict=True)
    ]
