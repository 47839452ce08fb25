"""Run folders: settings, cameras, what is only informative, checkpoints, indices, surfaces, rendered frames."""

from __future__ import annotations

import shutil
from pathlib import Path
from random import Random
from types import SimpleNamespace

from fuzzing.kinds.spoiling import document, lines, one_of, tensors
from fuzzing.oracle import Case, Kind, Refused, check_finite, command

SHORT = (
    "--device", "cpu", "--radiance-training.rays", "256", "--radiance-training.grid-every", "4",
    "--language-training.rays", "256", "--language-training.pool-rays", "4000",
)  # fmt: skip
"""Of a training of some seconds."""
STEPS = ("--steps", "150")
"""After which there is a surface to ask and to export."""
HERE = ("--device", "cpu", "--offline")
STORES = ("surface.safetensors", "surface_cells.safetensors")


def kinds() -> dict[str, Kind]:
    """By name."""
    surface = ["surface.safetensors"]
    rendered = ("*.png", "camera_path.json", "render.json")
    checkpoints = [f"{stage}.safetensors" for stage in ("radiance", "language")]
    return {
        "run-config": Kind("run", one_of(["config.json"], document), _open_run, STORES, weight=3),
        "run-scene": Kind("run", one_of(["scene.json"], document), _open_run, STORES, weight=3),
        "run-timings": Kind(
            "run", one_of(["timings.json"], document), _open_and_train, ("timings.json", *STORES), weight=2
        ),
        "run-metrics": Kind("run", one_of(["metrics.jsonl"], lines), _open_and_train, ("metrics.jsonl", *STORES)),
        "checkpoints": Kind("run", one_of(checkpoints, tensors), _open_run, STORES, weight=4),
        "surface-store": Kind("run", one_of(surface, tensors), _open_run, STORES, weight=2),
        "baked-index": Kind("baked", one_of(["index.safetensors"], tensors), _ask_index, STORES, weight=3),
        "cell-surface": Kind("baked", one_of(["surface_cells.safetensors"], tensors), _ask_index, STORES),
        "lifted-index": Kind("lifted", one_of(["language.safetensors"], tensors), _ask, STORES, weight=2),
        "render-record": Kind("frames", one_of(["render.json"], document), _go_on_rendering, rendered, weight=4),
    }


def _open_run(case: Case) -> None:
    """`lerf info` and `lerf query`, which refuse for reasons of their own, so that both are tried."""
    refusal = None
    try:
        command("info", case.input, json_too=case.random.random() < 0.8)
    except Refused as error:
        refusal = error
    if case.random.random() < 0.3:
        _read_as_settings(case)
    _ask(case)
    if refusal is not None:
        raise refusal


def _read_as_settings(case: Case) -> None:
    """What `lerf train --config` takes from a run that is to be repeated."""
    from fuzzing.oracle import Fault, problem_of
    from lerf.apps.train import defaults
    from lerf.errors import LerfError

    try:
        defaults(["--config", str(case.input / "config.json"), "--device", "cpu"])
    except LerfError as error:
        if problem := problem_of(str(error)):
            raise Fault("message", f"{problem}: {error}") from error


def _ask(case: Case) -> None:
    phrase = case.random.choice(("red", "blue", "yellow mug", "the of a"))
    command("query", case.input, phrase, *HERE, json_too=case.random.random() < 0.8)


def _ask_index(case: Case) -> None:
    more = case.random.choice(([], ["--compare"]))
    command("query", case.input, "red", *HERE, "--index", case.random.choice(("require", "auto")), *more)


def _open_and_train(case: Case) -> None:
    """Files that only inform must stop neither questions nor the training that is given again."""
    command("info", case.input)
    command("train", case.material / "drawn", "--output", case.input, *SHORT, *STEPS)
    _ask(case)


def _go_on_rendering(case: Case) -> None:
    path = case.material / "path/camera_path.json"
    facts = command(
        "render", case.material / "run", "--path", path, "--output", case.input, "--query", "red", "--outputs", "rgb",
        "depth", "relevancy_0", "composited_0", "--device", "cpu",
    )  # fmt: skip
    check_finite(facts)


def make(folder: Path) -> SimpleNamespace:
    """A capture, a run trained on it, one with an index, one that was lifted; returns the capture."""
    from drawn_scene import write_generated_scene

    capture = folder / "drawn"
    scene = write_generated_scene(capture, views=8, width=24, height=18)
    run = folder / "run"
    command("train", capture, "--output", run, *SHORT, *STEPS)
    command("train", capture, "--output", folder / "lifted", "--language", "lift", "--radiance", run, "--device", "cpu")
    shutil.copytree(run, folder / "baked")
    command("bake", folder / "baked", *HERE)
    for name, options in (("run", []), ("baked", ["--index", "require"]), ("lifted", [])):
        command("query", folder / name, "red", *HERE, *options)
    return SimpleNamespace(folder=capture, scene=scene)


def make_frames(folder: Path) -> None:
    """Frames of a path, the last of which are still to be rendered."""
    _go_on_rendering(Case("render-record", folder, folder, Random(0)))
    (folder / "input").rename(folder / "frames")
    for name in ("rgb", "depth"):
        (folder / "frames" / name / "00002.png").unlink()
