"""Features from a Ray cluster: the bytes of one process, also when a worker is killed in the middle."""

import json
import os
import signal
import sys
import threading
import time
import types

import numpy as np
import pytest
from fake_encoders import DenseMeanColour

from lerf.apps.main import main
from lerf.errors import ConfigError, EncoderError
from lerf.pyramids import cluster
from lerf.pyramids.plan import make_plan
from lerf.pyramids.store import build_pyramids

PLUG_IN = '''
import os, pathlib, time
from colour_words import ColourWords

class Slow(ColourWords):
    """Leaves the ids of the processes that work beside this file."""
    name = "slow-words"

    def encode_photo_at(self, photo, tile_ratio):
        (pathlib.Path(__file__).parent / "pids" / str(os.getpid())).touch()
        time.sleep(0.1)
        return super().encode_photo_at(photo, tile_ratio)

def load(weights=None, offline=False, device="cpu"):
    return Slow()
'''


def contents(root):
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.fixture
def slow_words(tmp_path, monkeypatch):
    """An encoder found through an entry point, here and in every worker."""
    folder = tmp_path / "plugin"
    (folder / "pids").mkdir(parents=True)
    (folder / "slow_words.py").write_text(PLUG_IN)
    about = folder / "slow_words-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: slow-words\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[lerf.encoders]\nslow-words = slow_words:load\n")
    monkeypatch.syspath_prepend(str(folder))
    support = next(path for path in sys.path if path.endswith("tests/support"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), support, os.environ.get("PYTHONPATH", "")]))
    return folder


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_worker_killed_in_the_middle_changes_nothing(drawn, slow_words, tmp_path, monkeypatch, capsys):
    pytest.importorskip("ray", reason="ray is not installed: pip install 'lerf[ray]'")
    command = ["features", str(drawn.folder), "--encoder", "slow-words", "--no-pictures", "--json", "--output"]
    monkeypatch.setenv("LERF_CACHE", str(tmp_path / "here"))
    assert main([*command, str(tmp_path / "a")]) == 0
    for path in (slow_words / "pids").iterdir():
        path.unlink()
    killed = []

    def kill_one():
        while not killed:
            time.sleep(0.05)
            # Only once the work has been going on for some photos.
            if len(list((tmp_path / "there").rglob("*.npy"))) >= 3:
                killed.extend(int(path.name) for path in list((slow_words / "pids").iterdir())[:1])
                os.kill(killed[0], signal.SIGKILL)

    monkeypatch.setenv("LERF_CACHE", str(tmp_path / "there"))
    killer = threading.Thread(target=kill_one, daemon=True)
    killer.start()
    capsys.readouterr()
    assert main([*command, str(tmp_path / "b"), "--ray"]) == 0
    killer.join(5)
    assert killed
    assert killed[0] != os.getpid()
    assert len(list((slow_words / "pids").iterdir())) >= 2, "another worker took over"
    facts = json.loads(capsys.readouterr().out)["encoders"]["slow-words"]
    assert facts["folder"].startswith(str(tmp_path / "there"))
    assert contents(tmp_path / "here") == contents(tmp_path / "there")


def test_without_ray_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match=r"pip install 'lerf\[ray\]'"):
        cluster.Cluster("conse")


def test_a_worker_embeds_as_this_process_does_and_refuses_another_encoder(drawn):
    worker = cluster.Worker("colour-words", False, None, True, "cpu")
    plan = make_plan(worker._encoder)
    pixels = np.random.default_rng(0).integers(0, 256, (24, 40, 3), dtype=np.uint8)
    pixels.setflags(write=False)
    array, levels = worker.embed(pixels, plan.settings, plan.options)
    expected, places = plan.embed(np.array(pixels))
    assert np.array_equal(array, expected)
    assert levels == places
    other = make_plan(DenseMeanColour()).settings
    with pytest.raises(EncoderError, match="same everywhere"):
        worker.embed(pixels, other, plan.options)


def test_a_cluster_that_does_not_answer_is_one_sentence(monkeypatch, tmp_path):
    def init(**settings):
        assert settings["address"] == "10.0.0.1:6379"
        raise Exception("timed out\nmore")

    names = ("RayTaskError", "RayError")
    stand_in = types.SimpleNamespace(
        init=init, is_initialized=lambda: False,
        exceptions=types.SimpleNamespace(**{name: type(name, (Exception,), {}) for name in names}),
    )  # fmt: skip
    monkeypatch.setitem(sys.modules, "ray", stand_in)
    unreachable = cluster.Cluster("conse", address="10.0.0.1:6379")
    photo = np.zeros((8, 8, 3), np.uint8)
    with pytest.raises(ConfigError, match=r"cluster 10.0.0.1:6379 cannot be used \(Exception: timed out\)"):
        build_pyramids([lambda: photo], DenseMeanColour(), root=tmp_path, compute=unreachable)
    nothing_to_do = build_pyramids([], DenseMeanColour(), root=tmp_path, compute=unreachable)
    assert len(nothing_to_do) == 0
