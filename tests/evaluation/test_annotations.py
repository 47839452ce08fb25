"""Annotations: read from files, errors of broken files in one sentence, masks by hand."""

import dataclasses
import json

import numpy as np
import pytest
from PIL import Image

from lerf.errors import SceneError
from lerf.evaluation.annotations import (
    Annotation,
    LabelledPart,
    Phrase,
    Thing,
    read_annotation,
    read_labels_of_view,
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


def document(**changes):
    return {"version": 1, **json.loads(json.dumps(dataclasses.asdict(SCENE))), **changes}


def without(entry, *names):
    return {name: value for name, value in entry.items() if name not in names}


ENTRY = document()["things"][0]


def test_a_whole_file_is_read(tmp_path):
    (tmp_path / "annotation.json").write_text(json.dumps(document()))
    assert read_annotation(tmp_path) == SCENE
    assert read_annotation(str(tmp_path)) == SCENE


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot be read"),
        (b'{"version": 1, "seed"', "cannot be read"),
        (b"\xff\xfe\x00", "cannot be read"),
        ([], "not an annotation of version 1"),
        (document(version=2), "not an annotation of version 1"),
        (without(document(), "version"), "not an annotation of version 1"),
        (without(document(), "things"), "damaged"),
        (without(document(), "phrases"), "damaged"),
        (document(seed="first"), "damaged"),
        (document(seed=None), "damaged"),
        (document(things=3), "damaged"),
        (document(things=["mug"]), "damaged"),
        (document(things=[without(ENTRY, "parts")]), "damaged"),
        (document(things=[without(ENTRY, "colour")]), "damaged"),
        (document(things=[{**ENTRY, "weight": 3}]), "damaged"),
        (document(things=[{**ENTRY, "minimum": ["low", 0, 0]}]), "damaged"),
        (document(things=[{**ENTRY, "parts": [without(ENTRY["parts"][0], "label")]}]), "damaged"),
        (document(phrases=[{"text": "mug"}]), "damaged"),
        (document(phrases=[{"text": "mug", "type": "name", "things": 1}]), "damaged"),
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


def test_labels_of_a_view(tmp_path):
    labels = np.array([[0, 1], [254, 255]], dtype=np.uint8)
    (tmp_path / "labels").mkdir()
    Image.fromarray(labels).save(tmp_path / "labels" / "0007.png")
    np.testing.assert_array_equal(read_labels_of_view(tmp_path, "0007"), labels)
