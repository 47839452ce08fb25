"""Runs survive kills and Ctrl-C, and continue exactly where they were saved."""

import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from short_runs import Listener, StopAt, settings_of

import lerf
from lerf.errors import RunError
from lerf.run.folder import RunFolder
from lerf.run.make_settings import make_settings
from lerf.stages.train import train
from lerf.training.photo_window import PhotoWindow

SUPPORT = Path(__file__).parents[1] / "support"
STAGES = ("radiance", "language")
PROCESSES = multiprocessing.get_context("forkserver")
# Children start from a process that has imported torch and numba already: a kill then hits work, not imports.
PROCESSES.set_forkserver_preload(["lerf.stages.train", "lerf.kernels.cpu"])


def train_on_one_thread(settings, output, save_seconds):
    """Work of a child process, to be killed."""
    torch.set_num_threads(1)
    train(settings, output, save_seconds=save_seconds)


def run_child(settings, output, save_seconds, kill_after=None):
    """Train in a child; returns the exit code, or None when it was killed after `kill_after` seconds."""
    child = PROCESSES.Process(target=train_on_one_thread, args=(settings, output, save_seconds))
    child.start()
    child.join(kill_after)
    if child.is_alive():
        child.kill()
        child.join()
        return None
    return child.exitcode


def tensors_of(run):
    return {stage: load_file(RunFolder(run).path / f"{stage}.safetensors") for stage in STAGES}


def assert_same_tensors(run, other):
    ours, theirs = tensors_of(run), tensors_of(other)
    for stage in STAGES:
        assert ours[stage].keys() == theirs[stage].keys()
        for name, value in ours[stage].items():
            assert torch.equal(value, theirs[stage][name]), f"{stage} {name} differs"


def assert_whole(run):
    """Whatever is in a run folder can be read, and nothing is half written."""
    folder = RunFolder(run)
    if not folder.exists:
        return
    folder.read_config()
    folder.read_scene()
    for stage in STAGES:
        if folder.has_stage(stage):
            tensors, facts = folder.load_stage(stage)
            assert facts["step"] > 0
            assert all(value.isfinite().all() for name, value in tensors.items() if name.startswith("field.grid"))
    if (run / "timings.json").is_file():
        folder.read_json("timings.json")


@pytest.fixture
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("tiny", "one_thread")
@pytest.mark.parametrize("options", [{}, {"refine_poses": True, "dense": "none", "estimator": "per-sample"}])
def test_interrupted_and_resumed_is_bitwise_the_same(drawn, tmp_path, options):
    settings = settings_of(drawn.folder, **options)
    train(settings, tmp_path / "straight")
    for stage in STAGES:
        with pytest.raises(KeyboardInterrupt):
            train(settings, tmp_path / "stopped", reporter=StopAt(stage))
        facts = RunFolder(tmp_path / "stopped").load_stage(stage)[1]
        assert (facts["step"], facts["finished"]) == (20, False)
    train(settings, tmp_path / "stopped")
    assert_same_tensors(tmp_path / "straight", tmp_path / "stopped")
    lines = [json.loads(line) for line in (tmp_path / "stopped/metrics.jsonl").read_text().splitlines()]
    assert [(line["stage"], line["step"]) for line in lines] == [(stage, at) for stage in STAGES for at in (20, 40)]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.usefixtures("tiny", "one_thread")
def test_training_on_a_window_resumes_bitwise(drawn, tmp_path, monkeypatch):
    settings, windows, new = settings_of(drawn.folder, rays=128, memory=1e-6), [], PhotoWindow.__init__

    def noting(window, *arguments):
        windows.append(window)
        new(window, *arguments)

    monkeypatch.setattr(PhotoWindow, "__init__", noting)
    train(settings, tmp_path / "straight")
    assert len(windows) == 2, "pixels, then features"
    for stage in STAGES:
        with pytest.raises(KeyboardInterrupt):
            train(settings, tmp_path / "stopped", reporter=StopAt(stage))
    train(settings, tmp_path / "stopped")
    assert_same_tensors(tmp_path / "straight", tmp_path / "stopped")


def kills(drawn, tmp_path, count, seed):
    settings = settings_of(drawn.folder, steps=120)
    start = time.perf_counter()
    assert run_child(settings, tmp_path / "straight", 30.0) == 0
    whole = time.perf_counter() - start
    pick, done = random.Random(seed), 0
    for _ in range(count):
        code = run_child(settings, tmp_path / "killed", 0.0, kill_after=pick.uniform(0.0, 0.8 * whole))
        assert code in (None, 0)
        done += code == 0
        assert_whole(tmp_path / "killed")
        if code == 0:  # it got to its end: kill another one
            os.rename(tmp_path / "killed", tmp_path / f"done-{done}")
    assert run_child(settings, tmp_path / "killed", 30.0) == 0
    assert_same_tensors(tmp_path / "straight", tmp_path / "killed")
    left = sorted(path.name for path in (tmp_path / "killed").iterdir())
    assert left == [
        "capture.json", "config.json", "language.safetensors", "metrics.jsonl", "radiance.safetensors", "scene.json",
        "surface.safetensors", "timings.json",
    ]  # fmt: skip
    assert lerf.load(tmp_path / "killed").query("red", threshold=0.0).queries[0].present


