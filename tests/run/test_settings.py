"""Settings as they are saved: runs of before still open."""

import copy
import json

import pytest

from lerf.errors import ConfigError
from lerf.run.folder import RunFolder
from lerf.run.make_settings import make_settings
from lerf.run.settings import MEMORY, TrainSettings, from_plain

SAVED = {
    "format": 1,
    "settings": {
        "data": "/captures/fox", "preset": "lerf-demo", "encoder": "mini", "dense": "none", "features": None,
        "border": "edge", "tile_ratios": [0.1, 0.2], "downscale": 2, "seed": 0, "device": "cpu", "weights": None,
        "radiance_run": None,
        "radiance": {
            "levels": 10, "features": 2, "log2_entries": 17, "coarsest": 16, "finest": 1536, "hidden": 32,
            "geometry": 7, "colour_hidden": 32, "shading": "deferred", "samples": 16, "render_samples": 64, "bins": 96,
            "padding": 0.05, "cap": 0.5, "closed": True, "grid_side": 128, "near": 0.05, "far": 100.0,
        },
        "radiance_training": {
            "steps": 1200, "rays": 4096, "rate": 0.03, "final_rate": 0.0005, "network_rate": 0.5, "gain_rate": 0.02,
            "distortion": 0.002, "distortion_ramp": [200, 500], "anneal_steps": 100, "grid_every": 8,
            "grid_cells": 65536, "grid_decay": 0.3, "sample_decay": 0.6, "refine_poses": False, "pose_rate": 0.05,
        },
        "language": {
            "grids": [[8, 16, 256]], "features": 4, "log2_entries": 16, "contraction": "l2", "hidden": 128,
            "layers": 2, "dense_hidden": 64, "samples": 8, "estimator": "deferred",
        },
        "language_training": {
            "steps": 600, "rays": 4096, "rate": 0.01, "final_rate": 0.001, "decay_steps": 600, "network_rate": 1.0,
            "clip_weight": 0.1, "dense_weight": 1.0, "pool_rays": 300000, "weight_decay": 1e-09,
        },
        "language_source": "lift", "memory": 4.0,
    },
    "encoder_fingerprint": "0", "dense_fingerprint": None, "canonical": ["object"], "temperature": 27.0,
    "threshold": 0.924,
}  # fmt: skip
"""A config.json as version 0.1 writes it."""


def opened(folder, config):
    (folder / "config.json").write_text(json.dumps(config))
    return RunFolder(folder).read_config()["settings"]


def test_a_config_of_version_0_1_still_opens(tmp_path):
    expected = make_settings(
        "/captures/fox", preset="lerf-demo", dense="none", device="cpu", downscale=2, tile_ratios=[0.1, 0.2],
        **{"radiance_training.points": "none"},
    )  # fmt: skip
    assert opened(tmp_path, SAVED) == expected


def test_settings_that_came_later_have_the_value_that_runs_of_before_were_made_with(tmp_path):
    older = copy.deepcopy(SAVED)
    del older["settings"]["language_source"], older["settings"]["memory"]
    settings = opened(tmp_path, older)
    assert (settings.language_source, settings.memory) == ("field", MEMORY)


@pytest.mark.parametrize(("part", "name"), [(None, "dense"), ("radiance", "levels")])
def test_a_config_that_lacks_a_setting_is_refused(part, name):
    broken = copy.deepcopy(SAVED["settings"])
    del (broken[part] if part else broken)[name]
    with pytest.raises(ConfigError, match=rf"do not fit this version of lerf \(fields: {name}\)"):
        from_plain(TrainSettings, broken)


def test_a_config_with_a_value_that_cannot_be_is_refused():
    broken = copy.deepcopy(SAVED["settings"])
    broken["language"]["samples"] = 0
    with pytest.raises(ConfigError, match=r"--language\.samples must be a whole number from 1 to 1024, not 0"):
        from_plain(TrainSettings, broken)
