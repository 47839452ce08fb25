import json

import numpy as np
import pytest
import torch
from fake_encoders import DenseMeanColour, MeanColour, OnlyMap

from lerf.errors import ConfigError, EncoderError, StorageError
from lerf.pyramids import manifest as module
from lerf.pyramids.manifest import MANIFEST, Use, read_manifest, remove_folder, remove_leftovers
from lerf.pyramids.plan import PyramidOptions
from lerf.pyramids.store import DECODERS, build_pyramids, photo_key


class Photos:
    """Two photos of different sizes."""

    def __init__(self, seed=0):
        generator = np.random.default_rng(seed)
        self.all = [generator.integers(0, 256, (*size, 3), dtype=np.uint8) for size in ((24, 40), (36, 20))]

    def __len__(self):
        return len(self.all)

    def pixels(self, index):
        return self.all[index]


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


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
        assert isinstance(store.level(index, 1), np.memmap)


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
        build_pyramids(Photos(), encoder, PyramidOptions("tiles", ratios, border), root=tmp_path).folder
        for border in ("edge", "zero")
        for ratios in ((0.5,), (0.25, 0.5))
    }
    assert len(folders) == 4
    photo = Photos().pixels(0)
    changed = photo.copy()
    changed[3, 4, 1] ^= 1
    assert len({photo_key(photo), photo_key(changed), photo_key(photo.reshape(40, 24, 3))}) == 3


