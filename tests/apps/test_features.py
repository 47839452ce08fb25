"""`lerf features` and `lerf cache`: what they write, what they find again, what they delete."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from lerf.apps.feature_pictures import LONGEST, level_picture, scene_basis
from lerf.apps.main import main
from lerf.encoders.protocols import FeatureGrid
from lerf.pyramids.manifest import MANIFEST, Use
from lerf.rendering.pca import PcaBasis, apply_pca_basis


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LERF_CACHE", str(tmp_path / "cache"))


def run_json(capsys, *arguments, code=0):
    capsys.readouterr()
    assert main([*map(str, arguments), "--json"]) == code
    return json.loads(capsys.readouterr().out) if code == 0 else capsys.readouterr().err


def extract(capsys, drawn, output, *options):
    return run_json(capsys, "features", drawn.folder, "--encoder", "colour-words", "--output", output, *options)


def test_a_picture_for_each_photo_and_level(drawn, tmp_path, capsys):
    facts = extract(capsys, drawn, tmp_path / "out", "--dense", "colour-map", "--tile-ratios", "0.1", "0.3")
    assert facts == json.loads((tmp_path / "out" / "features.json").read_text())
    assert set(facts["encoders"]) == {"colour-words", "colour-map"}
    words = facts["encoders"]["colour-words"]
    assert (words["mode"], words["tile_ratios"], words["width"]) == ("dense", [0.1, 0.3], 6)
    assert words["bytes"] == 2 * words["cells"] * 6
    assert {path.name for path in (tmp_path / "out").glob("*.png")} == {
        name[:-4].replace("/", "_") + f"_{end}.png"
        for name in facts["photos"]
        for end in ("colour-words_0.1", "colour-words_0.3", "colour-map")
    }
    for name in facts["files"]:
        with Image.open(name) as picture:
            assert picture.size == (96, 72)


def test_features_are_those_that_training_uses(drawn, tmp_path, capsys, tiny, monkeypatch):
    extract(capsys, drawn, tmp_path / "out", "--no-pictures", "--dense", "colour-map")
    calls = []
    monkeypatch.setattr("colour_words.ColourWords.encode_photo_at", lambda *_: calls.append(1))
    monkeypatch.setattr("colour_words.ColourMap.encode_photo", lambda *_: calls.append(1))
    command = ["train", str(drawn.folder), "--output", str(tmp_path / "run"), "--steps", "2", "--device", "cpu"]
    assert main(command) == 0
    assert not calls


def test_one_basis_for_the_scene_whichever_views_are_drawn(drawn, tmp_path, capsys):
    name = extract(capsys, drawn, tmp_path / "all")["photos"][2]
    extract(capsys, drawn, tmp_path / "one", "--views", name)
    drawn_files = sorted((tmp_path / "one").glob("*.png"))
    assert len(drawn_files) == 3, "one for each tile height"
    for path in drawn_files:
        assert path.read_bytes() == (tmp_path / "all" / path.name).read_bytes()
    assert "no training photo named" in run_json(
        capsys, "features", drawn.folder, "--output", tmp_path, "--encoder", "colour-words", "--views", "x", code=2
    )


def test_colours_lie_where_their_cells_are():
    basis = PcaBasis(torch.zeros(3), torch.eye(3), torch.zeros(3), torch.ones(3))
    y, x = torch.meshgrid(torch.arange(4.0), torch.arange(5.0), indexing="ij")
    grid = FeatureGrid(torch.stack([x / 5, y / 5, 0 * x], -1), x0=4.0, y0=2.0, dx=8.0, dy=10.0)
    picture = level_picture(basis, grid, 40, 44)
    assert picture.shape == (40, 44, 3)
    for row, column in ((0, 0), (11, 12), (31, 36), (39, 43), (20, 7)):
        u = np.clip((column + 0.5 - 4.0) / 8.0, 0, 4)
        v = np.clip((row + 0.5 - 2.0) / 10.0, 0, 3)
        torch.testing.assert_close(picture[row, column], torch.tensor([u / 5, v / 5, 0.0], dtype=torch.float32))
    assert level_picture(basis, grid, 4000, 2000).shape == (LONGEST, LONGEST // 2, 3)
    alone = FeatureGrid(torch.full((1, 1, 3), 0.5), 1.0, 1.0, 2.0, 2.0)
    assert (level_picture(basis, alone, 4, 4) == 0.5).all()


def test_the_basis_is_of_all_photos(drawn, tmp_path, capsys):
    from lerf.pyramids.store import build_pyramids

    red, blue = (np.full((8, 8, 3), colour, np.uint8) for colour in ((255, 0, 0), (0, 0, 255)))
    from colour_words import ColourWords

    store = build_pyramids([lambda: red, lambda: blue], ColourWords(), root=tmp_path)
    basis = scene_basis(store)
    one, other = (apply_pca_basis(basis, store.grid(photo, 0).features)[0, 0] for photo in range(2))
    assert abs(float(one[0] - other[0])) == pytest.approx(1.0, abs=1e-3)


def test_ls_and_prune(drawn, tmp_path, capsys):
    assert run_json(capsys, "cache", "ls")["entries"] == []
    facts = extract(capsys, drawn, tmp_path / "out", "--no-pictures", "--dense", "colour-map")
    listed = run_json(capsys, "cache", "ls")
    assert [(entry["encoder"], entry["usable"]) for entry in listed["entries"]] in (
        [("colour-map", True), ("colour-words", True)], [("colour-words", True), ("colour-map", True)],
    )  # fmt: skip
    assert listed["bytes"] == sum(entry["bytes"] for entry in listed["entries"]) > 0
    assert all(entry["photos"] == len(facts["photos"]) for entry in listed["entries"])
    assert run_json(capsys, "cache", "prune")["removed"] == [], "all of it can be used"
    assert run_json(capsys, "cache", "prune", "--older-than", "1")["removed"] == []
    removed = run_json(capsys, "cache", "prune", "--encoder", "colour-map")
    assert len(removed["removed"]) == 1
    assert [entry["encoder"] for entry in run_json(capsys, "cache", "ls")["entries"]] == ["colour-words"]
    assert main(["cache", "ls"]) == 0
    assert "colour-words" in capsys.readouterr().out


def test_prune_removes_what_nothing_can_use_and_spares_what_is_in_use(drawn, tmp_path, capsys):
    facts = extract(capsys, drawn, tmp_path / "out", "--no-pictures")
    folder = tmp_path / "cache" / "pyramids" / facts["encoders"]["colour-words"]["folder"].rsplit("/", 1)[1]
    orphan = folder / "00" / ("0" * 40 + ".npy")
    orphan.parent.mkdir(exist_ok=True)
    orphan.write_bytes(b"1234")
    old = folder.with_name("old")
    old.mkdir()
    (old / "settings.json").write_text("{}")
    result = run_json(capsys, "cache", "prune")
    assert (result["removed"], orphan.exists()) == ([str(old)], False)
    assert result["freed_bytes"] == 4 + 2
    use = Use(folder)
    assert run_json(capsys, "cache", "prune", "--all")["in_use"] == [str(folder)]
    assert (folder / MANIFEST).is_file()
    use.close()
    assert run_json(capsys, "cache", "prune", "--all")["removed"] == [str(folder)]
    assert not folder.exists()


def test_options_of_prune_are_not_for_ls(capsys):
    assert "lerf cache prune" in run_json(capsys, "cache", "ls", "--all", code=2)
    assert "at least 0" in run_json(capsys, "cache", "prune", "--older-than", "-1", code=2)


@pytest.mark.parametrize(
    "text",
    ["", "[1]", "{", '{"settings": 3}', '{"settings": {"format": 2}, "layouts": [], "photos": {}}', "\x00"],
)
def test_one_malformed_manifest_does_not_stop_the_list(capsys, tmp_path, text):
    for name in ("good", "bad"):
        folder = tmp_path / "cache" / "pyramids" / name
        folder.mkdir(parents=True)
        settings = {
            "format": 2, "encoder": "x", "fingerprint": "y", "width": 3, "mode": "map", "tile_ratios": [0.0],
        }  # fmt: skip
        whole = json.dumps({"settings": settings, "layouts": [], "photos": {}})
        (folder / MANIFEST).write_text(whole if name == "good" else text + " " * 2000)
    listed = {entry["folder"].rsplit("/", 1)[1]: entry for entry in run_json(capsys, "cache", "ls")["entries"]}
    assert {name: entry["usable"] for name, entry in listed.items()} == {"good": True, "bad": False}
    assert listed["bad"]["bytes"] == 2000 + len(text)
    assert main(["cache", "ls"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "of no use" in shown
    assert f"{listed['bad']['folder']} (0 MB)" in shown
    assert "lerf cache prune" in shown
    assert run_json(capsys, "cache", "prune")["removed"] == [listed["bad"]["folder"]]