@pytest.mark.usefixtures("tiny")
def test_killed_four_times_at_random(drawn, tmp_path):
    kills(drawn, tmp_path, 4, seed=1)


@pytest.mark.slow
@pytest.mark.usefixtures("tiny")
def test_killed_twenty_times_at_random(drawn, tmp_path):
    kills(drawn, tmp_path, 20, seed=2)


@pytest.mark.usefixtures("tiny")
def test_features_are_whole_after_kills(drawn, tmp_path, monkeypatch):
    """Killed while it fills an empty cache: the next run takes what is whole and computes the rest."""
    settings = settings_of(drawn.folder, steps=1, features="tiles")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LERF_CACHE", str(tmp_path / "straight-cache"))
        train(settings, tmp_path / "straight")
        patch.setenv("LERF_CACHE", str(tmp_path / "cache"))
        environment = {"LERF_CACHE": str(tmp_path / "cache")}
        for wait in (0.05, 0.1, 0.2):
            child = PROCESSES.Process(target=_train_with, args=(environment, settings, tmp_path / "killed"))
            child.start()
            deadline = time.perf_counter() + 60
            while child.is_alive() and not list((tmp_path / "cache").rglob("*.npy")):
                assert time.perf_counter() < deadline
                time.sleep(0.005)
            child.join(wait)
            child.kill()
            child.join()
        train(settings, tmp_path / "killed")
        ours, theirs = (
            {path.name: path.read_bytes() for path in (tmp_path / name).rglob("*.npy") if path.name[0] != "."}
            for name in ("cache", "straight-cache")
        )
        assert ours == theirs


def _train_with(environment, settings, output):
    os.environ.update(environment)
    train_on_one_thread(settings, output, 30.0)


def test_a_start_that_was_cut_short_is_no_foreign_folder(drawn, tiny, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / "scene.json").write_text("{}")
    (run / ".config.json.ab12cd_3").write_text("{")
    settings = settings_of(drawn.folder, steps=1)
    train(settings, run)
    (run / ".radiance.safetensors.ab12cd_3").write_bytes(b"half")
    (run / "metrics.jsonl").write_text((run / "metrics.jsonl").read_text() + '{"stage": "lang')
    train(settings, run)
    assert not list(run.glob(".*"))


def test_ctrl_c_on_the_command_line(drawn, tmp_path):
    """A real signal to a real process: saved, 130, and the same command finishes."""
    command = [sys.executable, str(SUPPORT / "tiny.py"), "train", str(drawn.folder), "--output", str(tmp_path / "run")]
    paths = [str(SUPPORT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    process = subprocess.Popen(
        [*command, "--steps", "2000"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    metrics, deadline = tmp_path / "run/metrics.jsonl", time.perf_counter() + 120
    while not metrics.is_file() and process.poll() is None and time.perf_counter() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130, errors
    assert errors.strip() == "Interrupted; give the same command again to continue."
    assert RunFolder(tmp_path / "run").load_stage("radiance")[1]["step"] >= 20


@pytest.mark.parametrize(("stage", "finished"), [("radiance", False), ("radiance", True), ("language", False)])
def test_resuming_from_a_checkpoint_that_does_not_fit(drawn, tiny, tmp_path, stage, finished):
    settings = settings_of(drawn.folder)
    with pytest.raises(KeyboardInterrupt):
        train(settings, tmp_path / "run", reporter=StopAt("language"))
    run = RunFolder(tmp_path / "run")
    tensors, facts = run.load_stage(stage)
    tensors["field.grid.table"] = tensors["field.grid.table"][:-1]
    run.save_stage(stage, tensors, {**facts, "finished": finished})
    with pytest.raises(RunError, match=rf"{stage}\.safetensors is damaged \(it does not fit"):
        train(settings, tmp_path / "run")


@pytest.mark.usefixtures("tiny")
def test_a_finished_run_is_left_alone(drawn, drawn_run):
    before = {path.name: path.stat().st_mtime_ns for path in drawn_run.iterdir()}
    heard = Listener()
    train(make_settings(drawn.folder, device="cpu"), drawn_run, reporter=heard)
    assert heard.stages == []
    assert {path.name: path.stat().st_mtime_ns for path in drawn_run.iterdir()} == before
