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
        (b"", "not valid JSON"),
        (b'{"version": 1, "seed"', "not valid JSON"),
        (b"\xff\xfe\x00", "not valid JSON"),
        ([], "expected 'object'"),
        (document(version=2), "not an annotation of version 1"),
        (without(document(), "version"), "not an annotation of version 1"),
        (without(document(), "things"), "'things'"),
        (without(document(), "phrases"), "'phrases'"),
        (document(seed="first"), "'.seed'"),
        (document(seed=None), "'.seed'"),
        (document(things=3), "'.things'"),
        (document(things=["mug"]), "'.things"),
        (document(things=[without(ENTRY, "parts")]), "'parts'"),
        (document(things=[without(ENTRY, "colour")]), "'colour'"),
        (document(things=[{**ENTRY, "weight": 3}]), "'weight'"),
        (document(things=[{**ENTRY, "minimum": ["low", 0, 0]}]), "minimum"),
        (document(things=[{**ENTRY, "minimum": [0, 0]}]), "minimum"),
        (document(things=[{**ENTRY, "minimum": [1e300, 0, 0]}]), "minimum"),
        (document(things=[{**ENTRY, "minimum": [5, 0, 0]}]), "inside out"),
        (document(things=[{**ENTRY, "furniture": "no"}]), "furniture"),
        (document(things=[{**ENTRY, "parts": [without(ENTRY["parts"][0], "label")]}]), "'label'"),
        (document(things=[{**ENTRY, "parts": [{**ENTRY["parts"][0], "label": 256}]}]), "label"),
        (document(things=[{**ENTRY, "parts": [{**ENTRY["parts"][0], "label": True}]}]), "label"),
        (document(things=[{**ENTRY, "parts": ENTRY["parts"] * 2}], phrases=[]), "two have the label 1"),
        (document(things=[ENTRY, {**ENTRY, "parts": []}], phrases=[]), "two have the thing 1"),
        (document(phrases=[{"text": "mug"}]), "'type'"),
        (document(phrases=[{"text": " ", "type": "name", "things": [1]}]), "text"),
        (document(phrases=[{"text": 7, "type": "name", "things": [1]}]), "text"),
        (document(phrases=[{"text": "mug", "type": "name", "things": 1}]), "things"),
        (document(phrases=[{"text": "mug", "type": "name", "things": [9]}]), "not there"),
        (document(phrases=[{"text": "mug", "type": "absent", "things": [1]}]), "both absent"),
        (document(phrases=[{"text": "mug", "type": "name", "things": []}]), "both absent"),
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


def saved(folder, picture, **options):
    (folder / "labels").mkdir(exist_ok=True)
    picture.save(folder / "labels" / "v.png", **options)
    return read_labels_of_view(folder, "v")


LABELS = np.array([[0, 1, 7], [254, 255, 7]], dtype=np.uint8)


def palette(colours):
    """Indices in another order than the labels that their colours show."""
    picture = Image.fromarray(np.array([[2, 1, 0], [3, 4, 0]], dtype=np.uint8), "P")
    picture.putpalette([part for colour in colours for part in colour])
    return picture


GREYS = [(value,) * 3 for value in (7, 1, 0, 254, 255)]


@pytest.mark.parametrize(
    "picture",
    [
        Image.fromarray(LABELS.astype(np.uint16)),
        Image.fromarray(LABELS.astype(np.uint16) * 257),
        Image.fromarray(LABELS).convert("RGB"),
        Image.fromarray(LABELS).convert("RGBA"),
        Image.fromarray(LABELS).convert("LA"),
        palette(GREYS),
    ],
    ids=["16 bits", "stretched to 16 bits", "RGB", "RGBA", "LA", "palette of greys"],
)
def test_labels_stored_in_another_form_are_the_same(tmp_path, picture):
    np.testing.assert_array_equal(saved(tmp_path, picture), LABELS)


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        (Image.fromarray(LABELS.astype(np.uint16) * 256), "values up to 65280"),
        (palette([(7, 0, 0), *GREYS[1:]]), "a palette of colours"),
        (Image.fromarray(np.stack([LABELS, LABELS, LABELS.T.reshape(LABELS.shape)], -1)), "in colours"),
        (Image.fromarray(LABELS > 0), "one bit a pixel"),
        (Image.fromarray(np.stack([LABELS, LABELS], -1), "LA"), "transparent"),
    ],
    ids=["shifted to 16 bits", "palette", "RGB", "one bit", "transparent"],
)
@pytest.mark.filterwarnings("ignore:'mode' parameter is deprecated:DeprecationWarning")
def test_labels_that_do_not_say_which_are_refused(tmp_path, picture, message):
    with pytest.raises(SceneError, match=message):
        saved(tmp_path, picture)


def test_a_label_picture_that_is_no_whole_png_is_refused(tmp_path):
    saved(tmp_path, Image.fromarray(LABELS))
    path = tmp_path / "labels" / "v.png"
    whole = path.read_bytes()
    for at in range(0, whole.index(b"IDAT") + 12):
        path.write_bytes(whole[:at])
        with pytest.raises(SceneError, match="labels"):
            read_labels_of_view(tmp_path, "v")
    huge = bytearray(whole)
    huge[16:24] = (2**31 - 1).to_bytes(4, "big") * 2
    path.write_bytes(bytes(huge))
    with pytest.raises(SceneError, match="labels"):
        read_labels_of_view(tmp_path, "v")
    Image.fromarray(LABELS).save(path, "JPEG")
    with pytest.raises(SceneError, match="not a readable PNG"):
        read_labels_of_view(tmp_path, "v")
    path.unlink()
    with pytest.raises(SceneError, match="no picture of labels"):
        read_labels_of_view(tmp_path, "v")
