"""Settings by name: what is taken, what follows from it, what is refused."""

import json

import pytest

from lerf.errors import ConfigError
from lerf.language.config import LanguageConfig
from lerf.run.make_settings import changed, make_settings, preset_settings, setting_hints, setting_values
from lerf.run.settings import PRESETS, PresetName, TrainSettings, from_plain, to_plain

REFUSED = {
    "preset": ({"preset": "huge"}, "no --preset 'huge'; known are lerf-cpu, "),
    "estimator": ({"estimator": "guess"}, "no --language.estimator 'guess'; known are deferred, per-sample"),
    "features": ({"features": "map"}, "no --features 'map'; known are tiles, dense"),
    "border": ({"border": "grey"}, "no --border 'grey'; known are edge, zero"),
    "source of language": ({"language": "guess"}, "no --language 'guess'; known are field, lift"),
    "border of no tiles": ({"features": "dense", "border": "zero"}, "--border zero is for tiles"),
    "repeated ratio": ({"tile_ratios": (0.2, 0.1, 0.2)}, r"in \(0, 1\], each given once, not 0.2, 0.1, 0.2"),
    "ratio that is no number": ({"tile_ratios": (float("nan"),)}, r"each a number, not \(nan,\)"),
    "ratio of nothing": ({"tile_ratios": [0.0, 0.5]}, "not 0.0, 0.5"),
    "no ratio": ({"tile_ratios": []}, "--tile-ratios must be one or more"),
    "negative seed": ({"seed": -1}, "--seed must be a whole number from 0"),
    "large seed": ({"seed": 2**63}, "--seed must be a whole number from 0"),
    "seed that is none": ({"seed": True}, "--seed must be a whole number from 0 .* not True"),
    "no steps": ({"steps": 0}, "--steps must be a whole number of at least 1, not 0"),
    "no memory": ({"memory": 0}, "--memory must be a number above 0, not 0.0"),
    "no size": ({"downscale": 0}, "--downscale must be a whole number of at least 1"),
    "number as text": ({"radiance.levels": "14"}, "--radiance.levels must be a whole number from 1 to 64, not '14'"),
    "fraction of a step": ({"language_training.steps": 1.5}, "--language-training.steps must be a whole number"),
    "number without end": (
        {"radiance.far": float("inf")},
        "--radiance.far must be a number above 0 and at most 1000000, not inf",
    ),
    "share above one": ({"radiance.padding": 1.5}, "--radiance.padding must be a number from 0 to 1"),
    "pair of three": ({"radiance_training.distortion_ramp": [1, 2, 3]}, r"distortion-ramp must be \(a whole number"),
    "part of another kind": ({"radiance": LanguageConfig()}, "--radiance must be a RadianceConfig"),
    "device without values": ({"device": "meta"}, "Device 'meta' is not available"),
    "device number": ({"device": "cuda:x"}, "Device 'cuda:x' is not available"),
    "device that is no name": ({"device": 0}, "--device must be text, not 0"),
    "poses of a lent radiance": ({"refine_poses": True, "radiance_run": "run"}, "leave it out with --radiance"),
    "estimator of a lift": ({"language": "lift", "estimator": "per-sample"}, "--estimator .* give --language field"),
    "unknown name": ({"encodr": "mini"}, "no setting named 'encodr'; the nearest is 'encoder'"),
    "unknown name in a part": ({"radiance.level": 3}, "no setting named 'radiance.level'; the nearest is 'radiance."),
    "unknown part": ({"langauge.samples": 3}, "no setting named 'langauge.samples'; the nearest is 'language.samples'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(case):
    options, words = REFUSED[case]
    with pytest.raises(ConfigError, match=words) as caught:
        make_settings("capture", **{"device": "cpu", **options})
    assert "\n" not in str(caught.value)


def test_every_preset_has_its_name_and_can_be_had():
    assert set(PRESETS) == set(PresetName.__args__)
    for name in PRESETS:
        settings = make_settings("capture", preset=name, device="cpu")
        assert settings.radiance == PRESETS[name].radiance


def test_settings_are_the_same_after_saving(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = make_settings("capture", device="cpu", tile_ratios=[0.5, 0.1, 1], weights="w.pt", seed=2**63 - 1)
    assert settings.tile_ratios == (0.1, 0.5, 1.0)
    assert settings.weights == str(tmp_path.resolve() / "w.pt")
    assert settings.data == str(tmp_path.resolve() / "capture")
    assert from_plain(TrainSettings, json.loads(json.dumps(to_plain(settings)))) == settings


def test_settings_of_parts_by_name(tmp_path):
    names = {
        "radiance.levels": 14,
        "language.samples": 8,
        "language_training.steps": 4000,
        "language.grids": [[2, 4, 8]],
    }
    settings = make_settings(tmp_path, device="cpu", steps=10, **names)
    plain = make_settings(tmp_path, device="cpu")
    assert settings.language.grids == ((2, 4, 8),)
    assert settings.radiance_training.steps == 10
    differing = {name for name, value in setting_values(settings).items() if value != setting_values(plain)[name]}
    assert differing == {*names, "radiance_training.steps", "language_training.decay_steps"} - {"language.samples"}


def test_a_part_may_be_given_whole_with_a_field_beside_it(tmp_path):
    part = LanguageConfig(samples=5)
    settings = make_settings(tmp_path, device="cpu", language=part, language_source="field", **{"language.layers": 2})
    assert (settings.language.samples, settings.language.layers) == (5, 2)


def test_short_names_are_those_of_the_command_line(tmp_path):
    settings = make_settings(
        tmp_path, device="cpu", estimator="per-sample", refine_poses=True, language="field", dense=None, steps=None
    )
    assert settings.language.estimator == "per-sample"
    assert settings.radiance_training.refine_poses
    assert settings.dense == PRESETS[settings.preset].dense
    assert make_settings(tmp_path, device="cpu", radiance=tmp_path).radiance_run == str(tmp_path.resolve())


def test_a_preset_may_lift_where_nothing_is_asked_for(tmp_path):
    assert make_settings(tmp_path, preset="lerf-demo", device="cpu").language_source == "lift"
    assert make_settings(tmp_path, preset="lerf-demo", device="cpu").dense == "mini-map"
    asked = make_settings(tmp_path, preset="lerf-demo", device="cpu", language="field", estimator="per-sample")
    assert (asked.language_source, asked.dense, asked.language.estimator) == ("field", "mini-map", "per-sample")
    assert make_settings(tmp_path, preset="lerf-cpu", device="cpu", language="lift").dense == "dino"


def test_names_of_settings_are_those_of_their_values():
    settings = preset_settings("lerf")
    parts = {"radiance", "radiance_training", "language", "language_training"}
    assert set(setting_values(settings)) == set(setting_hints()) - parts
    assert changed(settings, {}) == settings
