import json

import numpy as np
import pytest
import torch
from fake_encoders import DenseMeanColour, MeanColour, OnlyMap

from lerf.errors import ConfigError, EncoderError, StorageError
from lerf.pyramids import store as module
from lerf.pyramids.store import build_pyramids, photo_key


class Photos:
    """Two photos of different sizes."""

    def __init__(self, seed=0):
        generator = np.random.default_rng(seed)
        self.all = [generator.integers(0, 256, (*size, 3), dtype=np.uint8) for size in ((24, 40), (36, 20))]

    def __len__(self):
        return len(self.all)

    def pixels(self, index):
        return self.all[index]


def test_levels_come_back_as_they_were_encoded(tmp_path):
    photos, encoder = Photos(), DenseMeanColour()
    seen = []
    store = build_pyramids(photos, encoder, root=tmp_path, progress=lambda done, total: seen.append((done, total)))
    assert store.mode == "dense"
    assert seen == [(1, 2), (2, 2)]
    for index in range(2):
        image = torch.from_numpy(photos.pixels(index)).permute(2, 0, 1).float() / 255.0
        for level, ratio in enumerate(store.tile_ratios):
            expected, got = encoder.encode_photo_at(image, ratio), store.grid(index, level)
            torch.testing.assert_close(got.features, expected.features, atol=1e-3, rtol=0)
            assert (got.x0, got.y0, got.dx, got.dy) == (expected.x0, expected.y0, expected.dx, expected.dy)
        assert isinstance(store.features(index), np.memmap)


def test_second_run_computes_nothing_and_functions_serve_as_photos(tmp_path):
    photos, encoder = Photos(), DenseMeanColour()
    first = build_pyramids(photos, encoder, root=tmp_path)
    calls = encoder.calls
    second = build_pyramids([lambda: photos.pixels(1), lambda: photos.pixels(0)], encoder, root=tmp_path)
    assert encoder.calls == calls
    assert second.entries == first.entries[::-1], "the order is the caller's, the content decides"


def test_settings_and_content_separate_entries(tmp_path):
    encoder = MeanColour()
    folders = {
        build_pyramids(Photos(), encoder, root=tmp_path, mode="tiles", border=border, tile_ratios=ratios).folder
        for border in ("edge", "zero")
        for ratios in ((0.5,), (0.25, 0.5))
    }
    assert len(folders) == 4
    photo = Photos().pixels(0)
    changed = photo.copy()
    changed[3, 4, 1] ^= 1
    assert len({photo_key(photo), photo_key(changed), photo_key(photo.reshape(40, 24, 3))}) == 3


@pytest.mark.parametrize(
    "damage", ["truncate", "flip", "no json", "half json", "wrong json", "no array", "other ratios"]
)
def test_damaged_entry_is_computed_again(tmp_path, damage):
    encoder = DenseMeanColour()
    before = build_pyramids(Photos(), encoder, root=tmp_path)
    good = [np.array(before.features(index)) for index in range(2)]
    array = before.entries[0].path
    record = array.with_suffix(".json")
    data, text = array.read_bytes(), record.read_text()
    if damage == "truncate":
        array.write_bytes(data[:-7])
    elif damage == "flip":
        array.write_bytes(data[:-1] + bytes([data[-1] ^ 255]))
    elif damage == "no json":
        record.unlink()
    elif damage == "half json":
        record.write_text(text[: len(text) // 2])
    elif damage == "wrong json":
        record.write_text("[1, 2]")
    elif damage == "no array":
        array.unlink()
    else:
        value = json.loads(text)
        value["levels"][0]["tile_ratio"] = 0.4
        record.write_text(json.dumps(value))
    calls = encoder.calls
    after = build_pyramids(Photos(), encoder, root=tmp_path)
    assert encoder.calls == calls + 2, "the damaged photo's two levels, and no more"
    for index in range(2):
        assert np.array_equal(after.features(index), good[index])


def test_interrupted_run_goes_on_and_gives_the_same_bytes(tmp_path, monkeypatch):
    whole = build_pyramids(Photos(), DenseMeanColour(), root=tmp_path / "whole")

    class Interrupted(DenseMeanColour):
        def encode_photo_at(self, photo, tile_ratio):
            if self.calls == 3:
                raise KeyboardInterrupt
            return super().encode_photo_at(photo, tile_ratio)

    with pytest.raises(KeyboardInterrupt):
        build_pyramids(Photos(), Interrupted(), root=tmp_path / "cut")
    encoder = DenseMeanColour()
    resumed = build_pyramids(Photos(), encoder, root=tmp_path / "cut")
    assert encoder.calls == 2, "the first photo was kept"
    for index in range(2):
        assert resumed.entries[index].path.read_bytes() == whole.entries[index].path.read_bytes()


def test_dense_encoder_gives_one_level(tmp_path):
    store = build_pyramids(Photos(), OnlyMap(), root=tmp_path)
    assert (store.mode, store.tile_ratios) == ("map", (0.0,))
    assert store.grid(1, 0).features.shape == (36, 20, 3)


def test_mode_that_the_encoder_lacks(tmp_path):
    with pytest.raises(EncoderError, match="mean-colour"):
        build_pyramids(Photos(), MeanColour(), mode="dense", root=tmp_path)
    with pytest.raises(EncoderError, match="only-map"):
        build_pyramids(Photos(), OnlyMap(), mode="tiles", root=tmp_path)


def test_bad_ratio(tmp_path):
    with pytest.raises(ConfigError):
        build_pyramids(Photos(), DenseMeanColour(), tile_ratios=(0.0, 0.5), root=tmp_path)


def test_full_disk_is_one_clear_error(tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.np, "save", full)
    with pytest.raises(StorageError, match="No space left"):
        build_pyramids(Photos(), DenseMeanColour(), root=tmp_path)


def test_cache_root_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("LERF_CACHE", str(tmp_path / "here"))
    assert build_pyramids(Photos(), OnlyMap()).folder.is_relative_to(tmp_path / "here")
