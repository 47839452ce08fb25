"""Runs of nerfstudio: its `config.yml` and checkpoints, read without nerfstudio and without running anything.

`config.yml`            the settings as YAML, in which Python objects are named; here a name is text and an object is a
                        dictionary with its class as `OBJECT`, and nothing is imported
`nerfstudio_models/`    checkpoints `step-000029999.ckpt`: of these only tensors, numbers and containers of them are
                        unpickled (`weights_only`)
`dataparser_transforms.json`   read by `scenes/camera_path.py`
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lerf.errors import RunError
from lerf.files import is_file, is_folder, read_bytes

if TYPE_CHECKING:
    from torch import Tensor

CONFIG = "config.yml"
TRANSFORMS = "dataparser_transforms.json"
OBJECT, ARGUMENTS = "<class>", "<arguments>"
"""Keys under which an object of the configuration has its class and what it was made from."""
LARGEST_CONFIG = 4_000_000
"""Bytes; nerfstudio writes some twenty thousand."""
PYTHON = "tag:yaml.org,2002:python/"
REMEDY = "give the folder of a nerfstudio run, with config.yml and nerfstudio_models/"
CHECKPOINT_NAME = re.compile(r"step-(\d+)\.ckpt")
MODEL = "_model."
"""What names of a checkpoint's tensors begin with: the model is a part of nerfstudio's pipeline."""


@dataclass(frozen=True)
class NerfstudioRun:
    """A run folder of nerfstudio and its settings."""

    folder: Path
    config: dict[str, Any]
    """Of the trainer."""

    @property
    def model(self) -> dict[str, Any]:
        """Settings of the model."""
        return self._part("model")

    @property
    def datamanager(self) -> dict[str, Any]:
        """Settings of what hands out pixels."""
        return self._part("datamanager")

    @property
    def model_class(self) -> str:
        """The class of the model with its module, such as `nerfstudio.models.nerfacto.NerfactoModel`."""
        return str(self.model.get("_target", ""))

    @property
    def data(self) -> Path | None:
        """The capture as the run names it, relative to where it was trained; None where it names none."""
        parser = self.datamanager.get("dataparser")
        stated = (self.datamanager.get("data"), parser.get("data") if isinstance(parser, dict) else None)
        return next((Path(path) for path in stated if isinstance(path, str)), None)

    def _part(self, name: str) -> dict[str, Any]:
        pipeline = self.config.get("pipeline")
        part = pipeline.get(name) if isinstance(pipeline, dict) else None
        if not isinstance(part, dict):
            raise RunError(f"{self.folder / CONFIG} has no pipeline with a {name}: {REMEDY}.")
        return part


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint knows of the model."""

    path: Path
    step: int
    tensors: dict[str, Tensor]
    """By their names within the model; mapped from the file, so that what is not used is not read."""


def is_nerfstudio_run(path: str | Path) -> bool:
    """Whether a folder, or the folder of a config.yml, is a run of nerfstudio."""
    return is_file(_folder(Path(path)) / CONFIG)


def read_nerfstudio_run(path: Path) -> NerfstudioRun:
    """A run of nerfstudio by its folder or its config.yml.

    Raises:
        RunError: there is none, or its configuration cannot be read.
    """
    folder = _folder(path)
    data = read_bytes(folder / CONFIG, error=RunError, remedy=REMEDY, largest=LARGEST_CONFIG)
    config = _parsed(data, folder / CONFIG)
    if not isinstance(config, dict):
        raise RunError(f"{folder / CONFIG} holds no settings: {REMEDY}.")
    return NerfstudioRun(folder, config)


def read_checkpoint(run: NerfstudioRun) -> Checkpoint:
    """The newest checkpoint of a run.

    Raises:
        RunError: there is none, or it is damaged, or holds more than tensors and numbers.
    """
    folder = run.folder / str(run.config.get("relative_model_dir") or "nerfstudio_models")
    found = [file for file in folder.iterdir() if CHECKPOINT_NAME.fullmatch(file.name)] if is_folder(folder) else []
    if not found:
        raise RunError(f"{folder} has no checkpoint such as step-000029999.ckpt: train the run longer.")
    path = max(found, key=lambda file: int(CHECKPOINT_NAME.fullmatch(file.name)[1]))  # type: ignore[index]
    state = _unpickled(path)
    pipeline = state.get("pipeline") if isinstance(state, dict) else None
    if not isinstance(pipeline, dict) or not isinstance(state.get("step"), int):
        raise RunError(f"{path} is no checkpoint of nerfstudio (it has no pipeline and step): {REMEDY}.")
    import torch

    # Of a training on several devices every name has `module.` in it.
    names = {name: str(name).replace("module.", "").removeprefix(MODEL) for name in pipeline}
    tensors = {names[name]: tensor for name, tensor in pipeline.items() if isinstance(tensor, torch.Tensor)}
    return Checkpoint(path, state["step"], tensors)


def _folder(path: Path) -> Path:
    return path.parent if path.name == CONFIG else path


def _unpickled(path: Path) -> Any:
    """What a checkpoint holds, by torch's unpickler that makes tensors and plain values only, and numpy's numbers."""
    import numpy as np
    import torch

    scalar = np.float64(0).__reduce__()[0]
    # numpy 2 moved the function; files have either name.
    numbers: list[Any] = [(scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")]
    numbers += [np.dtype, type(np.dtype("f8")), type(np.dtype("f4"))]
    # What others have allowed in this process would be forbidden again after the block.
    known = torch.serialization.get_safe_globals()
    try:
        with torch.serialization.safe_globals([each for each in numbers if each not in known]):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # whatever a damaged file makes of torch, zipfile and pickle
        said = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        raise RunError(f"{path} cannot be read ({said[:100]}): copy it anew, or train the run again.") from None


def _parsed(data: bytes, path: Path) -> Any:
    import yaml

    class Loader(yaml.SafeLoader):
        """Takes Python's tags as text and dictionaries."""

    def named(loader: Any, suffix: str, node: Any) -> Any:
        kind, _, name = suffix.partition(":")
        if kind == "tuple":
            return loader.construct_sequence(node, deep=True)
        if kind in ("name", "module"):
            return name
        if isinstance(node, yaml.SequenceNode):
            listed = loader.construct_sequence(node, deep=True)
            return str(Path(*map(str, listed))) if name.startswith("pathlib.") and listed else _thing(name, listed)
        if isinstance(node, yaml.MappingNode):
            return {**loader.construct_mapping(node, deep=True), OBJECT: name}
        return _thing(name, loader.construct_scalar(node))

    Loader.add_multi_constructor(PYTHON, named)
    try:
        return yaml.load(data, Loader)  # a SafeLoader, whatever the name of the function says
    except (yaml.YAMLError, RecursionError, ValueError, TypeError, AttributeError) as error:
        said = " ".join(str(error).split())[:100]
        raise RunError(f"{path} is not valid YAML ({said}): {REMEDY}.") from None


def _thing(name: str, made_from: Any) -> dict[str, Any]:
    return {OBJECT: name, ARGUMENTS: made_from}