DAMAGE = ["truncate", "flip", "no array", "no manifest", "half manifest", "wrong manifest", "not in it", "other ratios"]


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_entry_is_computed_again(tmp_path, damage):
    encoder = DenseMeanColour()
    before = build_pyramids(Photos(), encoder, root=tmp_path)
    good = [np.array(before.features(index)) for index in range(2)]
    array, manifest = before.entries[0].path, before.folder / MANIFEST
    data, text = array.read_bytes(), manifest.read_text()
    value = json.loads(text)
    lost = 2
    if damage == "truncate":
        array.write_bytes(data[:-7])
    elif damage == "flip":
        array.write_bytes(data[:-1] + bytes([data[-1] ^ 255]))
    elif damage == "no array":
        array.unlink()
    elif damage == "not in it":
        value["photos"].pop(array.stem)
        manifest.write_text(json.dumps(value))
    elif damage == "other ratios":
        value["layouts"][value["photos"][array.stem][2]][0][0] = 0.4
        manifest.write_text(json.dumps(value))
    else:
        lost = 4
        if damage == "no manifest":
            manifest.unlink()
        else:
            manifest.write_text(text[: len(text) // 2] if damage == "half manifest" else "[1, 2]")
    calls = encoder.calls
    after = build_pyramids(Photos(), encoder, root=tmp_path)
    assert encoder.calls == calls + lost, "the two levels of each photo without a sound record, and no more"
    for index in range(2):
        assert np.array_equal(after.features(index), good[index])
    assert manifest.read_text() == text


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
    assert contents(resumed.folder) == contents(whole.folder)


def test_dense_encoder_gives_one_level(tmp_path):
    store = build_pyramids(Photos(), OnlyMap(), root=tmp_path)
    assert (store.mode, store.tile_ratios) == ("map", (0.0,))
    assert store.grid(1, 0).features.shape == (36, 20, 3)


def test_mode_that_the_encoder_lacks(tmp_path):
    with pytest.raises(EncoderError, match="mean-colour"):
        build_pyramids(Photos(), MeanColour(), PyramidOptions("dense"), root=tmp_path)
    with pytest.raises(EncoderError, match="only-map"):
        build_pyramids(Photos(), OnlyMap(), PyramidOptions("tiles"), root=tmp_path)


def test_bad_ratio(tmp_path):
    with pytest.raises(ConfigError):
        build_pyramids(Photos(), DenseMeanColour(), PyramidOptions(tile_ratios=(0.0, 0.5)), root=tmp_path)


def test_full_disk_is_one_clear_error(tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.np, "save", full)
    with pytest.raises(StorageError, match="No space left"):
        build_pyramids(Photos(), DenseMeanColour(), root=tmp_path)


def test_cache_root_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("LERF_CACHE", str(tmp_path / "here"))
    assert build_pyramids(Photos(), OnlyMap()).folder.is_relative_to(tmp_path / "here")


def test_one_manifest_says_all_and_does_not_depend_on_the_order(tmp_path):
    photos = Photos()
    store = build_pyramids(photos, DenseMeanColour(), root=tmp_path / "a")
    turned = build_pyramids(
        [lambda: photos.pixels(1), lambda: photos.pixels(0)], DenseMeanColour(), root=tmp_path / "b"
    )
    assert contents(store.folder) == contents(turned.folder)
    assert {name for name in contents(store.folder) if name.endswith(".json")} == {MANIFEST}
    records = read_manifest(store.folder)
    assert set(records) == {photo_key(photos.pixels(index)) for index in range(2)}
    assert [records[entry.path.stem].levels for entry in store.entries] == [entry.levels for entry in store.entries]
    assert read_manifest(store.folder, {"format": 2}) is None


def test_runs_of_one_capture_share_what_they_have_in_common(tmp_path):
    photos, encoder = Photos(), DenseMeanColour()
    build_pyramids([lambda: photos.pixels(0)], encoder, root=tmp_path)
    calls = encoder.calls
    both = build_pyramids(photos, encoder, root=tmp_path)
    assert encoder.calls == calls + 2
    assert len(read_manifest(both.folder)) == 2


def test_photos_are_decoded_ahead_but_not_all_at_once(tmp_path):
    count, decoded, behind = 40, [], []

    class Slow(DenseMeanColour):
        def encode_photo_at(self, photo, tile_ratio):
            behind.append(len(decoded) - len(behind) // 2)
            return super().encode_photo_at(photo, tile_ratio)

    def photo(index):
        decoded.append(index)
        return np.full((8, 8, 3), index, np.uint8)

    build_pyramids([lambda i=i: photo(i) for i in range(count)], Slow(), root=tmp_path)
    assert sorted(decoded) == list(range(count))
    assert 1 < max(behind) <= 3 * DECODERS + 2


def test_speed_is_told_before_progress(tmp_path):
    told = []
    build_pyramids(
        Photos(), DenseMeanColour(), root=tmp_path, speed=lambda value: told.append(value > 0),
        progress=lambda done, _: told.append(done),
    )  # fmt: skip
    assert told == [True, 1, True, 2]


def test_what_a_kill_left_is_removed_unless_somebody_is_at_work(tmp_path):
    store = build_pyramids(Photos(), DenseMeanColour(), root=tmp_path)
    leftover = store.entries[0].path.with_name(".x.npy.abc")
    leftover.write_bytes(b"half")
    assert remove_leftovers(store.folder) == 0, "the store is open"
    assert not remove_folder(store.folder)
    store.use.close()
    with_other = Use(store.folder)
    assert remove_leftovers(store.folder) == 0
    with_other.close()
    assert remove_leftovers(store.folder) == 4
    assert not leftover.exists()
    assert remove_folder(store.folder)
    assert list((tmp_path / "pyramids").iterdir()) == []


def other_values(value):
    """What could stand in the place of a value of a file: of another type, or out of all bounds."""
    return [v for v in (None, True, "text", [], {}, -1, 0, 2**80, 1e300, 0.5, [value]) if v != value]


def mutations(value):
    """The value with one entry of it, at any depth, dropped or put in the place of another."""
    yield from other_values(value)
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in items:
        for changed in mutations(part):
            whole = value.copy()
            whole[key] = changed
            yield whole
        shorter = value.copy()
        del shorter[key]
        yield shorter


def test_a_manifest_with_any_entry_changed_never_gives_other_features(tmp_path):
    encoder = DenseMeanColour()
    before = build_pyramids(Photos(), encoder, root=tmp_path)
    good = [np.array(before.features(index)) for index in range(2)]
    manifest = before.folder / MANIFEST
    text = manifest.read_text()
    tried = list(mutations(json.loads(text)))
    assert len(tried) > 300
    for changed in tried[::3]:
        manifest.write_text(json.dumps(changed))
        after = build_pyramids(Photos(), encoder, root=tmp_path)
        assert after.entries == before.entries
        assert all(np.array_equal(after.features(index), good[index]) for index in range(2))
        assert manifest.read_text() == text


def test_a_record_of_the_journal_with_any_entry_changed_is_not_used(tmp_path, monkeypatch):
    encoder = DenseMeanColour()
    monkeypatch.setattr(module.Archive, "fold", lambda self: None)
    before = build_pyramids(Photos(), encoder, root=tmp_path)
    journal = before.entries[0].path.with_suffix(".json")
    text = journal.read_text()
    for changed in list(mutations(json.loads(text)))[::3]:
        journal.write_text(json.dumps(changed))
        assert build_pyramids(Photos(), encoder, root=tmp_path).entries == before.entries


def test_records_of_older_versions_have_no_check_and_are_used(tmp_path):
    encoder = DenseMeanColour()
    before = build_pyramids(Photos(), encoder, root=tmp_path)
    manifest = before.folder / MANIFEST
    value = json.loads(manifest.read_text())
    value["photos"] = {photo: row[:5] for photo, row in value["photos"].items()}
    manifest.write_text(json.dumps(value))
    calls = encoder.calls
    assert build_pyramids(Photos(), encoder, root=tmp_path).entries == before.entries
    assert encoder.calls == calls


def test_an_array_with_any_byte_changed_is_computed_again(tmp_path):
    encoder = DenseMeanColour()
    before = build_pyramids(Photos(), encoder, root=tmp_path)
    path, good = before.entries[0].path, np.array(before.features(0))
    whole = path.read_bytes()
    for at in [*range(128), *range(128, len(whole), 97)]:
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 32]) + whole[at + 1 :])
        after = build_pyramids(Photos(), encoder, root=tmp_path)
        assert np.array_equal(after.features(0), good)
    path.write_bytes(whole[:50])
    with pytest.raises(StorageError, match="changed or removed"):
        before.features(0)
    path.unlink()
    with pytest.raises(StorageError, match="changed or removed"):
        before.features(0)
