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


def write_mixed_capture(folder: Path) -> Path:
    """The same with masks, which leave out the upper rows, and with every second photo half as large."""
    write_small_capture(folder)
    document = json.loads((folder / "transforms.json").read_text())
    intrinsics = {key: document.pop(key) for key in SCALED}
    (folder / "masks").mkdir()
    for number, frame in enumerate(document["frames"]):
        factor = 1 + number % 2
        frame |= {key: type(value)(value / factor) for key, value in intrinsics.items()}
        size = frame["w"], frame["h"]
        with Image.open(folder / frame["file_path"]) as photo:
            reduced = photo.resize(size, Image.Resampling.BOX)
        reduced.save(folder / frame["file_path"], quality=95)
        mask = Image.new("L", size, 255)
        mask.paste(0, (0, 0, size[0], size[1] // 4))
        frame["mask_path"] = f"masks/{Path(frame['file_path']).stem}.png"
        mask.save(folder / frame["mask_path"])
    (folder / "transforms.json").write_text(json.dumps(document))
    return folder
