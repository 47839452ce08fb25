"""The demo scene with few and small photos, as nerfstudio and `lerf train` read it."""

from __future__ import annotations

import json
from pathlib import Path

from PIL import Image

from lerf.scenes.demo import demo_capture

SCALED = ("fl_x", "fl_y", "cx", "cy", "w", "h")


def write_small_capture(folder: Path, every: int = 5, reduction: int = 4) -> Path:
    """Every so many photos of the demo scene, at a fraction of their size; those held out stay so."""
    source = demo_capture()
    document = json.loads((source / "transforms.json").read_text())
    held_out = set(document["test_filenames"][::4])
    document["frames"] = [
        frame
        for number, frame in enumerate(document["frames"])
        if frame["file_path"] in held_out or (number % every == 0 and frame["file_path"] in document["train_filenames"])
    ]
    names = [frame["file_path"] for frame in document["frames"]]
    document["train_filenames"] = [name for name in names if name not in held_out]
    for split in ("val_filenames", "test_filenames"):
        document[split] = [name for name in names if name in held_out]
    for key in SCALED:
        document[key] = type(document[key])(document[key] / reduction)
    (folder / "images").mkdir(parents=True)
    for name in names:
        with Image.open(source / name) as photo:
            photo.resize((document["w"], document["h"]), Image.Resampling.BOX).save(folder / name, quality=95)
    (folder / "transforms.json").write_text(json.dumps(document))
    return folder
