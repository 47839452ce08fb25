"""The run folder: what a training leaves behind, and what it continues from.

`config.json`       settings, format version, fingerprints of the encoders
`scene.json`        cameras, split and similarity, so that a run answers without its photos
`radiance.safetensors`, `language.safetensors`   fields and, until a stage is finished, its optimiser and generator
`metrics.jsonl`     one JSON object a line
`timings.json`      seconds of each stage, peak memory
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from lerf.errors import RunError, StorageError
from lerf.files import write_atomically, write_json
from lerf.radiance.pose_refinement import PoseRefinement
from lerf.run.settings import TrainSettings, from_plain, to_plain
from lerf.scenes.record import scene_from_plain
from lerf.scenes.scene import Scene

FORMAT = 1
"""Version of the run folder. A reader refuses newer ones."""
Stage = Literal["radiance", "language"]
CONFIG_ENTRIES = ("format", "settings", "encoder_fingerprint", "canonical", "temperature", "threshold")


class RunFolder:
    """Reads and writes one run."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)

    @property
    def exists(self) -> bool:
        return (self.path / "config.json").is_file()

    @property
    def is_fresh(self) -> bool:
        """Whether nothing but the traces of a start that was cut short is in the folder."""
        if not self.path.is_dir():
            return False
        return all(file.name == "scene.json" or _is_leftover(file) for file in self.path.iterdir())

    def remove_leftovers(self) -> None:
        """Remove the unfinished files that a killed training leaves; no other training may use the folder."""
        for file in self.path.iterdir():
            if _is_leftover(file):
                file.unlink(missing_ok=True)

    def write_config(self, settings: TrainSettings, extra: dict[str, Any]) -> None:
        """Save the settings and the facts that go with them (fingerprints, versions)."""
        write_json(self.path / "config.json", {"format": FORMAT, "settings": to_plain(settings), **extra})

    def read_config(self) -> dict[str, Any]:
        """The config with `settings` as `TrainSettings`.

        Raises:
            RunError: no such run, unreadable, or written by a newer version.
        """
        config = self.read_json("config.json")
        missing = [name for name in CONFIG_ENTRIES if not isinstance(config, dict) or name not in config]
        if "format" not in missing:
            self._check_format(config["format"])
        if missing:
            raise RunError(f"{self.path / 'config.json'} has no {missing[0]}; train again into a new folder.")
        return {**config, "settings": from_plain(TrainSettings, config["settings"])}

    def read_scene(self) -> Scene:
        """The cameras, split and similarity that the run was trained with.

        Raises:
            RunError: when they are missing or damaged.
        """
        plain = self.read_json("scene.json")
        try:
            return scene_from_plain(plain)
        except (KeyError, TypeError, ValueError) as error:
            raise RunError(f"{self.path / 'scene.json'} is damaged ({error}); train again into a new folder.") from None

    def read_json(self, name: str) -> Any:
        """One of the run's JSON files.

        Raises:
            RunError: when it is missing or not JSON.
        """
        try:
            return json.loads((self.path / name).read_text())
        except FileNotFoundError:
            raise RunError(
                f"{self.path} is not a run folder: it has no {name}; give the folder that 'lerf train --output' wrote."
            ) from None
        except (OSError, ValueError) as error:
            raise RunError(f"{self.path / name} cannot be read ({error}); train again into a new folder.") from error

    def save_stage(self, stage: Stage, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
        """Write a stage's checkpoint in one move; `facts` are plain JSON values."""
        header = {"format": str(FORMAT), "facts": json.dumps(facts)}
        data = save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, header)
        write_atomically(self.path / f"{stage}.safetensors", lambda file: file.write(data))

    def has_stage(self, stage: Stage) -> bool:
        return (self.path / f"{stage}.safetensors").is_file()

    def load_stage(self, stage: Stage) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Tensors and facts of a stage's checkpoint.

        Raises:
            RunError: when it is missing, damaged, or of a newer version.
        """
        path = self.path / f"{stage}.safetensors"
        if not path.is_file():
            raise RunError(f"{self.path} has no {stage} checkpoint; train it first with 'lerf train'.")
        try:
            with safe_open(path, framework="pt") as file:
                header = file.metadata() or {}
                self._check_format(header.get("format"))
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return tensors, json.loads(header["facts"])
        except (SafetensorError, KeyError, ValueError, OSError) as error:
            raise RunError(f"{path} is damaged ({error}); delete it and run 'lerf train' again to resume.") from error

    def restore_field(self, stage: Stage, field: nn.Module, tensors: dict[str, Tensor]) -> None:
        """Give a field what `load_stage` read.

        Raises:
            RunError: when the tensors are not those of such a field.
        """
        with self._fitting(stage):
            field.load_state_dict(field_state(tensors))

    def restore_trainer(self, stage: Stage, trainer: Any, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
        """Give a trainer what `load_stage` read, so that it continues exactly.

        Raises:
            RunError: when the checkpoint is not that of such a trainer.
        """
        with self._fitting(stage):
            restore_trainer(trainer, tensors, facts)

    def restore_poses(self, poses: PoseRefinement, tensors: dict[str, Tensor]) -> bool:
        """Give the corrections what `load_stage` read of the radiance; False when it has none.

        Raises:
            RunError: when they are those of other photos.
        """
        corrections = {name[6:]: value for name, value in tensors.items() if name.startswith("poses.")}
        with self._fitting("radiance"):
            if corrections:
                poses.load_state_dict(corrections)
        return bool(corrections)

    @contextmanager
    def _fitting(self, stage: Stage) -> Iterator[None]:
        try:
            yield
        except (RuntimeError, LookupError, TypeError, ValueError):
            raise RunError(
                f"{self.path / stage}.safetensors is damaged (it does not fit config.json); delete it and run "
                "'lerf train' again."
            ) from None

    def append_metrics(self, values: dict[str, Any]) -> None:
        """Add one line to metrics.jsonl."""
        path = self.path / "metrics.jsonl"
        try:
            with open(path, "a") as file:
                file.write(json.dumps(values) + "\n")
        except OSError as error:
            raise StorageError(
                f"Cannot write {path}: {error.strerror}. Free space or choose another folder."
            ) from error

    def trim_metrics(self, stage: Stage, step: int) -> None:
        """Forget the lines of a stage after `step`, which will be written again, and a line that a kill cut off."""
        path = self.path / "metrics.jsonl"
        if not path.is_file():
            return
        kept = []
        for line in path.read_text().splitlines():
            try:
                values = json.loads(line)
                if values["stage"] != stage or values["step"] <= step:
                    kept.append(line + "\n")
            except (ValueError, KeyError, TypeError):
                continue
        write_atomically(path, lambda file: file.write("".join(kept).encode()))

    def _check_format(self, version: Any) -> None:
        try:
            number = int(version)
        except (TypeError, ValueError):
            raise RunError(f"{self.path} does not say its format version; train again into a new folder.") from None
        if number > FORMAT:
            raise RunError(
                f"{self.path} was written by a newer lerf (format {number}, this one reads {FORMAT}); upgrade lerf."
            )


def trainer_state(trainer: Any) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Everything a trainer needs to continue exactly: field, moments, generator as tensors; counters as facts."""
    tensors = {f"field.{name}": value for name, value in trainer.field.state_dict().items()}
    if getattr(trainer, "poses", None) is not None:
        tensors |= {f"poses.{name}": value for name, value in trainer.poses.state_dict().items()}
    tensors |= {f"table.{name}": value for name, value in trainer.table.state().items()}
    tensors["generator"] = trainer.generator.get_state()
    for index, state in trainer.dense.state_dict()["state"].items():
        tensors |= {f"dense.{index}.{name}": torch.as_tensor(value) for name, value in state.items()}
    return tensors, {"step": trainer.step_count}


def restore_trainer(trainer: Any, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
    """Inverse of `trainer_state`."""
    trainer.field.load_state_dict(field_state(tensors))
    if getattr(trainer, "poses", None) is not None:
        trainer.poses.load_state_dict({n[6:]: value for n, value in tensors.items() if n.startswith("poses.")})
    trainer.table.load_state({name[6:]: value for name, value in tensors.items() if name.startswith("table.")})
    trainer.generator.set_state(tensors["generator"])
    saved = trainer.dense.state_dict()
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("dense."):
            _, index, key = name.split(".")
            state.setdefault(int(index), {})[key] = value
    trainer.dense.load_state_dict({"state": state, "param_groups": saved["param_groups"]})
    trainer.step_count = int(facts["step"])


def field_state(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The field's part of a checkpoint."""
    return {name[6:]: value for name, value in tensors.items() if name.startswith("field.")}


def _is_leftover(file: Path) -> bool:
    """Whether a file is one that an atomic write began and did not finish (`lerf.files`)."""
    parts = file.name.split(".")
    return parts[0] == "" and len(parts) > 3 and parts[-2] in ("json", "jsonl", "safetensors")
