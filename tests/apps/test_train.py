"""`lerf train`: every setting is an option, and a run can be repeated."""

import dataclasses
import json
import typing

import numpy as np
import pytest
from command_line import refused, run_json, train

from lerf.apps.main import main, parse
from lerf.run.checks import option
from lerf.run.make_settings import setting_hints, setting_values
from lerf.run.settings import PRESETS
from lerf.scenes import load

NESTED = ["--radiance.levels", "5", "--radiance-training.rate", "0.01", "--language.samples", "3",
          "--language-training.clip-weight", "0.2", "--language.grids", "4", "8", "32"]  # fmt: skip


@pytest.fixture(autouse=True)
def quick(tiny):
    pass


def test_run_folder_and_its_timings(drawn, tmp_path, capsys):
    capsys.readouterr()
    train(drawn.folder, tmp_path / "run", "--json")
    result = json.loads(capsys.readouterr().out)
    assert result["run"] == str(tmp_path / "run")
    assert {"decode", "radiance", "features", "language", "surface"} == set(result["seconds"])
    left = {path.name for path in (tmp_path / "run").iterdir()}
    assert left == {
        "agreement.json", "capture.json", "config.json", "scene.json", "radiance.safetensors", "language.safetensors",
        "surface.safetensors", "metrics.jsonl", "timings.json",
    }  # fmt: skip


def test_the_photos_are_looked_at_once(drawn, tmp_path, monkeypatch):
    read = []
    assemble = load.assemble
    monkeypatch.setattr(load, "assemble", lambda listing, *options: read.append(1) or assemble(listing, *options))
    train(drawn.folder, tmp_path / "run")
    assert len(read) == 1


OPTIONS = {
    "tiles": (["--features", "tiles"], {"features": "tiles"}),
    "an encoder of tiles alone": (["--encoder", "tile-words"], {"encoder": "tile-words", "features": None}),
    "black borders": (["--features", "tiles", "--border", "zero"], {"border": "zero"}),
    "per sample": (["--estimator", "per-sample"], {}),
    "no regulariser": (["--dense", "none"], {"dense": "none"}),
    "one scale": (["--tile-ratios", "0.2"], {"tile_ratios": [0.2]}),
    "half the size": (["--downscale", "2"], {"downscale": 2}),
    "poses": (["--refine-poses"], {}),
}


@pytest.mark.parametrize("case", OPTIONS)
def test_training_options(drawn, tmp_path, capsys, case):
    options, expected = OPTIONS[case]
    settings = train(drawn.folder, tmp_path / "run", *options)
    assert {name: settings[name] for name in expected} == expected
    assert settings["language"]["estimator"] == ("per-sample" if case == "per sample" else "deferred")
    answer = run_json(capsys, "query", tmp_path / "run", "red", "--threshold", "0")["queries"][0]
    assert answer["present"]
    # Pixels are those of the original photo, whatever size was trained on.
    assert 0 <= answer["pixel"][0] <= 96
    run_json(capsys, "render", tmp_path / "run", "--output", tmp_path, "--views", "images/0001.png", "--query", "red")
    size = (36, 48) if case == "half the size" else (72, 96)
    assert np.load(tmp_path / "images_0001_red.npy").shape == size


def test_radiance_of_another_run(drawn, drawn_run, tmp_path, capsys):
    settings = train(drawn.folder, tmp_path / "run", "--radiance", drawn_run)
    assert settings["radiance_run"] == str(drawn_run)
    ours, theirs = run_json(capsys, "eval", tmp_path / "run"), run_json(capsys, "eval", drawn_run)
    assert ours.pop("checkpoint") != theirs.pop("checkpoint")
    assert ours == theirs
    stages = run_json(capsys, "info", tmp_path / "run")["stages"]
    assert stages == {"radiance": f"250 steps, from {drawn_run}", "language": "3 of 3 steps"}


def other_value(value, hint):
    """Words that set an option to another value than its own, and that value."""
    if isinstance(value, bool):
        return [], not value
    if isinstance(value, tuple) and value and isinstance(value[0], tuple):
        return ["3", "4", "5", "6", "7", "8"], ((3, 4, 5), (6, 7, 8))
    if isinstance(value, tuple):
        return [str(item + 1) for item in value], tuple(item + 1 for item in value)
    choices = [part for part in leaves(hint) if isinstance(part, str) and part != value]
    if choices:
        return [choices[0]], choices[0]
    changed = value + 1 if isinstance(value, int) else value / 2 or 0.5
    return [str(changed)], changed


def leaves(hint):
    parts = typing.get_args(hint)
    return [hint] if not parts else [leaf for part in parts for leaf in leaves(part)]


def test_every_setting_of_every_part_is_an_option():
    start = setting_values(parse(["train", "capture", "--output", "run", "--device", "cpu"]).settings)
    words, expected = [], {}
    for name, hint in setting_hints().items():
        part, _, field = name.rpartition(".")
        if not part:
            continue
        values, expected[name] = other_value(start[name], hint)
        negated = field if expected[name] or start[name] is not True else f"no_{field}"
        words += [option(f"{part}.{negated}"), *values]
    assert len(expected) > 50
    settings = parse(["train", "capture", "--output", "run", "--device", "cpu", *words]).settings
    found = setting_values(settings)
    assert {name: found[name] for name in expected} == expected
    assert all(found[name] != start[name] for name in expected)
    assert {name: found[name] for name in start if name not in expected} == {
        name: start[name] for name in start if name not in expected
    }


