"""`lerf render`: pictures of the photos' views, and their names."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import refused, run_json
from PIL import Image

import lerf
from lerf.rendering.colour_maps import map_colours, to_bytes


def test_render(drawn_run, tmp_path, capsys):
    facts = run_json(
        capsys, "render", drawn_run, "--output", tmp_path, "--query", "red", "a blue box", "--split", "test"
    )
    stems = [f"images_{number:04d}" for number in (0, 8, 16)]
    labels = ["colour", "depth", "accumulation", *(f"{q}_{style}" for q in ("red", "a_blue_box")
                                   for style in ("relevancy", "centred", "normalised"))]  # fmt: skip
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
            with Image.open(tmp_path / f"{stem}_{label}.png") as picture:
                assert picture.size == (96, 72)
    colour = np.asarray(Image.open(tmp_path / "images_0000_colour.png"), float)
    normalised = np.asarray(Image.open(tmp_path / "images_0000_red_normalised.png"), float)
    relevancy = np.load(tmp_path / "images_0000_red.npy")
    assert np.array_equal(colour[relevancy <= 0.5], normalised[relevancy <= 0.5])
    told = torch.from_numpy(relevancy)
    for style, values in (("relevancy", told), ("centred", 2 * told - 1)):
        shown = np.asarray(Image.open(tmp_path / f"images_0000_red_{style}.png"))
        assert np.array_equal(shown, to_bytes(map_colours(values)))


def test_raw_relevancy_is_written_where_it_is_asked_for(drawn_run, tmp_path, capsys):
    options = ["--views", "images/0003.png", "--query", "red", "--raw"]
    run_json(capsys, "render", drawn_run, "--output", tmp_path, *options)
    model = lerf.load(drawn_run, device="cpu")
    phrases = model.phrases("red")
    raw = np.load(tmp_path / "images_0003_red_raw.npy")
    expected = model.relevancy_maps(model.cameras, 3, phrases, model.scales(phrases), raw=True)[0].numpy()
    np.testing.assert_allclose(raw, expected, atol=1e-4)
    shown = np.asarray(Image.open(tmp_path / "images_0003_red_raw.png"))
    assert np.array_equal(shown, to_bytes(map_colours(torch.from_numpy(raw))))
    refined = np.load(tmp_path / "images_0003_red.npy")
    np.testing.assert_allclose(refined, model.render(3, "red").relevancy["red"].numpy(), atol=1e-4)
    assert np.abs(raw - refined).max() > 0.01


def test_render_chosen_views_at_a_chosen_scale(drawn_run, tmp_path, capsys):
    options = ["--views", "images/0003.png", "images/0008.png", "--query", "red", "--scale", "0.25"]
    facts = run_json(capsys, "render", drawn_run, "--output", tmp_path, *options)
    assert facts["scales"] == {"red": pytest.approx(0.25)}
    assert len(facts["files"]) == 2 * (3 + 4)
    assert run_json(capsys, "render", drawn_run, "--output", tmp_path / "a", "--views", "images/0003.png") == {
        "encoder": "colour-words",
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


def test_a_pair_of_photo_and_phrase_is_not_taken_for_another(drawn_run, tmp_path, capsys):
    run = Path(shutil.copytree(drawn_run, tmp_path / "run"))
    scene = json.loads((run / "scene.json").read_text())
    scene["photos"][0]["name"], scene["photos"][1]["name"] = "a.jpg", "a_blue.jpg"
    (run / "scene.json").write_text(json.dumps(scene))
    options = ["--views", "a.jpg", "a_blue.jpg", "--query", "blue red", "red"]
    files = run_json(capsys, "render", run, "--output", tmp_path / "out", *options)["files"]
    assert len(set(files)) == 2 * (3 + 2 * 4)
    assert {Path(file).name for file in files if file.endswith(".npy")} == {
        "a_blue_red.npy", "a_red.npy", "a_blue_blue_red.npy", "a_blue_red_2.npy",
    }  # fmt: skip


def test_a_split_without_photos(drawn_run, tmp_path, capsys):
    run = Path(shutil.copytree(drawn_run, tmp_path / "run"))
    scene = json.loads((run / "scene.json").read_text())
    scene["test"] = []
    (run / "scene.json").write_text(json.dumps(scene))
    assert "The test split has no photo" in refused(capsys, "render", run, "--output", tmp_path / "out")


def test_features_of_a_lifted_run(lifted_run, tmp_path, capsys):
    options = ["--views", "images/0003.png", "--features"]
    facts = run_json(capsys, "render", lifted_run, "--output", tmp_path, *options)
    labels = ("colour", "depth", "accumulation", "clip", "dense")
    assert facts["files"] == [str(tmp_path / f"images_0003_{label}.png") for label in labels]


def test_rendered_features_have_the_colours_of_one_basis(drawn_run, tmp_path, capsys):
    options = ["--views", "images/0003.png", "--features"]
    facts = run_json(capsys, "render", drawn_run, "--output", tmp_path, *options)
    assert {Path(name).stem.rpartition("_")[2] for name in facts["files"]} >= {"clip", "dense"}
    for label in ("clip", "dense"):
        picture = np.asarray(Image.open(tmp_path / f"images_0003_{label}.png"))
        assert picture.shape == (72, 96, 3)
        assert picture.std() > 5
    model = lerf.load(drawn_run, device="cpu")
    embedding, dense = model.render_features(3), model.render_features(3, dense=True)
    assert embedding.shape == (72, 96, model.encoder.width)
    np.testing.assert_allclose(embedding.norm(dim=-1).numpy(), 1.0, atol=1e-4)
    assert dense.shape == (72, 96, model.language.dense_width)
    assert dense.isfinite().all()
