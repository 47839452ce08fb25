"""The head that tells things apart: its loss against a plain one, and a training that goes on where it stopped."""

import json
import math

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import things as recipe
from lerf.encoders.mini_things import WIDTH, ThingHead
from things import FARTHEST, SHIFTS, batch_of, load_state, loss_of, prepared, save_state, train
from train import Pictures


def plain_loss(vectors, things, random):
    """Pair by pair."""
    total, (count, _, rows, columns) = 0.0, vectors.shape
    for _ in range(SHIFTS):
        down, across = (int(v) for v in torch.randint(-FARTHEST, FARTHEST + 1, (2,), generator=random))
        surprise = {True: [], False: []}
        for picture in range(count):
            for y in range(rows):
                for x in range(columns):
                    other_y, other_x = y - down, x - across
                    if not (0 <= other_y < rows and 0 <= other_x < columns):
                        continue
                    first, second = vectors[picture, :, y, x], vectors[picture, :, other_y, other_x]
                    apart = float((first - second).square().sum())
                    same = bool(things[picture, y, x] == things[picture, other_y, other_x])
                    surprise[same].append(apart if same else -math.log(1.0 - math.exp(-apart - 1e-4)))
        total += sum(float(np.mean(values)) for values in surprise.values())
    return total / SHIFTS


def test_the_loss_is_the_surprise_about_pairs():
    random = torch.Generator().manual_seed(2)
    vectors = 0.5 * torch.randn(2, 3, 9, 10, generator=random)
    things = torch.randint(0, 3, (2, 9, 10), generator=random).to(torch.uint8)
    found = loss_of(vectors, things, torch.Generator().manual_seed(7))
    # No shift of this seed is none at all.
    assert float(found) == pytest.approx(plain_loss(vectors, things, torch.Generator().manual_seed(7)), rel=1e-4)


def test_pictures_become_maps_and_the_things_in_the_middles_of_their_cells(tmp_path):
    things = [
        {"identifier": number, "kind": kind, "colour": "red", "material": "plastic", "pattern": "plain",
         "second": "white", "furniture": kind == "wall", "parts": [[number + 4, "body"]]}
        for number, kind in ((1, "ball"), (2, "wall"))
    ]  # fmt: skip
    labels = np.full((1, 240, 320), 6, np.uint8)
    labels[0, 60:120, 100:200] = 5
    colours = np.random.default_rng(0).integers(0, 255, (1, 240, 320, 3)).astype(np.uint8)
    np.savez(tmp_path / "00000.npz", pictures=colours, labels=labels, things=np.array(json.dumps(things)))
    paths = prepared(Pictures(tmp_path), tmp_path / "out")
    fine, coarse, found = batch_of(paths)
    assert (tuple(fine.shape), tuple(coarse.shape)) == ((1, 128, 120, 160), (1, 256, 60, 80))
    expected = torch.full((1, 120, 160), 2, dtype=torch.uint8)
    expected[0, 30:60, 50:100] = 1
    assert torch.equal(found, expected)
    before = paths[0].stat().st_mtime_ns
    assert prepared(Pictures(tmp_path), tmp_path / "out") == paths
    assert paths[0].stat().st_mtime_ns == before


def test_a_head_learns_to_tell_a_square_from_its_ground(tmp_path, monkeypatch):
    monkeypatch.setattr(recipe, "HELD_OUT", 2)
    random = torch.Generator().manual_seed(0)
    things = torch.ones(6, 24, 32, dtype=torch.uint8)
    for picture in range(6):
        top, left = (int(v) for v in torch.randint(2, 12, (2,), generator=random))
        things[picture, top : top + 10, left : left + 10] = 2
    # Every channel has one value on the square, another on the ground, and noise.
    means = torch.randn(2, 384, generator=random)
    fine = means[things.long() - 1][..., :128] + 0.3 * torch.randn(6, 24, 32, 128, generator=random)
    coarse = means[things[:, ::2, ::2].long() - 1][..., 128:]
    maps = [part.permute(0, 3, 1, 2).half().contiguous() for part in (fine, coarse)]
    paths = [tmp_path / f"{picture}" for picture in range(6)]
    for picture, path in enumerate(paths):
        save_file({"fine": maps[0][picture], "coarse": maps[1][picture], "things": things[picture]}, path)
    torch.manual_seed(0)
    heads = ThingHead(), train(paths, tmp_path, 25)
    found = [head(maps[0][:2].float(), maps[1][:2].float()).detach() for head in heads]
    assert found[0].shape == (2, WIDTH, 24, 32)
    surprises = [float(loss_of(one, things[:2], torch.Generator().manual_seed(1))) for one in found]
    assert surprises[1] < 0.5 * surprises[0]


def test_training_goes_on_where_it_was(tmp_path):
    heads, optimisers = [], []
    for _ in range(2):
        heads.append(ThingHead())
        optimisers.append(torch.optim.AdamW(heads[-1].parameters(), lr=1e-3))
    heads[0](torch.rand(1, 128, 4, 4), torch.rand(1, 256, 2, 2)).square().sum().backward()
    optimisers[0].step()
    save_state(tmp_path / "state.safetensors", heads[0], optimisers[0], 12)
    assert load_state(tmp_path / "state.safetensors", heads[1], optimisers[1]) == 12
    for first, second in zip(heads[0].parameters(), heads[1].parameters(), strict=True):
        assert torch.equal(first, second)
    kept, taken = (optimiser.state_dict()["state"] for optimiser in optimisers)
    assert kept.keys() == taken.keys()
    assert all(torch.equal(kept[number][name], taken[number][name]) for number in kept for name in kept[number])
