"""Extraction survives kill -9 at any moment: the store opens, and its bytes end as those of an undisturbed one."""

import multiprocessing
import random
import time

import numpy as np
import pytest
from fake_encoders import MeanColour

from lerf.encoders.protocols import EncoderDefaults
from lerf.pyramids.manifest import FOLDER, Archive, read_manifest, read_settings
from lerf.pyramids.store import build_pyramids

PHOTO_SECONDS = 0.04
PROCESSES = multiprocessing.get_context("forkserver")
# Children start from a process that has imported torch already: a kill then hits work, not imports.
PROCESSES.set_forkserver_preload(["lerf.pyramids.store"])


class Slow(MeanColour):
    """Takes at least `PHOTO_SECONDS` a photo of one batch, so that all kills come before the end."""

    defaults = EncoderDefaults((0.4, 0.5), temperature=10.0, threshold=0.5)

    def encode_tiles(self, tiles):
        time.sleep(PHOTO_SECONDS / 2)
        return super().encode_tiles(tiles)


def photo(index):
    return np.random.default_rng(index).integers(0, 256, (60, 90, 3), dtype=np.uint8)


def extract(root, photos, begun=None):
    if begun:
        begun.set()
    build_pyramids([lambda i=i: photo(i) for i in range(photos)], Slow(), root=root)


def contents(root):
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def assert_sound(root):
    """Everything that manifest and journal promise is there, whole."""
    for folder in (path for path in (root / FOLDER).glob("*") if path.is_dir()):
        if (folder / "manifest.json").is_file():
            settings = read_settings(folder)
            archive = Archive(folder, settings)
            known = set(read_manifest(folder)) | {path.stem for path in folder.glob("??/*.json")}
            for key in known:
                assert archive.verified(key, settings["width"], settings["tile_ratios"]), key


@pytest.mark.parametrize(
    ("kills", "photos"), [(3, 24), pytest.param(20, 120, marks=pytest.mark.slow)], ids=["quick", "twenty"]
)
def test_killed_at_random_gives_the_same_bytes(tmp_path, kills, photos):
    generator = random.Random(5)
    for _ in range(kills):
        begun = PROCESSES.Event()
        child = PROCESSES.Process(target=extract, args=(tmp_path / "cut", photos, begun))
        child.start()
        assert begun.wait(60)
        child.join(generator.uniform(0.0, 0.9 * photos * PHOTO_SECONDS / kills))
        assert child.is_alive()
        child.kill()
        child.join()
        assert_sound(tmp_path / "cut")
    assert list((tmp_path / "cut").rglob("*.npy")), "some photos were done before a kill"
    extract(tmp_path / "cut", photos)
    extract(tmp_path / "whole", photos)
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")
