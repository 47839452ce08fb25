"""The arithmetic that is printed before the work."""

import numpy as np
import pytest
from scene_files import transforms, write_capture

from lerf.apps.estimate import ENCODER_SIZES, features_of, training_needs
from lerf.encoders.conse import load
from lerf.encoders.mid_level import load as load_mid
from lerf.encoders.mini import load as load_mini
from lerf.encoders.mini import load_map
from lerf.encoders.registry import DENSE_ENCODERS, ENCODERS
from lerf.pyramids.store import build_pyramids
from lerf.run.make_settings import make_settings
from lerf.scenes import load_scene


def test_every_encoder_of_the_package_is_known():
    assert set(ENCODER_SIZES) == set(ENCODERS) | set(DENSE_ENCODERS)
    assert features_of("somebody-elses", [(10, 10)]) is None


def test_tiles_are_counted_as_they_are_cut():
    paper = features_of("openclip", [(738, 994)] * 3)
    assert paper == 3 * 3225 * 512 * 2
    assert features_of("openclip:ViT-B-32/laion2b+templates", [(738, 994)] * 3) == paper
    assert features_of("openclip-l", [(738, 994)]) == 3225 * 768 * 2
    assert features_of("openclip", [(738, 994)], tile_ratios=(0.5,)) == 42 * 512 * 2


@pytest.mark.parametrize(
    ("name", "make"), [("conse", load), ("conse-mid", load_mid), ("mini", load_mini), ("mini-map", load_map)]
)
def test_estimates_are_near_what_comes_out(name, make, tmp_path):
    photo = np.random.default_rng(0).integers(0, 256, (240, 320, 3), dtype=np.uint8)
    store = build_pyramids([lambda: photo], make(), root=tmp_path)
    real = 2 * store.entries[0].cells * store.width
    assert features_of(name, [(240, 320)]) == pytest.approx(real, rel=0.5)


def test_tiles_of_clip_take_a_hundred_times_as_long_as_dense_passes(tmp_path):
    write_capture(tmp_path, {**transforms(20), "w": 12, "h": 8})

    scene = load_scene(tmp_path)

    def minutes(**options):
        settings = make_settings(tmp_path, preset="lerf-cpu", device="cpu", **options)
        return training_needs(settings, scene)["minutes_on_two_cores"]

    dense, tiles, conse = minutes(), minutes(features="tiles"), minutes(encoder="conse")
    assert 1 < dense - conse < 6, "20 photos, 7 s of ViT-B/16 and 6 s of DINO each, but for some that are held out"
    assert tiles > 200
    loaded = [
        training_needs(make_settings(tmp_path, device="cpu", encoder=name, dense="none"), scene)["memory_bytes"]
        for name in ("openclip", "conse")
    ]
    assert loaded[0] - loaded[1] > 5e8, "the weights"


def test_memory_is_bounded_by_what_was_asked_for(tmp_path):
    write_capture(tmp_path, {**transforms(20), "w": 12, "h": 8})
    options = {"preset": "lerf-cpu", "device": "cpu", "encoder": "openclip", "dense": "dino"}
    scene = load_scene(tmp_path)
    facts = [training_needs(make_settings(tmp_path, **options, memory=memory), scene) for memory in (4.0, 0.001)]
    assert facts[0]["features_bytes"] == facts[1]["features_bytes"] > 1e7
    saved = facts[0]["memory_bytes"] - facts[1]["memory_bytes"]
    assert saved == facts[0]["features_bytes"] - 1_000_000
