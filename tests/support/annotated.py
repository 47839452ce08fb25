"""The drawn scene as if it had been generated: an annotation and labels of every view beside its photos."""

import json
import shutil

import numpy as np
from PIL import Image

from lerf.evaluation.annotations import Annotation, LabelledPart, Phrase, Thing
from lerf_scenes.write import write_annotation

PHRASES = (
    Phrase("red", "name", (1,)),
    Phrase("blue", "name", (2,)),
    Phrase("yellow", "colour", (3,)),
    Phrase("a green one", "colour", (4,), unseen=True),
    Phrase("red yellow", "hypernym", (1, 3)),
    Phrase("green body", "part", (4,), "body"),
    Phrase("purple", "absent", ()),
    Phrase("a purple one", "absent", ()),
)


def annotated_copy(drawn, folder):
    """A copy of the capture with `annotation.json` and `labels/`: solid number i has the label i + 1."""
    shutil.copytree(drawn.folder, folder)
    things = []
    for number, solid in enumerate(drawn.scene.solids, start=1):
        centre, half = np.array(solid.centre), np.array(solid.half)
        low, high = (tuple(map(float, corner)) for corner in (centre - half, centre + half))
        parts = (LabelledPart(number, "body", low, high),)
        things.append(Thing(number, solid.kind, solid.name.split()[0], "plastic", "plain", "", False, parts, low, high))
    write_annotation(folder, Annotation(0, "table", tuple(things), PHRASES))
    document = json.loads((folder / "transforms.json").read_text())
    width, height = document["w"], document["h"]
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    local = np.stack([x - document["cx"], document["cy"] - y, -np.full_like(x, document["fl_x"])], -1).reshape(-1, 3)
    local /= np.linalg.norm(local, axis=-1, keepdims=True)
    (folder / "labels").mkdir()
    for frame in document["frames"]:
        pose = np.array(frame["transform_matrix"])
        directions = local @ pose[:3, :3].T
        owner = drawn.scene.trace(np.broadcast_to(pose[:3, 3], directions.shape), directions).owner
        labels = np.clip(owner + 1, 0, None).astype(np.uint8).reshape(height, width)
        Image.fromarray(labels).save(folder / "labels" / frame["file_path"].removeprefix("images/"))
    return folder
