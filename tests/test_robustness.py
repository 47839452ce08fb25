"""Whatever is wrong with the input: one clear sentence on stderr, exit code 2, no traceback.

The messages themselves are tested where they are made (`scenes/test_scene_errors.py` and others); here it is the whole
command line that must not stumble.
"""

import errno
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from cut_out import write_cut_out
from PIL import Image
from safetensors.torch import load_file, save_file
from scene_files import save

from lerf.apps.main import main


def refused(capsys, arguments, *words):
    """Run a command that must be refused, and check the manner of it."""
    capsys.readouterr()
    assert main([str(argument) for argument in arguments]) == 2
    shown = capsys.readouterr()
    message = shown.err.strip()
    assert message.startswith("Error: ")
    assert message.endswith(".")
    assert "\n" not in message
    assert "Traceback" not in shown.err
    for word in words:
        assert word in message


@pytest.fixture(autouse=True)
def quick(tiny):
    pass


@pytest.fixture
def capture(drawn, tmp_path):
    """A copy of the generated capture, to be spoilt."""
    return Path(shutil.copytree(drawn.folder, tmp_path / "capture"))


@pytest.fixture
def run(drawn_run, tmp_path):
    """A copy of a trained run, to be spoilt."""
    return Path(shutil.copytree(drawn_run, tmp_path / "run"))


def edit(file, change):
    document = json.loads(file.read_text())
    change(document)
    file.write_text(json.dumps(document))


def frames(change):
    """Change every pose by a function of the matrix."""

    def apply(capture):
        def each(document):
            for frame in document["frames"]:
                frame["transform_matrix"] = change(np.array(frame["transform_matrix"])).tolist()

        edit(capture / "transforms.json", each)

    return apply


