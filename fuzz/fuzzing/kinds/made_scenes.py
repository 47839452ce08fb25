"""Folders of `lerf make-scene`: the record of what was asked for, and pictures that are there already."""

from __future__ import annotations

import contextlib
from pathlib import Path

from fuzzing.kinds.spoiling import data, document
from fuzzing.mutation.places import spoilt_place
from fuzzing.oracle import Case, Kind, Refused, command

ASKED = (
    "--seed",
    "3",
    "--kind",
    "table",
    "--views",
    "2",
    "--held-out",
    "0",
    "--width",
    "32",
    "--height",
    "32",
    "--spp",
    "2",
)


def kinds() -> dict[str, Kind]:
    """By name."""
    return {"made-scene": Kind("made", _spoil, _complete, ("transforms.json", "annotation.json"))}


def _spoil(case: Case) -> str:
    """The record, a label picture, or the capture's own files; what is missing would be photographed again."""
    name = case.random.choice(("scene.json", "scene.json", "labels/0001.png", "annotation.json", "transforms.json"))
    path = case.input / name
    if case.random.random() < 0.1 and name != "labels/0001.png":
        return f"{name}: {spoilt_place(path, case.random)}"
    return f"{name}: {(data if path.suffix == '.png' else document)(path, case)}"


def _complete(case: Case) -> None:
    command("make-scene", case.input, *ASKED)
    with contextlib.suppress(Refused):
        command("info", case.input)


def make(folder: Path) -> None:
    """A scene whose pictures are placeholders, so that the making needs no path tracer."""
    import dataclasses

    import numpy as np
    from PIL import Image

    from lerf.files import write_json
    from lerf_scenes.write import VERSION, Photography, write_scene

    made = folder / "made"
    asked = Photography(views=2, held_out=0, width=32, height=32, spp=2)
    write_json(made / "scene.json", {"version": VERSION, "seed": 3, "setting": "table", **dataclasses.asdict(asked)})
    labels = np.arange(32 * 32, dtype=np.uint32).reshape(32, 32) % 12
    for name in ("0001", "0002"):
        for place, pixels, kind in (
            ("images", np.full((32, 32, 3), 128, np.uint8), "jpg"),
            ("labels", labels.astype(np.uint8), "png"),
            ("depth", np.full((32, 32), 9000, np.uint16), "png"),
        ):
            (made / place).mkdir(exist_ok=True)
            Image.fromarray(pixels).save(made / place / f"{name}.{kind}")
    write_scene(made, 3, "table", asked)
