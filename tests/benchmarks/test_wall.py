"""The wall of the benchmark: what its cameras see is what its radiance says, and an encoder of colours finds all."""

import numpy as np
import pytest
import torch
from PIL import Image

import wall
from lerf.encoders.protocols import EncoderDefaults, FeatureGrid
from lerf.encoders.taxonomy import load_taxonomy

CLASSES = list(range(0, 20, 2))
NAMES = [load_taxonomy().lemmas[label][0] for label in CLASSES]
COLOURS = {label: tuple(60 + 195 * (number >> bit & 1) for bit in range(3)) for number, label in enumerate(CLASSES[:8])}
COLOURS |= {CLASSES[8]: (0, 0, 0), CLASSES[9]: (255, 160, 60)}


class ByColour:
    """Knows ten classes by their colours."""

    name, width, input_size, fingerprint = "ten-colours", 11, 8, "ten-colours"
    defaults = EncoderDefaults((0.1, 0.2), 10.0, 0.6, canonical=("object",))

    def encode_text(self, phrases):
        return torch.eye(11)[[NAMES.index(phrase) if phrase in NAMES else 10 for phrase in phrases]]

    def encode_tiles(self, tiles):
        raise NotImplementedError

    def encode_photo_at(self, photo, ratio):
        small = torch.nn.functional.avg_pool2d(photo[None], 12)[0].permute(1, 2, 0)
        near = torch.stack([(small - torch.tensor(COLOURS[c]) / 255).norm(dim=-1) < 0.12 for c in CLASSES], -1).float()
        cells = torch.cat([near, torch.full((*near.shape[:2], 1), 0.3)], dim=-1)
        return FeatureGrid(torch.nn.functional.normalize(cells, dim=-1), 6.0, 6.0, 12.0, 12.0)


@pytest.fixture
def hung(tmp_path):
    paths = {}
    for label, colour in COLOURS.items():
        paths[label] = [tmp_path / f"{label}.png"]
        Image.fromarray(np.full((40, 40, 3), colour, np.uint8)).save(paths[label][0])
    return wall.hang(paths, CLASSES, 4, wall.HANGINGS["many"])


def test_a_photograph_is_where_its_box_says(hung):
    for view in (0, 3):
        picture, where = torch.from_numpy(wall.photograph(hung, view)).float(), wall.points_of(hung, view)
        shown = 0
        for label, (left, bottom, right, top) in zip(hung.labels, hung.boxes, strict=True):
            x, y, edge = where[..., 0], where[..., 1], 0.02
            inside = (x > left + edge) & (x < right - edge) & (y > bottom + edge) & (y < top - edge)
            if bool(inside.any()):
                shown += 1
                assert (picture[inside] - torch.tensor(COLOURS[label])).abs().max() <= 2
        assert shown > 2
        beyond = (where.abs() > torch.tensor(wall.HALF) + 0.02).any(dim=-1)
        assert not bool(picture[beyond].any())


def test_an_encoder_that_knows_finds_all_in_3d_and_in_2d(hung, tmp_path, monkeypatch):
    monkeypatch.setenv("LERF_CACHE", str(tmp_path / "cache"))
    found = wall.measure(ByColour(), hung)
    assert len(found["2d"]) > 8
    assert sum(found["2d"]) / len(found["2d"]) > 0.9
    assert sum(found["lifted"]) / len(found["lifted"]) > 0.9
