"""Runs that differ from one that was trained, without a training."""

from __future__ import annotations

import shutil
from pathlib import Path

from lerf.errors import RunError
from lerf.tensor_files import TensorFile, write_tensors


def changed_run(source: Path, folder: Path, by: int) -> Path:
    """A copy of a lifted run whose cells know what others of them knew, and some of them nothing of the phrases."""
    run = Path(shutil.copytree(source, folder))
    path = run / "language.safetensors"
    file = TensorFile(path, error=RunError, remedy="")
    tensors = file.tensors()
    for name in ("codes", "norms"):
        tensors[name] = tensors[name].roll(by, dims=1)
        tensors[name][:, : by // 2] = tensors[name][:, by // 2 : by // 2 + 1]
    write_tensors(path, tensors, file.facts, 1)
    return run


def same_run(one: Path, other: Path) -> bool:
    """Whether two runs have learnt the same, to the last digit."""
    for name in ("radiance.safetensors", "language.safetensors", "surface.safetensors"):
        ours, theirs = (
            TensorFile(run / name, error=RunError, remedy="").tensors(may_be_nan="depth.") for run in (one, other)
        )
        if ours.keys() != theirs.keys():
            return False
        if not all(bool(((ours[key] == theirs[key]) | (ours[key] != ours[key])).all()) for key in theirs):
            return False
    return True
