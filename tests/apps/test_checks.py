"""Every option of every command is checked before any work: its bounds, whether it has an effect, what it writes."""

from __future__ import annotations

import os
import typing
from dataclasses import fields
from pathlib import Path

import pytest
from command_line import refused

from lerf.apps import main as command_line
from lerf.apps.checks import check_bounds, check_file, check_folder, check_replaced
from lerf.apps.main import COMMANDS, main, parse
from lerf.errors import ConfigError, LerfError, StorageError
from lerf.ranges import Bound
from lerf.run.checks import hints_of
from lerf.run.make_settings import setting_hints

NEEDED = {
    "poses": ["PHOTOS", "--output", "CAPTURE"],
    "train": ["CAPTURE", "--output", "RUN", "--device", "cpu"],
    "batch": ["CAPTURE", "--output", "RUNS"],
    "query": ["RUN", "red"],
    "catalogue": ["add", "RUN", "--to", "DIR"],
    "search": ["red", "--in", "DIR"],
    "render": ["RUN", "--output", "OUT"],
    "export": ["RUN", "OUT.ply"],
    "bake": ["RUN"],
    "eval": ["RUN"],
    "import": ["NS_RUN", "--output", "RUN"],
    "info": ["CAPTURE"],
    "demo": [],
    "make-scene": ["OUT", "--seed", "1"],
    "features": ["CAPTURE", "--output", "OUT"],
    "cache": ["prune"],
    "view": ["RUN"],
    "doctor": [],
    "encoders": ["ls"],
}
"""What each command cannot do without."""
OUT_OF_BOUNDS = {
    "poses": ["--frames 2", "--scale 0", "--scale nan", "--distance a b 0", "--distance a b nan"],
    "train": ["--steps 0", "--downscale 0", "--memory 0", "--memory nan", "--port 70000 --view", "--seed -1"],
    "query": ["--threshold 1.5", "--threshold nan", "--temperature 0", "--scale 0", "--scale inf", "--scale -1"],
    "render": ["--scale 0 --query a", "--temperature -1 --query a", "--downscale 0 --path photos"],
    "export": [
        "--points 0", "--points -5", "--reach 0", "--reach nan", "--resolution 4 --what mesh",
        "--resolution 0 --what mesh", "--resolution 5000 --what mesh", "--threshold -1 --query a",
    ],
    "import": ["--downscale 0"],
    "info": ["--memory 0", "--downscale 0", "--downscale -2"],
    "demo": ["--steps 0"],
    "make-scene": ["--views 1", "--held-out -1", "--width 8", "--height 99999", "--spp 1", "--seed -1"],
    "features": ["--downscale 0", "--tile-ratios 0", "--tile-ratios 1.5", "--tile-ratios nan"],
    "cache": ["--older-than -1", "--older-than nan"],
    "view": ["--port -1", "--port 65536", "--refine 0"],
    "doctor": ["--seconds -1"],
    "search": ["--top 0", "--threshold 2", "--temperature 0"],
}  # fmt: skip
BLANK = {
    "query": ["--canonical", " "], "render": ["--query", ""], "export": ["--query", " "], "bake": ["--compare", ""],
    "features": ["--encoder", ""], "cache": ["--encoder", " "],
    "search": ["--canonical", " "],
}  # fmt: skip
WITHOUT_EFFECT = {
    "train": [
        "--port 8000", "--host 0.0.0.0", "--preset lerf-demo --language-training.steps 9",
        "--preset lerf-demo --language.hidden 9", "--radiance OTHER --radiance-training.rays 9",
        "--radiance-training.points bounds --radiance-training.point-rays 9",
        "--radiance-training.pose-rate 0.1", "--dense none --language-training.dense-weight 0.5",
        "--preset lerf-demo --radiance OTHER --steps 9", "--features dense --border zero",
        "--radiance a.ply --radiance.levels 4",
    ],
    "query": ["--compare --index ignore"],
    "render": [
        "--downscale 4", "--npy", "--transforms a.json", "--video a.mp4", "--outputs rgb", "--scale 1",
        "--temperature 3", "--canonical a", "--path photos --features", "--path photos --views a",
        "--path photos --split train", "--path photos --transforms a.json", "--split train --views a",
        "--raw", "--path photos --query a --raw",
    ],
    "export": [
        "--resolution 64", "--crop", "--threshold 0.5", "--temperature 3", "--canonical a", "--scale 1",
        "--what mesh --embeddings", "--without --query a", "--recolour --query a", "--what splat --without",
        "--what splat --recolour", "--what splat --resolution 64",
    ],
    "eval": [
        "--absent a.txt", "--lpips-weights a --protocol existence", "--lpips-weights a --maps .",
        "--labels . --protocol colour", "--absent a.txt --labels . --protocol colour",
    ],
    "make-scene": ["--views 4 --held-out 8"],
    "features": ["--no-pictures --views a", "--features dense --border zero", "--ray a b"],
    "cache": ["--all --older-than 3", "--all --encoder mini"],
    "batch": ["--ray a b"],
    "catalogue": ["--ray a b"],
    "view": ["--catalogue --index require", "--catalogue --share"],
}  # fmt: skip


