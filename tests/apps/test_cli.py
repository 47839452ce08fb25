"""The contract of the commands: options, files and JSON."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import lerf
from lerf.apps.commands import distinct
from lerf.apps.main import main

SUPPORT = Path(__file__).parents[1] / "support"
GEOMETRY = {"point", "scale", "extent", "view", "pixel"}


@pytest.fixture(autouse=True)
def quick(tiny):
    pass


def run_json(capsys, *arguments):
    """Run a command with --json; stdout must be JSON alone."""
    capsys.readouterr()
    assert main([*map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def train(folder, output, *options):
    command = ["train", str(folder), "--output", str(output), "--steps", "3", "--device", "cpu", *map(str, options)]
    assert main(command) == 0
    return json.loads((output / "config.json").read_text())["settings"]


def test_query_json(drawn_run, capsys):
    result = run_json(capsys, "query", drawn_run, "red", "a  yellow ball", "purple")
    assert list(result) == ["schema", "encoder", "canonical", "temperature", "threshold", "queries"]
    assert (result["schema"], result["encoder"], result["temperature"], result["threshold"]) == (
        1, "colour-words", 5.0, 0.85,
    )  # fmt: skip
    assert result["canonical"] == ["object", "things", "stuff", "texture"]
    assert [answer["text"] for answer in result["queries"]] == ["red", "a yellow ball", "purple"]
    for answer in result["queries"]:
        assert set(answer) == {"text", "present", "relevancy", "instances"} | GEOMETRY
    red, yellow, purple = result["queries"]
    for answer in (red, yellow):
        assert answer["present"] is True
        assert all(isinstance(value, float) for value in [*answer["point"], *answer["pixel"], answer["scale"]])
        assert set(answer["extent"]) == {"min", "max"}
        assert (len(answer["point"]), len(answer["pixel"]), len(answer["extent"]["min"])) == (3, 2, 3)
        assert answer["view"].startswith("images/")
        assert answer["instances"]
        assert all(set(instance) == {"relevancy"} | GEOMETRY for instance in answer["instances"])
        assert {name: answer["instances"][0][name] for name in GEOMETRY} == {name: answer[name] for name in GEOMETRY}
    assert purple["present"] is False
    assert all(purple[name] is None for name in GEOMETRY)
    assert purple["instances"] == []


def test_query_options(drawn_run, capsys):
    options = ["--threshold", "0.1", "--temperature", "2", "--scale", "0.2", "--canonical", "blue", "green"]
    result = run_json(capsys, "query", drawn_run, "red", *options)
    assert (result["threshold"], result["temperature"], result["canonical"]) == (0.1, 2.0, ["blue", "green"])
    assert result["queries"][0]["scale"] == pytest.approx(0.2)


def test_query_for_people(drawn_run, capsys):
    assert main(["query", str(drawn_run), "red", "purple"]) == 0
    shown = capsys.readouterr().out
    assert "red" in shown
    assert "images/" in shown


def test_python_and_command_line_agree(drawn_run, capsys):
    model = lerf.load(drawn_run, device="cpu", offline=True)
    assert model.query(["red", "green"]).to_dict() == run_json(capsys, "query", drawn_run, "red", "green", "--offline")


def test_render(drawn_run, tmp_path, capsys):
    facts = run_json(
        capsys, "render", drawn_run, "--output", tmp_path, "--query", "red", "a blue box", "--split", "test"
    )
    stems = [f"images_{number:04d}" for number in (0, 8, 16)]
    labels = ["colour", "depth", "accumulation", *(f"{q}_{style}" for q in ("red", "a_blue_box")
                                   for style in ("raw", "centred", "normalised"))]  # fmt: skip
    expected = {f"{stem}_{label}.png" for stem in stems for label in labels}
    expected |= {f"{stem}_{label}.npy" for stem in stems for label in ("red", "a_blue_box")}
    assert {path.name for path in tmp_path.iterdir()} == expected | {"render.json"}
    assert {Path(name).name for name in facts["files"]} == expected
    assert set(facts["scales"]) == {"red", "a blue box"}
    for stem in stems:
        relevancy = np.load(tmp_path / f"{stem}_red.npy")
        assert relevancy.shape == (72, 96)
        assert relevancy.dtype == np.float32
        assert relevancy.min() >= 0
        assert 0.5 < relevancy.max() <= 1
        for label in labels:
            assert Image.open(tmp_path / f"{stem}_{label}.png").size == (96, 72)
    colour = np.asarray(Image.open(tmp_path / "images_0000_colour.png"), float)
    normalised = np.asarray(Image.open(tmp_path / "images_0000_red_normalised.png"), float)
    irrelevant = np.load(tmp_path / "images_0000_red.npy") <= 0.5
    assert np.array_equal(colour[irrelevant], normalised[irrelevant])


def test_render_chosen_views_at_a_chosen_scale(drawn_run, tmp_path, capsys):
    options = ["--views", "images/0003.png", "images/0008.png", "--query", "red", "--scale", "0.25"]
    facts = run_json(capsys, "render", drawn_run, "--output", tmp_path, *options)
    assert facts["scales"] == {"red": pytest.approx(0.25)}
    assert len(facts["files"]) == 2 * (3 + 4)
    assert run_json(capsys, "render", drawn_run, "--output", tmp_path / "a", "--views", "images/0003.png") == {
        "scales": {},
        "files": [
            str(tmp_path / "a" / f"images_0003_{label}.png") for label in ("colour", "depth", "accumulation")
        ],
    }  # fmt: skip


def test_rendered_files_never_overwrite_each_other(drawn_run, tmp_path, capsys):
    run = Path(shutil.copytree(drawn_run, tmp_path / "run"))
    scene = json.loads((run / "scene.json").read_text())
    for index, name in enumerate(("a/b.jpg", "a_b.jpg", "a/b.png")):
        scene["photos"][index]["name"] = name
    (run / "scene.json").write_text(json.dumps(scene))
    options = ["--views", "a_b.jpg", "a/b.png", "a_b.jpg", "--query", "red", "red!", "RED?"]
    facts = run_json(capsys, "render", run, "--output", tmp_path / "out", *options)
    assert len(facts["files"]) == len(set(facts["files"])) == 2 * (3 + 3 * 4)
    assert {Path(file).name for file in facts["files"] if file.endswith(".npy")} == {
        f"a_b_{number}_{label}.npy" for number in (2, 3) for label in ("red", "red_2", "RED_3")
    }
    assert set(facts["files"]) | {str(tmp_path / "out/render.json")} == {str(p) for p in (tmp_path / "out").iterdir()}


def test_distinct_names():
    assert distinct(["c", "c", "C", "c_2", "d", "c_2"]) == ["c", "c_3", "C_4", "c_2", "d", "c_2_2"]
    assert distinct([]) == []


def test_eval(drawn_run, capsys):
    report = run_json(capsys, "eval", drawn_run)
    assert set(report) == {"protocol", "settings", "encoder", "checkpoint", "split", "psnr", "ssim", "views"}
    assert report["protocol"] == ["colour"]
    assert report["split"] == [view["photo"] for view in report["views"]]
    assert [view["photo"] for view in report["views"]] == ["images/0000.png", "images/0008.png", "images/0016.png"]
    assert report["psnr"] == pytest.approx(np.mean([view["psnr"] for view in report["views"]]))
    assert all(set(view) == {"photo", "psnr", "ssim"} for view in report["views"])


def test_eval_of_a_capture_that_has_moved(drawn, drawn_run, tmp_path, capsys):
    expected = run_json(capsys, "eval", drawn_run)
    run = Path(shutil.copytree(drawn_run, tmp_path / "run"))
    scene = (run / "scene.json").read_text()
    (run / "scene.json").write_text(scene.replace(str(drawn.folder), "/was/here"))
    moved = Path(shutil.copytree(drawn.folder, tmp_path / "moved"))
    assert main(["eval", str(run)]) == 2
    assert run_json(capsys, "eval", run, "--data", moved) == expected

    document = (moved / "transforms.json").read_text()
    other = moved / "images" / "other.png"
    (moved / "images" / "0003.png").rename(other)
    (moved / "transforms.json").write_text(document.replace("images/0003.png", "images/other.png"))
    capsys.readouterr()
    assert main(["eval", str(run), "--data", str(moved)]) == 2
    assert "are not those of the run (images/0003.png is only in one of them)" in capsys.readouterr().err

    other.rename(moved / "images" / "0003.png")
    (moved / "transforms.json").write_text(document)
    config = json.loads((run / "config.json").read_text())
    config["settings"]["downscale"] = 2
    (run / "config.json").write_text(json.dumps(config))
    assert main(["eval", str(run), "--data", str(moved)]) == 2
    assert "has 48x36 pixels, in the run 96x72" in capsys.readouterr().err


def test_info_of_a_capture(drawn, capsys):
    facts = run_json(capsys, "info", drawn.folder)
    assert (facts["photos"], facts["training_photos"], facts["held_out_photos"]) == (24, 21, 3)
    assert facts["sizes"] == [[96, 72]]
    assert facts["memory_bytes"] > 1e8
    assert facts["disk_bytes"] > 1e5
    assert facts["minutes_on_two_cores"] >= 0
    assert run_json(capsys, "info", drawn.folder, "--downscale", "2")["sizes"] == [[48, 36]]


def test_info_of_a_run(drawn_run, capsys):
    facts = run_json(capsys, "info", drawn_run)
    assert (facts["preset"], facts["encoder"], facts["dense"]) == ("lerf-cpu", "colour-words", "colour-map")
    assert facts["stages"] == {"radiance": "250 of 250 steps", "language": "250 of 250 steps"}
    assert {"decode", "radiance", "features", "language"} <= set(facts["seconds"])
    assert facts["peak_memory_bytes"] > 1e7
    assert main(["info", str(drawn_run)]) == 0
    assert "peak memory" in capsys.readouterr().out


def test_run_folder_and_its_timings(drawn, tmp_path, capsys):
    capsys.readouterr()
    train(drawn.folder, tmp_path / "run", "--json")
    result = json.loads(capsys.readouterr().out)
    assert result["run"] == str(tmp_path / "run")
    assert {"decode", "radiance", "features", "language"} == set(result["seconds"])
    assert {path.name for path in (tmp_path / "run").iterdir()} == {
        "config.json", "scene.json", "radiance.safetensors", "language.safetensors", "metrics.jsonl", "timings.json",
    }  # fmt: skip


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


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["query", "--help"]])
def test_help(capsys, arguments):
    with pytest.raises(SystemExit, match="0"):
        main(arguments)
    assert "usage: lerf" in capsys.readouterr().out


def test_help_says_that_the_border_is_of_tiles(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["train", "--help"])
    assert "--features tiles" in re.sub(r"\W*\n\W*", " ", capsys.readouterr().out)


def test_as_a_process(drawn_run):
    """The installed command in a process of its own: JSON on stdout and nothing else anywhere."""
    done = subprocess.run(
        [sys.executable, str(SUPPORT / "tiny.py"), "query", str(drawn_run), "red", "--json"],
        env={**os.environ, "PYTHONPATH": str(SUPPORT)}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["queries"][0]["present"] is True


def test_an_error_of_a_process(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "lerf.apps.main", "query", str(tmp_path), "red"],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith(f"Error: {tmp_path} is not a run folder")
    assert done.stderr.count("\n") == 1


def test_rendered_features_have_the_colours_of_one_basis(drawn_run, tmp_path, capsys):
    options = ["--views", "images/0003.png", "--features"]
    facts = run_json(capsys, "render", drawn_run, "--output", tmp_path, *options)
    assert {Path(name).stem.rpartition("_")[2] for name in facts["files"]} >= {"clip", "dense"}
    for label in ("clip", "dense"):
        picture = np.asarray(Image.open(tmp_path / f"images_0003_{label}.png"))
        assert picture.shape == (72, 96, 3)
        assert picture.std() > 5
    model = lerf.load(drawn_run, device="cpu")
    embedding, dense = model.render_features(3)
    assert embedding.shape == (72, 96, model.encoder.width)
    np.testing.assert_allclose(embedding.norm(dim=-1).numpy(), 1.0, atol=1e-4)
    assert dense is not None
    assert dense.isfinite().all()