def test_every_setting_of_a_run_is_an_option():
    words = ["--encoder", "e", "--dense", "d", "--features", "tiles", "--border", "zero", "--tile-ratios", "0.3", "0.1",
             "--language", "field", "--radiance", "other.ply", "--radiance-frame", "nerfstudio",
             "--radiance-transforms", "t.json", "--downscale", "3", "--seed", "4", "--memory", "2", "--weights", "w",
             "--masks", "m", "--mask-crops", "blur", "--preset", "lerf-demo", "--device", "cpu",
             "--missing", "skip"]  # fmt: skip
    settings = parse(["train", "capture", "--output", "run", *words]).settings
    values = {field.name: getattr(settings, field.name) for field in dataclasses.fields(settings)}
    assert {name: value for name, value in values.items() if not dataclasses.is_dataclass(value)} == {
        "data": "capture", "preset": "lerf-demo", "encoder": "e", "dense": "d", "features": "tiles", "border": "zero",
        "tile_ratios": (0.3, 0.1), "language_source": "field", "radiance_run": "other.ply",
        "radiance_frame": "nerfstudio", "radiance_transforms": "t.json", "device": "cpu", "downscale": 3, "seed": 4,
        "memory": 2.0, "weights": "w", "masks": "m", "mask_crops": "blur", "missing": "skip",
    }  # fmt: skip
    assert settings.radiance_training == PRESETS["lerf-demo"].radiance_training


def test_a_preset_decides_the_defaults_that_help_shows(capsys):
    for preset in ("lerf-demo", "lerf"):
        with pytest.raises(SystemExit, match="0"):
            main(["train", "--help", "--preset", preset])
        shown = capsys.readouterr().out
        steps = PRESETS[preset].radiance_training.steps
        assert f"(default: {steps})" in shown[shown.index("--radiance-training.steps INT") :][:200]
        assert f"(default: {PRESETS[preset].encoder})" in shown


def test_steps_of_one_training_hold_before_those_of_both():
    for words in (["--steps", "7", "--language-training.steps", "250"], ["--language-training.steps=250", "--steps=7"]):
        settings = parse(["train", "capture", "--output", "run", "--device", "cpu", *words]).settings
        assert (settings.radiance_training.steps, settings.language_training.steps) == (7, 250)
        assert settings.language_training.decay_steps == 7


def test_the_dense_encoder_is_the_presets_wherever_language_comes_from():
    def dense(*words):
        return parse(["train", "capture", "--output", "run", "--device", "cpu", *words]).settings.dense

    assert dense("--language", "lift") == PRESETS["lerf-cpu"].dense
    assert dense("--language", "lift", "--dense", "none") == "none"
    assert dense("--preset", "lerf-demo") == PRESETS["lerf-demo"].dense
    assert dense("--preset", "lerf-demo", "--language", "field") == PRESETS["lerf-demo"].dense


def test_a_run_is_repeated(drawn, tmp_path, capsys):
    first = train(drawn.folder, tmp_path / "first", *NESTED, "--tile-ratios", "0.3", "0.2")
    assert (first["radiance"]["levels"], first["language"]["grids"]) == (5, [[4, 8, 32]])
    assert (first["radiance_training"]["rate"], first["language_training"]["clip_weight"]) == (0.01, 0.2)
    capsys.readouterr()
    repeat = ["train", "--config", tmp_path / "first" / "config.json", "--output", tmp_path / "second"]
    assert main([*map(str, repeat), "--seed", "7", "--language.samples", "4"]) == 0
    said = capsys.readouterr().out
    assert "changed beside it: seed 7, language.samples 4." in said
    assert str(drawn.folder) in said
    second = json.loads((tmp_path / "second" / "config.json").read_text())["settings"]
    assert second == {**first, "seed": 7, "language": {**first["language"], "samples": 4}}
    assert main([*map(str, repeat[:2]), str(tmp_path / "first"), "--output", str(tmp_path / "third")]) == 0
    assert json.loads((tmp_path / "third" / "config.json").read_text())["settings"] == first


def test_a_run_is_repeated_into_its_own_folder_only_as_it_was(drawn, drawn_run, tmp_path, capsys):
    repeat = ["train", "--config", drawn_run / "config.json"]
    before = (drawn_run / "config.json").read_bytes()
    assert run_json(capsys, *repeat)["run"] == str(drawn_run)
    assert "other settings" in refused(capsys, *repeat, "--seed", "7")
    assert (drawn_run / "config.json").read_bytes() == before


def test_what_is_refused(drawn, drawn_run, tmp_path, capsys):
    output = ["--output", tmp_path / "run", "--device", "cpu"]
    assert "lerf train CAPTURE" in refused(capsys, "train", *output)
    assert "--output" in refused(capsys, "train", drawn.folder, "--device", "cpu")
    config = ["--config", drawn_run / "config.json"]
    assert "--config and --preset" in refused(capsys, "train", *config, *output, "--preset", "lerf-cpu")
    assert "not a run folder" in refused(capsys, "train", "--config", tmp_path / "config.json", *output)
    command = ["train", drawn.folder, *output]
    assert "--radiance.levels must be a whole number from 1 to 64" in refused(capsys, *command, "--radiance.levels=0")
    assert "--steps must be" in refused(capsys, *command, "--steps", "0")
    assert "'cuda:99' is not available" in refused(capsys, *command[:-1], "cuda:99")
    assert "give --language field" in refused(capsys, *command, "--language", "lift", "--estimator", "per-sample")
    assert "leave it out with --radiance" in refused(capsys, *command, "--radiance", drawn_run, "--refine-poses")
    assert not (tmp_path / "run").exists()