@pytest.fixture(autouse=True)
def nothing_is_run(monkeypatch, tmp_path):
    """In an empty folder; whoever comes as far as to run a command fails."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command_line, "_runner", lambda command: pytest.fail("work began"))


def cases(table: dict[str, list[str]]) -> list[list[str]]:
    return [[name, *NEEDED[name], *options.split(" ")] for name, listed in table.items() for options in listed]


def option_of(arguments: list[str]) -> list[str]:
    return [argument for argument in arguments if argument.startswith("--")]


def test_every_command_is_here():
    assert set(NEEDED) == set(COMMANDS)


@pytest.mark.parametrize("arguments", cases(OUT_OF_BOUNDS), ids=" ".join)
def test_what_is_out_of_bounds_is_refused_by_name(arguments, capsys):
    said = refused(capsys, *arguments)
    assert any(option in said for option in option_of(arguments)) or "Tile ratios" in said
    assert not list(Path().iterdir())


@pytest.mark.parametrize("name", BLANK)
def test_blank_text_is_refused(name, capsys):
    said = refused(capsys, name, *NEEDED[name], *BLANK[name])
    assert BLANK[name][0] in said
    assert "is empty" in said or "not blank" in said


def test_a_blank_phrase_is_refused(capsys):
    assert "Phrase 2 is empty" in refused(capsys, "query", "RUN", "red", "")
    assert "no phrase to look for" in refused(capsys, "query", "RUN")


@pytest.mark.parametrize("arguments", cases(WITHOUT_EFFECT), ids=" ".join)
def test_what_has_no_effect_is_refused_by_name(arguments, capsys):
    said = refused(capsys, *arguments)
    assert any(option in said for option in option_of(arguments))
    assert not list(Path().iterdir())


@pytest.mark.parametrize("option", ["--older-than 3", "--encoder mini", "--all"])
def test_options_of_prune_with_ls(option, capsys):
    assert option.split()[0] in refused(capsys, "cache", "ls", *option.split())


def test_options_of_an_estimate_with_a_run(capsys):
    Path("run").mkdir()
    Path("run/config.json").write_text("{}")
    for option in ("--preset lerf", "--encoder mini", "--dense none", "--memory 2", "--downscale 2"):
        assert option.split()[0] in refused(capsys, "info", "run", *option.split())


def numbers_without_bounds(hint: object, bounded: bool = False) -> bool:
    """Whether a type holds a number that nothing bounds."""
    parts = typing.get_args(hint)
    bounded = bounded or any(isinstance(part, Bound) for part in parts)
    return (hint in (int, float) and not bounded) or any(numbers_without_bounds(part, bounded) for part in parts)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_number_has_bounds(name):
    hints = setting_hints() if name == "train" else hints_of(COMMANDS[name][0])
    # Ratios of tiles have a check of their own, which also knows that each is given once.
    assert not {field for field, hint in hints.items() if numbers_without_bounds(hint)} - {"tile_ratios"}


@pytest.mark.parametrize("name", NEEDED)
def test_what_is_needed_is_enough(name):
    command = parse([name, *NEEDED[name]])
    check_bounds(command)
    command.check()
    assert {field.name for field in fields(command)} >= {"json"}


OUTPUTS = {
    "train": ["train", "CAPTURE", "--device", "cpu", "--output"],
    "render": ["render", "RUN", "--output"],
    "video": ["render", "RUN", "--path", "photos", "--video"],
    "export": ["export", "RUN"],
    "demo": ["demo", "--output"],
    "make-scene": ["make-scene", "--seed", "1"],
    "features": ["features", "CAPTURE", "--output"],
}


@pytest.mark.parametrize("name", OUTPUTS)
@pytest.mark.parametrize("place", ["file/inside", "x" * 300, "loop/inside", "broken/inside"])
def test_an_output_that_cannot_be_written_is_refused(name, place, capsys):
    Path("file").write_text("in the way")
    Path("loop").symlink_to("loop")
    Path("broken").symlink_to("nowhere/at/all")
    suffix = {"export": ".ply", "video": ".mp4"}.get(name, "")
    before = sorted(Path().iterdir())
    said = refused(capsys, *OUTPUTS[name], place + suffix)
    assert "choose another" in said
    assert sorted(Path().iterdir()) == before


@pytest.mark.parametrize("name", OUTPUTS)
def test_what_is_in_the_way_is_refused(name, capsys):
    """A file for a folder, a folder for a file."""
    place = Path({"export": "a.ply", "video": "a.mp4"}.get(name, "a"))
    place.mkdir() if place.suffix else place.write_text("mine")
    assert str(place) in refused(capsys, *OUTPUTS[name], place)


@pytest.mark.parametrize(
    ("inside", "arguments"),
    [
        ("out/render.json", ["render", "RUN", "--output", "out"]),
        ("out/features.json", ["features", "CAPTURE", "--output", "out"]),
        ("out/report.json", ["demo", "--output", "out"]),
        ("out/a.json", ["export", "RUN", "out/a.ply"]),
        ("out/a_embeddings.npy", ["export", "RUN", "out/a.ply", "--embeddings"]),
    ],
)
def test_a_folder_where_a_result_goes_is_refused(inside, arguments, capsys):
    Path(inside).mkdir(parents=True)
    assert inside in refused(capsys, *arguments)


@pytest.mark.parametrize("name", ["features", "demo", "eval", "bake"])
def test_a_cache_that_cannot_be_written_is_found_before_work(name, monkeypatch, capsys):
    Path("file").write_text("in the way")
    monkeypatch.setenv("LERF_CACHE", os.path.abspath("file/cache"))
    lift = ["--source", "lift"] if name == "bake" else []
    assert "set LERF_CACHE to another folder" in refused(capsys, name, *NEEDED[name], *lift)


def test_output_is_not_written_among_what_is_read(capsys):
    Path("capture").mkdir()
    for arguments in (
        ["train", "capture", "--output", "capture/../capture", "--device", "cpu"],
        ["features", "capture", "--output", "capture"],
        ["render", "capture", "--output", "capture"],
    ):
        assert "is what is read" in refused(capsys, *arguments)


def test_an_export_replaces_no_other_json(capsys):
    Path("transforms.json").write_text('{"frames": []}')
    assert "of another kind" in refused(capsys, "export", "RUN", "transforms.ply")
    assert Path("transforms.json").read_text() == '{"frames": []}'
    Path("cloud.json").write_text('{"capture_to_normalised": {}}')
    check_replaced(Path("cloud.json"), "capture_to_normalised", "OUTPUT")


def test_pictures_of_photos_do_not_replace_what_a_path_knows_of_its_frames(capsys):
    Path("out").mkdir()
    Path("out/render.json").write_text('{"request": {}}')
    assert "of another kind" in refused(capsys, "render", "RUN", "--output", "out")
    command = parse(["render", "RUN", "--output", "out", "--path", "photos"])
    command.check()


def test_a_device_is_no_output():
    with pytest.raises(ConfigError, match="/dev/null is a folder or a device"):
        check_file(Path("/dev/null"), "output")
    with pytest.raises(LerfError, match="not a folder"):
        check_folder(Path("/dev/null"), "output")


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="no file system here that refuses everybody")
def test_a_folder_that_nobody_may_write(capsys):
    with pytest.raises(StorageError, match="choose another --output"):
        check_folder(Path("/proc/self/out"), "output")
    assert main(["make-scene", "/proc/out", "--seed", "1"]) == 2
    assert "choose another OUTPUT" in capsys.readouterr().err
