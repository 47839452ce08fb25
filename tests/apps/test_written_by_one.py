"""Two commands do not write into one place at once, nobody who reads waits, and what kills left is cleared away."""

import json
import multiprocessing
import shutil
from pathlib import Path

import pytest
from command_line import refused, run_json

from lerf.apps.main import main
from lerf.locks import LOCK, locked_file, locked_folder

pytestmark = pytest.mark.usefixtures("tiny")
PROCESSES = multiprocessing.get_context("forkserver")


def hold(path, is_folder, held, free):
    """Work of a child process."""
    with locked_folder(path, "wait") if is_folder else locked_file(path, "wait"):
        held.set()
        free.wait(120)


@pytest.fixture
def held():
    """Lets a process of its own hold a folder or a file, and gives its number."""
    free, children = PROCESSES.Event(), []

    def start(path, is_folder=True):
        begun = PROCESSES.Event()
        child = PROCESSES.Process(target=hold, args=(path, is_folder, begun, free))
        child.start()
        children.append(child)
        assert begun.wait(60)
        return child.pid

    yield start
    free.set()
    for child in children:
        child.join(60)


@pytest.fixture
def run(drawn_run, tmp_path):
    return Path(shutil.copytree(drawn_run, tmp_path / "run"))


def test_a_run_that_is_written(drawn, run, tmp_path, capsys, held):
    (run / "language.safetensors").unlink()
    (run / "surface.safetensors").unlink()
    pid = held(run)
    error = refused(capsys, "train", drawn.folder, "--output", run, "--device", "cpu")
    assert (
        f"Another lerf process ({pid}) is writing {run}; wait until it has ended, or choose another --output." in error
    )
    assert main(["info", str(run)]) == 0


def test_a_run_that_is_written_answers_and_is_not_baked(drawn, run, capsys, held):
    pid = held(run)
    assert main(["query", str(run), "red"]) == 0
    assert f"({pid}) is writing" in refused(capsys, "bake", run)
    assert main(["train", str(drawn.folder), "--output", str(run), "--device", "cpu"]) == 0, "nothing is left to do"


@pytest.mark.parametrize("options", [["--views", "images/0000.png"], ["--path", "photos", "--downscale", "8"]])
def test_pictures_that_are_written(run, tmp_path, capsys, held, options):
    out = tmp_path / "out"
    pid = held(out)
    assert f"({pid}) is writing {out}" in refused(capsys, "render", run, "--output", out, *options)


def test_an_export_and_a_video_that_are_written(run, tmp_path, capsys, held):
    pids = [held(tmp_path / name, is_folder=False) for name in ("a.ply", "a.mp4")]
    assert f"({pids[0]}) is writing" in refused(capsys, "export", run, tmp_path / "a.ply", "--points", "500")
    assert f"({pids[1]}) is writing" in refused(
        capsys, "render", run, "--path", "photos", "--downscale", "8", "--output", tmp_path / "out",
        "--video", tmp_path / "a.mp4",
    )  # fmt: skip


def test_features_that_are_written(drawn, tmp_path, capsys, held):
    pid = held(tmp_path / "out")
    command = ["features", drawn.folder, "--output", tmp_path / "out", "--encoder", "colour-words", "--dense", "none"]
    assert f"({pid}) is writing" in refused(capsys, *command)


def left_over(folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / f".{name}.ab12cd_3").write_bytes(b"half")
    (folder / ".mine").touch()


def test_what_kills_left_is_cleared_away(drawn, run, tmp_path, capsys):
    left_over(run, "index.safetensors", "surface.safetensors", "timings.json")
    (run / LOCK).write_text("1\n")
    assert main(["train", str(drawn.folder), "--output", str(run), "--device", "cpu"]) == 0
    assert [file.name for file in run.glob(".*")] == [".mine"]
    left_over(run, "index.safetensors")
    assert main(["bake", str(run)]) == 0
    assert [file.name for file in run.glob(".*")] == [".mine"]

    out = tmp_path / "out"
    left_over(out, "a.ply", "a.json", "a_embeddings.npy", "b.ply")
    assert main(["export", str(run), str(out / "a.ply"), "--points", "500"]) == 0
    assert sorted(file.name for file in out.glob(".*")) == [".b.ply.ab12cd_3", ".mine"], "b may be somebody's work"

    frames = tmp_path / "frames"
    left_over(frames, "render.json", "camera_path.json")
    left_over(frames / "rgb", "00000.png")
    left_over(tmp_path, "a.mp4", "b.mp4")
    run_json(capsys, "render", run, "--path", "photos", "--downscale", "8", "--output", frames,
             "--video", tmp_path / "a.mp4")  # fmt: skip
    assert sorted(file.name for file in frames.rglob(".*")) == [".mine", ".mine"]
    assert sorted(file.name for file in tmp_path.glob(".*")) == [".b.mp4.ab12cd_3", ".mine"]

    pictures = tmp_path / "pictures"
    left_over(pictures, "0000_colour.png", "0000_depth.npy")
    assert main(["render", str(run), "--views", "images/0000.png", "--output", str(pictures)]) == 0
    assert [file.name for file in pictures.glob(".*")] == [".mine"]


def test_a_damaged_frame_is_named(run, tmp_path, capsys):
    command = ["render", run, "--path", "photos", "--downscale", "8", "--output", tmp_path / "out"]
    run_json(capsys, *command)
    (tmp_path / "out/rgb/00001.png").write_bytes(b"half")
    error = refused(capsys, *command, "--video", tmp_path / "a.mp4")
    assert "00001.png is damaged; delete it and give the same command again." in error
    (tmp_path / "out/rgb/00001.png").unlink()
    assert run_json(capsys, *command, "--video", tmp_path / "a.mp4")["frames"] > 1


def test_other_renderings_are_told_with_both_values(run, tmp_path, capsys):
    command = ["render", run, "--path", "photos", "--downscale", "8", "--query", "red", "--output", tmp_path / "out"]
    run_json(capsys, *command)
    assert "(other scale not given (now 0.5))" in refused(capsys, *command, "--scale", "0.5")
    place = tmp_path / "out/render.json"
    document = json.loads(place.read_text())
    place.write_text(json.dumps({**document, "scores": []}))
    assert "its numbers are not those of 1 phrases" in refused(capsys, *command)
