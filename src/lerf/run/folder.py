"""The run folder: what a training leaves behind, and what it continues from.

`config.json`       settings, format version, fingerprints of the encoders
`scene.json`        cameras, split and similarity, so that a run answers without its photos
`capture.json`      what the photos, masks and cameras were when the training began (`run/capture_record.py`)
`radiance.safetensors`, `language.safetensors`   fields and, until a stage is finished, its optimiser and generator; in
                    the header the step, whether the stage is finished, and what decided its outcome (`stages/keys.py`)
`metrics.jsonl`     one JSON object a line
`timings.json`      seconds of each stage, peak memory
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lerf.documents import converted, read_document
from lerf.errors import ConfigError, RunError, StorageError, is_out_of_memory
from lerf.files import is_file, is_folder, write_json
from lerf.locks import LOCK, locked_folder, remove_unfinished, unfinished
from lerf.run import journal
from lerf.run.records import Config, Facts
from lerf.run.scene_record import checked_scene
from lerf.run.settings import TrainSettings, from_plain, to_plain
from lerf.scenes.scene import Scene
from lerf.tensor_files import TensorFile, write_tensors
from lerf.training.checkpoint import check_fits, module_state, number_that_is_not_finite

FORMAT = 1
"""Version of the run folder. A reader refuses newer ones."""
StageName = str
"""Name of a stage of training, such as `radiance`; its checkpoint is `<name>.safetensors`."""
CONFIG_ENTRIES = ("format", "settings", "encoder_fingerprint", "canonical", "temperature", "threshold")
BEFORE_CONFIG = ("scene.json", "capture.json", LOCK)
"""What may be in a folder before config.json, which is written last, makes it a run."""
UNFINISHED = ("*.json", "*.jsonl", "*.safetensors")
AGAIN = "train again into a new folder"


class RunFolder:
    """Reads and writes one run."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)

    @property
    def exists(self) -> bool:
        return is_file(self.path / "config.json")

    @property
    def has_checkpoints(self) -> bool:
        """Whether anything was learnt."""
        return is_folder(self.path) and any(self.path.glob("[!.]*.safetensors"))

    @property
    def is_fresh(self) -> bool:
        """Whether nothing but the traces of a start that was cut short is in the folder."""
        if not is_folder(self.path):
            return False
        left = {*unfinished(self.path, *UNFINISHED), *(self.path / name for name in BEFORE_CONFIG)}
        return all(file in left for file in self.path.iterdir())

    def clear_away(self) -> None:
        """Remove what a process that was killed while it wrote has left, unless another one is writing now."""
        if unfinished(self.path, *UNFINISHED) or is_file(self.path / LOCK):
            with contextlib.suppress(StorageError), self.written(""):
                pass

    @contextmanager
    def written(self, otherwise: str) -> Iterator[None]:
        """Hold the folder while it is written, and clear away what killed processes left; reading needs no such hold.

        Raises:
            StorageError: another process writes it, in which case one can wait or do `otherwise`; or it cannot be
                written.
        """
        with locked_folder(self.path, otherwise):
            remove_unfinished(self.path, *UNFINISHED)
            yield

    def write_config(self, settings: TrainSettings, extra: dict[str, Any]) -> None:
        """Save the settings and the facts that go with them (fingerprints, versions)."""
        write_json(self.path / "config.json", {"format": FORMAT, "settings": to_plain(settings), **extra})

    def read_config(self) -> dict[str, Any]:
        """The config with `settings` as `TrainSettings`.

        Raises:
            RunError: no such run, unreadable, of another content than it should be, or written by a newer version.
        """
        path, plain = self.path / "config.json", self.read_json("config.json")
        missing = [name for name in CONFIG_ENTRIES if not isinstance(plain, dict) or name not in plain]
        if "format" not in missing:
            self._check_format(plain["format"])
        if missing:
            raise RunError(f"{path} has no {missing[0]}; {AGAIN}.")
        config = converted(plain, Config, str(path), error=RunError, remedy=AGAIN)
        try:
            settings = from_plain(TrainSettings, config.settings)
        except ConfigError as error:
            raise RunError(f"{path} cannot be used: {error} Restore it, or {AGAIN}.") from None
        return {**plain, "dense_fingerprint": config.dense_fingerprint, "settings": settings}

    def read_scene(self) -> Scene:
        """The cameras, split and similarity that the run was trained with.

        Raises:
            RunError: when they are missing or damaged.
        """
        path = self.path / "scene.json"
        return checked_scene(self.read_json("scene.json"), str(path), error=RunError, remedy=AGAIN)

    def read_json(self, name: str) -> Any:
        """One of the run's JSON files.

        Raises:
            RunError: when it is missing or not JSON.
        """
        if not os.path.lexists(self.path / name):
            raise RunError(
                f"{self.path} is not a run folder: it has no {name}; give the folder that 'lerf train --output' wrote."
            )
        return read_document(self.path / name, object, error=RunError, remedy=AGAIN)

    def read_timings(self) -> journal.Timings:
        """Seconds of stages and peak memory as far as they are known."""
        return journal.read_timings(self.path / "timings.json")

    def save_stage(self, stage: StageName, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
        """Write a stage's checkpoint in one move; `facts` are plain JSON values."""
        write_tensors(self.path / f"{stage}.safetensors", tensors, facts, FORMAT)

    def has_stage(self, stage: StageName) -> bool:
        return is_file(self.path / f"{stage}.safetensors")

    def load_stage(self, stage: StageName) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Tensors and facts of a stage's checkpoint.

        Raises:
            RunError: when it is missing, damaged, or of a newer version.
        """
        file = self._opened(stage)
        tensors, facts = file.tensors(), self._facts(file)
        if name := number_that_is_not_finite(tensors):
            raise file.damaged(f"{name} has numbers that are not finite")
        return tensors, facts

    def read_facts(self, stage: StageName) -> dict[str, Any] | None:
        """Facts of a stage's checkpoint without its tensors; None where the stage has none.

        Raises:
            RunError: when it is damaged, or of a newer version.
        """
        return self._facts(self._opened(stage)) if self.has_stage(stage) else None

    def _opened(self, stage: StageName) -> TensorFile:
        if not self.has_stage(stage):
            raise RunError(f"{self.path} has no {stage} checkpoint; train it first with 'lerf train'.")
        file = TensorFile(
            self.path / f"{stage}.safetensors", error=RunError, remedy="delete it and run 'lerf train' again to resume"
        )
        self._check_format(file.version)
        return file

    def _facts(self, file: TensorFile) -> dict[str, Any]:
        facts = file.facts
        converted(facts, Facts, f"The header of {file.path}", error=RunError, remedy=file.remedy)
        return facts

    def restore_field(self, stage: StageName, make: Callable[[], nn.Module], tensors: dict[str, Tensor]) -> nn.Module:
        """The field that `make` makes, with what `load_stage` read.

        Raises:
            RunError: when the tensors are not those of such a field.
        """
        with self.fitting(stage):
            state = module_state(tensors, "field")
            # Its sizes come from a file: no memory is taken for them before the checkpoint is found to have them.
            with torch.device("meta"):
                field = make()
            check_fits(field, state)
            field.load_state_dict(state, assign=True)
            return field

    @contextmanager
    def fitting(self, stage: StageName) -> Iterator[None]:
        """Say in a `RunError` that a stage's checkpoint does not fit, where taking it over fails for another reason
        than that memory ran out."""
        try:
            yield
        except (RuntimeError, LookupError, TypeError, ValueError, OverflowError) as error:
            if is_out_of_memory(error):
                raise
            raise RunError(
                f"{self.path / stage}.safetensors is damaged (it does not fit config.json); delete it and run "
                "'lerf train' again."
            ) from None

    def append_metrics(self, values: Mapping[str, str | int | float]) -> None:
        """Add one line to metrics.jsonl."""
        journal.append_metrics(self.path / "metrics.jsonl", values)

    def trim_metrics(self, stage: StageName, step: int) -> None:
        """Forget the lines of a stage after `step`, which will be written again, and a line that a kill cut off."""
        journal.trim_metrics(self.path / "metrics.jsonl", stage, step)

    def _check_format(self, version: object) -> None:
        try:
            number = int(version)  # type: ignore[call-overload]
        except (TypeError, ValueError, OverflowError):
            raise RunError(f"{self.path} does not say its format version; {AGAIN}.") from None
        if number > FORMAT:
            raise RunError(
                f"{self.path} was written by a newer lerf (format {number}, this one reads {FORMAT}); upgrade lerf."
            )
