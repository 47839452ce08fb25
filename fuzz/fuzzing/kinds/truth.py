"""What is true of a scene: label files, box files, annotations with label pictures, lists of absent phrases."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from fuzzing.kinds.spoiling import data, document, lines, one_of
from fuzzing.oracle import Case, Kind, check_finite, command

VIEWS = ("0000", "0003", "0007")
"""Photos of the drawn scene that have labels."""
WHOLE_COMMAND = 0.03
"""Share of the cases that go through `lerf eval`, which takes long."""


def kinds() -> dict[str, Kind]:
    """By name."""
    files = [f"{name}.json" for name in VIEWS]
    return {
        "labels": Kind("labels", one_of(files, document), _read_labels, weight=3),
        "boxes": Kind("boxes", one_of(files, document), _read_labels, weight=2),
        "annotations": Kind("annotated", one_of(["annotation.json"], document), _read_labels, weight=3),
        "label-pictures": Kind(
            "annotated", one_of([f"labels/{name}.png" for name in VIEWS], _picture), _read_labels, weight=2
        ),
        "absent-phrases": Kind("absent", one_of(["absent.txt"], lines), _read_absent),
    }


def _picture(path: Path, case: Case) -> str:
    """A label picture: its bytes, or other pixels."""
    import numpy as np
    from PIL import Image

    if case.random.random() < 0.5:
        return data(path, case)
    shape = case.random.choice(((18, 24), (1, 1), (36, 48), (18, 24, 3), (24, 18), (3000, 4000)))
    fill, kind = case.random.choice((0, 1, 255, 300, 65535)), case.random.choice((np.uint8, np.uint16, bool))
    wrapped = np.uint8 if len(shape) == 3 else kind
    path.unlink()
    Image.fromarray(np.full(shape, fill % 256 if wrapped is np.uint8 else fill, wrapped)).save(path, format="PNG")
    return f"{shape} {wrapped.__name__} of {fill}"


def _read_labels(case: Case) -> None:
    from lerf.evaluation.truth import find_truth, other_categories

    if case.random.random() < WHOLE_COMMAND:
        command("eval", case.material / "run", "--labels", case.input, "--device", "cpu", "--protocol", "lerf-ovs")
    scene = _scene(case.material)
    truth = find_truth(scene, case.input, ["purple"])
    for photo in truth.views if truth is not None else ():
        if Path(scene.photos[photo].name).stem not in VIEWS:
            continue
        truth.shown(photo)
        view = truth.view(photo)
        for target in view.targets.values():
            check_finite([list(box) for box in target.boxes], "boxes")
            if target.mask is not None:
                assert target.mask.shape == (view.height, view.width)
    if truth is not None:
        json.dumps([question.text for question in truth.questions])
    other_categories(case.input)


@cache
def _scene(material: Path) -> Any:
    from lerf.scenes.load import load_scene

    return load_scene(material / "drawn")


def _read_absent(case: Case) -> None:
    from lerf.evaluation.truth import read_absent

    read_absent(case.input / "absent.txt")


def make(folder: Path, drawn: Any) -> None:
    """Truth of the drawn scene in each layout; `drawn` has its folder and what it shows."""
    from annotated import annotated_copy

    annotated_copy(drawn, folder / "annotated")
    for name in ("labels", "boxes", "absent"):
        (folder / name).mkdir()
    (folder / "absent/absent.txt").write_text("purple\na purple one\n\nzebra\n")
    square = [[3, 2], [12, 2], [12.5, 11], [3, 11]]
    for name in VIEWS:
        item = {"category": "red", "segmentation": square, "bbox": [3, 2, 12, 11], "group": 1}
        labels = {
            "info": {"name": f"{name}.png", "width": 24, "height": 18},
            "objects": [item, {**item, "category": "blue"}],
        }
        (folder / "labels" / f"{name}.json").write_text(json.dumps(labels))
        boxes = {
            "name": f"{name}.png",
            "width": 24,
            "height": 18,
            "boxes": {"red": [[3, 2, 12, 11]], "blue": [[0, 0, 5, 5]]},
        }
        (folder / "boxes" / f"{name}.json").write_text(json.dumps(boxes))