def truncate_jpeg(capture):
    """One photo as a JPEG that was cut off in the middle: its header is fine."""
    photo = capture / "images/0003.png"
    Image.open(photo).save(capture / "images/0003.jpg", quality=95)
    data = (capture / "images/0003.jpg").read_bytes()
    (capture / "images/0003.jpg").write_bytes(data[: len(data) // 2])
    edit(capture / "transforms.json", lambda d: d["frames"][3].update(file_path="images/0003.jpg"))


CAPTURES = {
    "missing photo": (lambda c: (c / "images/0005.png").unlink(), ["0005.png is missing"]),
    "truncated jpeg": (truncate_jpeg, ["0003.jpg is cut off or corrupt"]),
    "photo that is text": (lambda c: (c / "images/0005.png").write_text("hello"), ["cannot be read as an image"]),
    "not json": (lambda c: (c / "transforms.json").write_text('{"frames": ['), ["is not valid JSON"]),
    "no frames": (lambda c: edit(c / "transforms.json", lambda d: d.update(frames=[])), ["has no frames"]),
    "nan pose": (frames(lambda m: m * np.nan), ["contains NaN"]),
    "singular pose": (frames(lambda m: m * [0, 1, 1, 1]), ["is not a rotation"]),
    "zero focal length": (lambda c: edit(c / "transforms.json", lambda d: d.update(fl_x=0)), ["focal length"]),
    "one point": (frames(lambda m: np.column_stack([m[:, :3], [1, 2, 3, 1]])), ["taken from one point"]),
    "no capture": (lambda c: (c / "transforms.json").unlink(), ["holds photos without poses"]),
    "nothing there": (shutil.rmtree, ["does not exist"]),
}


@pytest.mark.parametrize("case", CAPTURES)
def test_captures(capture, tmp_path, capsys, case):
    spoil, words = CAPTURES[case]
    spoil(capture)
    if case not in ("truncated jpeg",):  # info reads headers only
        refused(capsys, ["info", capture], *words)
    capsys.readouterr()
    assert main(["train", str(capture), "--output", str(tmp_path / "new"), "--steps", "1", "--device", "cpu"]) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("Error: ")
    assert shown.count("\n") == 1
    assert all(word in shown for word in words)


def test_mending_the_capture_mends_the_run(capture, tmp_path, capsys):
    photo = capture / "images/0003.png"
    whole = photo.read_bytes()
    photo.write_bytes(whole[: len(whole) // 2])
    command = ["train", capture, "--output", tmp_path / "new", "--steps", "1", "--device", "cpu"]
    refused(capsys, command, "0003.png is cut off or corrupt")
    photo.write_bytes(whole)
    assert main([str(argument) for argument in command]) == 0


TRAININGS = {
    "unknown encoder": (["--encoder", "nope"], ["no encoder named 'nope'", "colour-words"]),
    "unknown dense encoder": (["--dense", "nope"], ["no dense encoder named 'nope'"]),
    "negative steps": (["--steps", "-3"], ["--steps must be a whole number of at least 1, not -3"]),
    "no steps": (["--steps", "0"], ["--steps must be a whole number of at least 1"]),
    "downscale": (["--downscale", "0"], ["--downscale must be a whole number of at least 1"]),
    "device": (["--device", "cuda:7"], ["cuda:7"]),
    "device of no kind": (["--device", "abacus"], ["abacus"]),
    "tile ratios": (["--tile-ratios", "1.5", "--steps", "1"], ["Tile ratios must lie in (0, 1]"]),
    "one pass where there is none": (
        ["--encoder", "tile-words", "--features", "dense", "--steps", "1"], ["cannot make features 'dense'"],
    ),
    "black border without tiles": (["--features", "dense", "--border", "zero"], ["is for tiles"]),
    "negative seed": (["--seed", "-1"], ["--seed must be a whole number from 0"]),
    "poses of a lent radiance": (["--refine-poses", "--radiance", "nowhere"], ["leave it out with --radiance"]),
    "radiance of no run": (["--radiance", "nowhere"], ["nowhere is not a run folder"]),
}  # fmt: skip


@pytest.mark.parametrize("case", TRAININGS)
def test_training_settings(drawn, tmp_path, capsys, case):
    options, words = TRAININGS[case]
    refused(capsys, ["train", drawn.folder, "--output", tmp_path / "new", *options], *words)


def test_folder_of_other_settings(drawn, run, capsys):
    refused(capsys, ["train", drawn.folder, "--output", run, "--seed", "9"], "holds a run with other settings")


def test_folder_of_something_else(drawn, tmp_path, capsys):
    (tmp_path / "notes.txt").write_text("mine")
    refused(capsys, ["train", drawn.folder, "--output", tmp_path], "is not empty and holds no run")
    refused(capsys, ["train", drawn.folder, "--output", tmp_path / "notes.txt"], "choose another --output")
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_no_place_to_write(drawn, drawn_run, tmp_path, capsys):
    (tmp_path / "file").touch()
    below = tmp_path / "file" / "run"
    refused(capsys, ["train", drawn.folder, "--output", below, "--steps", "1"], "Cannot write")
    refused(capsys, ["render", drawn_run, "--output", below, "--views", "images/0000.png"], "Cannot write")


@pytest.mark.parametrize("nth", [1, 2, 4, 6])
def test_full_disk(drawn, tmp_path, capsys, monkeypatch, nth):
    """Whichever write it hits; afterwards the same command finishes."""
    import lerf.files

    real, calls = lerf.files.os.fsync, []

    def fsync(number):
        calls.append(number)
        if len(calls) >= nth:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(number)

    command = ["train", drawn.folder, "--output", tmp_path / "new", "--steps", "2", "--device", "cpu"]
    with monkeypatch.context() as patch:
        patch.setattr(lerf.files.os, "fsync", fsync)
        refused(capsys, command, "Cannot write", "No space left on device. Free space or choose another folder.")
    assert main([str(argument) for argument in command]) == 0


def newer(run, stage):
    tensors = load_file(run / f"{stage}.safetensors")
    save_file(tensors, run / f"{stage}.safetensors", {"format": "99", "facts": "{}"})


def cut(file):
    file.write_bytes(file.read_bytes()[:-100])


RUNS = {
    "no run": (lambda r: shutil.rmtree(r), ["is not a run folder"]),
    "no checkpoint": (lambda r: (r / "radiance.safetensors").unlink(), ["has no radiance checkpoint"]),
    "no language": (lambda r: (r / "language.safetensors").unlink(), ["has no language checkpoint"]),
    "newer config": (lambda r: edit(r / "config.json", lambda d: d.update(format=99)), ["newer lerf", "upgrade"]),
    "newer checkpoint": (lambda r: newer(r, "language"), ["newer lerf", "upgrade"]),
    "cut off": (lambda r: cut(r / "radiance.safetensors"), ["radiance.safetensors is damaged"]),
    "garbage": (lambda r: (r / "language.safetensors").write_bytes(b"\x07" * 64), ["is damaged"]),
    "empty file": (lambda r: (r / "language.safetensors").write_bytes(b""), ["is damaged"]),
    "swapped": (
        lambda r: shutil.copy(r / "radiance.safetensors", r / "language.safetensors"), ["does not fit config.json"],
    ),
    "config that is not json": (lambda r: (r / "config.json").write_text("{"), ["is not valid JSON"]),
    "config of another kind": (lambda r: (r / "config.json").write_text("[]"), ["has no format"]),
    "config without settings": (lambda r: edit(r / "config.json", lambda d: d.pop("settings")), ["has no settings"]),
    "unknown setting": (
        lambda r: edit(r / "config.json", lambda d: d["settings"].update(colour="blue")), ["do not fit this version"],
    ),
    "no format": (lambda r: edit(r / "config.json", lambda d: d.update(format="one")), ["format version"]),
    "scene that is damaged": (lambda r: (r / "scene.json").write_text("{}"), ["scene.json is damaged"]),
    "other weights": (
        lambda r: edit(r / "config.json", lambda d: d.update(encoder_fingerprint="x")), ["other weights"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", RUNS)
def test_runs(run, capsys, case):
    spoil, words = RUNS[case]
    spoil(run)
    refused(capsys, ["query", run, "red"], *words)


QUERIES = {
    "empty phrase": (["", "--json"], ["is empty"]),
    "blank phrase": (["red", "  "], ["Phrase 2 is empty"]),
    "threshold": (["red", "--threshold", "1.5"], ["--threshold must be a number from 0 to 1, not 1.5"]),
    "threshold that is no number": (["red", "--threshold", "nan"], ["--threshold must be a number from 0 to 1"]),
    "temperature": (["red", "--temperature", "0"], ["--temperature must be a number above 0"]),
    "scale": (["red", "--scale", "-1"], ["--scale must be a number above 0"]),
    "empty canonical": (["red", "--canonical", ""], ["is empty"]),
    "device": (["red", "--device", "abacus"], ["abacus"]),
}


@pytest.mark.parametrize("case", QUERIES)
def test_queries(drawn_run, capsys, case):
    options, words = QUERIES[case]
    refused(capsys, ["query", drawn_run, *options], *words)


def test_no_phrase(drawn_run, capsys):
    refused(capsys, ["query", drawn_run], "no phrase to look for")


def test_renders(drawn_run, tmp_path, capsys):
    command = ["render", drawn_run, "--output", tmp_path]
    refused(capsys, [*command, "--views", "images/99.png"], "no photo named images/99.png", "images/0000.png")
    refused(capsys, [*command, "--query", " "], "is empty")
    refused(capsys, [*command, "--query", "red", "--scale", "0"], "--scale must be a number above 0")


def test_photos_that_have_gone_since(run, capsys):
    """Queries need no photos; an evaluation does."""
    edit(run / "scene.json", lambda d: [p.update(path="/gone/" + Path(p["path"]).name) for p in d["photos"]])
    assert main(["query", str(run), "red"]) == 0
    refused(capsys, ["eval", run], "0000.png is missing")


@pytest.mark.parametrize("kind", ["no held-out", "masks", "alpha", "sizes"])
def test_unusual_captures_train(drawn, capture, tmp_path, kind):
    """A short training goes through and gets better."""
    names = sorted(path.name for path in (capture / "images").iterdir())
    if kind == "no held-out":
        edit(capture / "transforms.json", lambda d: d.update(frames=d["frames"][:3]))
    elif kind == "masks":
        for number, name in enumerate(names):
            mask = np.zeros((72, 96), np.uint8)
            mask[20:, 10:80] = 0 if number == 4 else 255  # one photo is masked out altogether
            save(capture / "masks" / name, mask)
        edit(capture / "transforms.json", lambda d: [f.update(mask_path=f["file_path"].replace("images", "masks"))
                                                     for f in d["frames"]])  # fmt: skip
    elif kind == "sizes":
        for name in names[::3]:
            picture = Image.open(capture / "images" / name)
            picture.resize((48, 36), Image.Resampling.BOX).save(capture / "images" / name)

        def halve(document):
            focal = document["fl_x"] / 2
            for frame in document["frames"][::3]:
                frame |= {"w": 48, "h": 36, "cx": 24, "cy": 18, "fl_x": focal, "fl_y": focal}

        edit(capture / "transforms.json", halve)
    else:
        capture = write_cut_out(tmp_path / "cut-out", drawn.scene, views=8)
    run = tmp_path / "run"
    command = ["train", str(capture), "--output", str(run), "--steps", "60", "--device", "cpu"]
    assert main(command) == 0
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    psnr = [line["psnr"] for line in lines if line["stage"] == "radiance"]
    cosine = [line["cosine"] for line in lines if line["stage"] == "language"]
    assert psnr[-1] > psnr[0] + 1
    assert cosine[-1] > cosine[0]
    assert main(["query", str(run), "red", "--json"]) == 0
    assert main(["eval", str(run)]) == (2 if kind == "no held-out" else 0)


def test_diverged_training_is_reported(drawn, tmp_path, capsys, monkeypatch):
    from lerf.training.language import LanguageTrainer

    monkeypatch.setattr(LanguageTrainer, "step", _diverge)
    command = ["train", drawn.folder, "--output", tmp_path / "new", "--steps", "2", "--device", "cpu"]
    capsys.readouterr()
    assert main([str(argument) for argument in command]) == 2
    assert "language training has diverged at step 2" in capsys.readouterr().err


def _diverge(trainer):
    trainer.step_count += 1
    return {"clip_loss": float(torch.nan), "cosine": 0.0, "rays": 1.0}
