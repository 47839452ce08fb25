"""The run folder: what a training leaves behind, and what it continues from.

`config.json`       settings, format version, fingerprints of the encoders
`scene.json`        cameras, split and similarity, so that a run answers without its photos
`radiance.safetensors`, `language.safetensors`   fields and, until a stage is finished, its optimiser and generator; in
                    the header the step, whether the stage is finished, and what decided its outcome (`stages/keys.py`)
`metrics.jsonl`     one JSON object a line
`timings.json`      seconds of each stage, peak memory
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from lerf.errors import RunError, StorageError
from lerf.files import write_atomically, write_json
from lerf.run.settings import TrainSettings, from_plain, to_plain
from lerf.scenes.record import scene_from_plain
from lerf.scenes.scene import Scene
from lerf.training.checkpoint import module_state

FORMAT = 1
"""Version of the run folder. A reader refuses newer ones."""
StageName = str
"""Name of a stage of training, such as `radiance`; its checkpoint is `<name>.safetensors`."""
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

    def save_stage(self, stage: StageName, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
        """Write a stage's checkpoint in one move; `facts` are plain JSON values."""
        header = {"format": str(FORMAT), "facts": json.dumps(facts)}
        data = save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, header)
        write_atomically(self.path / f"{stage}.safetensors", lambda file: file.write(data))

    def has_stage(self, stage: StageName) -> bool:
        return (self.path / f"{stage}.safetensors").is_file()

    def load_stage(self, stage: StageName) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Tensors and facts of a stage's checkpoint.

        Raises:
            RunError: when it is missing, damaged, or of a newer version.
        """
        with self._opened(stage) as (file, facts):
            return {name: file.get_tensor(name) for name in file.keys()}, facts  # noqa: SIM118

    def read_facts(self, stage: StageName) -> dict[str, Any] | None:
        """Facts of a stage's checkpoint without its tensors; None where the stage has none.

        Raises:
            RunError: when it is damaged, or of a newer version.
        """
        if not self.has_stage(stage):
            return None
        with self._opened(stage) as (_, facts):
            return facts

    @contextmanager
    def _opened(self, stage: StageName) -> Iterator[tuple[safe_open, dict[str, Any]]]:
        path = self.path / f"{stage}.safetensors"
        if not path.is_file():
            raise RunError(f"{self.path} has no {stage} checkpoint; train it first with 'lerf train'.")
        try:
            with safe_open(path, framework="pt") as file:
                header = file.metadata() or {}
                self._check_format(header.get("format"))
                yield file, json.loads(header["facts"])
        except (SafetensorError, KeyError, ValueError, OSError) as error:
            raise RunError(f"{path} is damaged ({error}); delete it and run 'lerf train' again to resume.") from error

    def restore_field(self, stage: StageName, field: nn.Module, tensors: dict[str, Tensor]) -> None:
        """Give a field what `load_stage` read.

        Raises:
            RunError: when the tensors are not those of such a field.
        """
        with self.fitting(stage):
            field.load_state_dict(module_state(tensors, "field"))

    @contextmanager
    def fitting(self, stage: StageName) -> Iterator[None]:
        """Say in a `RunError` that a stage's checkpoint does not fit, where taking it over fails."""
        try:
            yield
        except (RuntimeError, LookupError, TypeError, ValueError):
            raise RunError(
                f"{self.path / stage}.safetensors is damaged (it does not fit config.json); delete it and run "
                "'lerf train' again."
            ) from None

    def append_metrics(self, values: dict[str, str | int | float]) -> None:
        """Add one line to metrics.jsonl."""
        path = self.path / "metrics.jsonl"
        try:
            with open(path, "a") as file:
                file.write(json.dumps(values) + "\n")
        except OSError as error:
            raise StorageError(
                f"Cannot write {path}: {error.strerror}. Free space or choose another folder."
            ) from error

    def trim_metrics(self, stage: StageName, step: int) -> None:
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

    def _check_format(self, version: object) -> None:
        try:
            number = int(version)  # type: ignore[call-overload]
        except (TypeError, ValueError):
            raise RunError(f"{self.path} does not say its format version; train again into a new folder.") from None
        if number > FORMAT:
            raise RunError(
                f"{self.path} was written by a newer lerf (format {number}, this one reads {FORMAT}); upgrade lerf."
            )


def _is_leftover(file: Path) -> bool:
    """Whether a file is one that an atomic write began and did not finish (`lerf.files`)."""
    parts = file.name.split(".")
    return parts[0] == "" and len(parts) > 3 and parts[-2] in ("json", "jsonl", "safetensors")
