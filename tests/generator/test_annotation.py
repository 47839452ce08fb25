"""Annotations: written and read back, broken files named in one sentence, masks by hand."""

import dataclasses
import json

import numpy as np
import pytest
from PIL import Image

from lerf.errors import SceneError
from lerf.generator.annotation import (
    Annotation,
    LabelledPart,
    Phrase,
    Thing,
    read_annotation,
    read_depth_of_view,
    read_labels_of_view,
    write_annotation,
)

LOW, HIGH = (0.0, -1.0, 0.25), (1.0, 2.0, 3.5)


def thing(identifier, kind, labels, furniture=False):
    parts = tuple(LabelledPart(label, name, LOW, HIGH) for name, label in labels.items())
    return Thing(identifier, kind, "red", "ceramic", "plain", "", furniture, parts, LOW, HIGH)


MUG = thing(1, "mug", {"body": 1, "handle": 2})
OTHER = thing(2, "mug", {"body": 3, "handle": 4})
TABLE = thing(3, "table", {"body": 255}, furniture=True)
NAME, ONE = Phrase("mug", "name", (1, 2)), Phrase("red mug", "colour", (2,), unseen=True)
HANDLE, ABSENT = Phrase("mug handle", "part", (1, 2), "handle"), Phrase("banana", "absent", ())
SCENE = Annotation(7, "table", (MUG, OTHER, TABLE), (NAME, ONE, HANDLE, ABSENT))


def test_what_is_written_is_read(tmp_path):
    write_annotation(tmp_path, SCENE)
    assert read_annotation(tmp_path) == SCENE
    assert read_annotation(str(tmp_path)) == SCENE


def test_objects_are_no_furniture():
    assert SCENE.objects == (MUG, OTHER)


@pytest.mark.parametrize(
    ("phrase", "labels"),
    [
        (NAME, [1, 2, 3, 4]),
        (ONE, [3, 4]),
        (HANDLE, [2, 4]),
        (ABSENT, []),
        (Phrase("table", "name", (3,)), [255]),
        (Phrase("mug lid", "part", (1,), "lid"), []),
    ],
    ids=lambda value: value.text if isinstance(value, Phrase) else "",
)
def test_labels_and_masks(phrase, labels):
    assert SCENE.labels_of(phrase) == labels
    picture = np.array([[0, 1, 2], [3, 4, 255], [0, 4, 9]], dtype=np.uint8)
    expected = [[value in labels for value in row] for row in picture.tolist()]
    np.testing.assert_array_equal(SCENE.mask(phrase, picture), expected)


def damaged(**changes):
    return {"version": 1, **json.loads(json.dumps(dataclasses.asdict(SCENE))), **changes}


def without(entry, *names):
    return {name: value for name, value in entry.items() if name not in names}


ENTRY = damaged()["things"][0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot be read"),
        (b'{"version": 1, "seed"', "cannot be read"),
        (b"\xff\xfe\x00", "cannot be read"),
        ([], "not an annotation of version 1"),
        (damaged(version=2), "not an annotation of version 1"),
        (without(damaged(), "version"), "not an annotation of version 1"),
        (without(damaged(), "things"), "damaged"),
        (without(damaged(), "phrases"), "damaged"),
        (damaged(seed="first"), "damaged"),
        (damaged(seed=None), "damaged"),
        (damaged(things=3), "damaged"),
        (damaged(things=["mug"]), "damaged"),
        (damaged(things=[without(ENTRY, "parts")]), "damaged"),
        (damaged(things=[without(ENTRY, "colour")]), "damaged"),
        (damaged(things=[{**ENTRY, "weight": 3}]), "damaged"),
        (damaged(things=[{**ENTRY, "minimum": ["low", 0, 0]}]), "damaged"),
        (damaged(things=[{**ENTRY, "parts": [without(ENTRY["parts"][0], "label")]}]), "damaged"),
        (damaged(phrases=[{"text": "mug"}]), "damaged"),
        (damaged(phrases=[{"text": "mug", "type": "name", "things": 1}]), "damaged"),
    ],
)
def test_a_broken_file_gets_one_sentence(tmp_path, content, message):
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    (tmp_path / "annotation.json").write_bytes(data)
    with pytest.raises(SceneError, match=message) as caught:
        read_annotation(tmp_path)
    assert "annotation.json" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SceneError, match=r"has no annotation\.json"):
        read_annotation(tmp_path)


def test_pictures_of_views(tmp_path):
    labels = np.array([[0, 1], [254, 255]], dtype=np.uint8)
    units = np.array([[0, 1], [12345, 65535]], dtype=np.uint16)
    for name, pixels in (("labels", labels), ("depth", units)):
        (tmp_path / name).mkdir()
        Image.fromarray(pixels).save(tmp_path / name / "0007.png")
    np.testing.assert_array_equal(read_labels_of_view(tmp_path, "0007"), labels)
    depth = read_depth_of_view(tmp_path, "0007")
    np.testing.assert_allclose(depth, [[np.nan, 1e-4], [1.2345, 6.5535]])
