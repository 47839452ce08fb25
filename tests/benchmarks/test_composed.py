"""The benchmark of composed pictures: its pairs, pictures and arithmetic, with an encoder that knows colours."""

import numpy as np
import pytest
import torch
from PIL import Image

import composed
from lerf.encoders.protocols import EncoderDefaults, FeatureGrid
from lerf.encoders.taxonomy import CLASSES, load_taxonomy

COLOURS = {0: (255, 0, 0), 2: (0, 255, 0), 4: (0, 0, 255)}
NAMES = [lemmas[0] for lemmas in load_taxonomy().lemmas]


class ByColour:
    """Knows three classes by the colour of their photographs; any other name lies on an axis of its own."""

    name, width, input_size, fingerprint = "by-colour", 5, 8, "by-colour"
    defaults = EncoderDefaults((0.2,), 10.0, 0.6, canonical=("object",))

    def __init__(self, confused=False):
        self.confused = confused

    def encode_text(self, phrases):
        rows = [next((n for n, label in enumerate(COLOURS) if NAMES[label] == phrase), 3) for phrase in phrases]
        rows = [4 if phrase == "object" else row for phrase, row in zip(phrases, rows, strict=True)]
        return torch.eye(5)[[{0: 1, 1: 0}.get(row, row) if self.confused else row for row in rows]]

    def encode_tiles(self, tiles):
        raise NotImplementedError

    def encode_photo_at(self, photo, ratio):
        small = torch.nn.functional.avg_pool2d(photo[None], 16)[0].permute(1, 2, 0)
        near = torch.stack([(small - torch.tensor(c) / 255).norm(dim=-1) < 0.3 for c in COLOURS.values()], -1).float()
        cells = torch.cat([near, torch.zeros(*near.shape[:2], 1), torch.full((*near.shape[:2], 1), 0.3)], -1)
        return FeatureGrid(torch.nn.functional.normalize(cells, dim=-1), 8.0, 8.0, 16.0, 16.0)


@pytest.fixture
def folder(tmp_path):
    for label, colour in COLOURS.items():
        Image.fromarray(np.full((40, 60, 3), colour, np.uint8)).save(tmp_path / f"imagenet_00_{label}.png")
    (tmp_path / "notes.txt").write_text("not a photograph")
    return tmp_path


def test_photos_are_known_by_their_names(folder):
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(folder / "n01443537_goldfish.png")
    assert {label: len(paths) for label, paths in composed.photos_of(folder).items()} == {0: 1, 1: 1, 2: 1, 4: 1}


def test_pairs_are_the_same_every_time_and_of_their_kind():
    classes = list(range(1, CLASSES, 2))
    pairs, common = composed.draw_pairs(classes, 30, 20), composed.common_information()
    assert pairs == composed.draw_pairs(classes, 30, 20)
    assert [pair.kin for pair in pairs] == [True] * 30 + [False] * 20
    assert len(set(pairs)) == 50
    for pair in pairs:
        assert pair.left != pair.right
        assert pair.left % 2 == pair.right % 2 == 1
        assert (common[pair.left, pair.right] <= composed.STRANGERS) != pair.kin


def test_a_picture_shows_each_photograph_in_its_half(folder):
    picture, boxes = composed.compose(composed.Pair(0, 4, True), composed.photos_of(folder), 3)
    for box, label, half in zip(boxes, (0, 4), (0, 1), strict=True):
        left, top, right, bottom = box
        assert half * composed.WIDTH // 2 <= left < right <= (half + 1) * composed.WIDTH // 2
        assert (picture[top:bottom, left:right] == COLOURS[label]).all()


def test_what_is_absent_is_not_shown():
    pair, common = composed.Pair(0, 2, True), composed.common_information()
    absent = composed.absent_of(pair, common, 1)
    assert len(set(absent)) == 2 * composed.ABSENT
    assert not {0, 2} & set(absent)


def test_an_encoder_that_knows_is_right_and_one_that_swaps_names_is_wrong(folder):
    photos = composed.photos_of(folder)
    pairs = [composed.Pair(0, 2, True), composed.Pair(2, 0, True), composed.Pair(2, 4, False)]
    found = composed.measure(ByColour(), ("object",), pairs, photos)
    assert found["which_is_where"] == found["one_name"] == found["average_precision"] == 1.0
    assert found["at_threshold"] == {"found": 1.0, "invented": 0.0}
    swapped = composed.measure(ByColour(confused=True), ("object",), pairs, photos)
    assert swapped["which_is_where_kin"] == swapped["one_name_kin"] == 0.0
    assert swapped["one_name_others"] == 0.5
