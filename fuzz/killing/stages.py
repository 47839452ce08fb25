"""The commands that are killed, and what each starts from."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fuzzing.kinds.runs import SHORT, STEPS

ON = ("--device", "cpu", "--offline")


@dataclass(frozen=True)
class Places:
    """Folders of a killing."""

    valid: Path
    """A capture in `drawn`, a trained run in `run`, a camera path in `path`: not written to."""
    output: Path
    """Everything that the command writes: the same place for the undisturbed command, as files may name it."""

    @property
    def run(self) -> Path:
        return self.output / "run"

    @property
    def cache(self) -> Path:
        """Of features."""
        return self.output / "cache"


@dataclass(frozen=True)
class KilledStage:
    """A command that writes."""

    arguments: Callable[[Places], list[object]]
    needs_run: bool = True
    """Whether it works on a run, of which it is given a copy."""

    def begin(self, places: Places) -> None:
        """Put down what the command starts from."""
        shutil.rmtree(places.output, ignore_errors=True)
        places.output.mkdir()
        if self.needs_run:
            shutil.copytree(places.valid / "run", places.run)


def _train(places: Places) -> list[object]:
    return ["train", places.valid / "drawn", "--output", places.run, *SHORT, "--steps", 60]


def _features(places: Places) -> list[object]:
    named = ["--encoder", "colour-words", "--dense", "colour-map"]
    return ["features", places.valid / "drawn", "--output", places.output / "pictures", *named, *ON]


def _bake(places: Places) -> list[object]:
    return ["bake", places.run, *ON]


def _export(places: Places) -> list[object]:
    what = ["--query", "red", "--points", 20_000, "--embeddings"]
    return ["export", places.run, places.output / "cloud.ply", *what, *ON]


def _render(places: Places) -> list[object]:
    path = ["--path", places.valid / "path/camera_path.json", "--query", "red", "--npy"]
    written = ["--output", places.output / "frames", "--video", places.output / "video.mp4"]
    return ["render", places.run, *path, *written, *ON]


STAGES = {
    "train": KilledStage(_train, needs_run=False),
    "features": KilledStage(_features, needs_run=False),
    "bake": KilledStage(_bake),
    "export": KilledStage(_export),
    "render": KilledStage(_render),
}
"""By name."""


def make_valid(folder: Path) -> None:
    """Work of a child process: what the stages start from."""
    from fuzzing.kinds import set_up

    set_up()
    from drawn_scene import write_generated_scene

    from lerf.apps.main import main
    from lerf.scenes.camera_path import CameraPath, write_camera_path
    from lerf.scenes.load import load_scene

    write_generated_scene(folder / "drawn", views=8, width=24, height=18)
    capture, run = str(folder / "drawn"), str(folder / "run")
    if main(["train", capture, "--output", run, *SHORT, *STEPS]) != 0:
        raise RuntimeError("The run that is to be killed over could not be trained.")
    scene = load_scene(folder / "drawn")
    cameras = tuple(scene.photos[number % 8].camera.scaled_to(32, 24) for number in range(12))
    write_camera_path(folder / "path/camera_path.json", CameraPath(cameras, 12.0), scene)
