"""How most kinds spoil their input: one file of it, by what it holds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from fuzzing.mutation.data import spoilt_bytes, spoilt_lines
from fuzzing.mutation.documents import parsed, spoilt, written
from fuzzing.mutation.places import replaced, spoilt_place, spoilt_tree
from fuzzing.oracle import Case

Spoil = Callable[[Path, Case], str]
"""Changes a file; returns what was done."""


def document(path: Path, case: Case) -> str:
    """A JSON file: mostly entries of it, sometimes its bytes."""
    if case.random.random() < 0.15:
        return data(path, case)
    value, said = spoilt(parsed(path.read_bytes()), case.random)
    replaced(path, written(value).encode("utf-8", "surrogatepass"))
    return said


def lines(path: Path, case: Case) -> str:
    """A text file of lines and words."""
    text, said = spoilt_lines(path.read_text(), case.random)
    replaced(path, text)
    return said


def data(path: Path, case: Case) -> str:
    """Any file."""
    content, said = spoilt_bytes(path.read_bytes(), case.random)
    replaced(path, content)
    return said


def tensors(path: Path, case: Case) -> str:
    """A file of safetensors."""
    from fuzzing.mutation.tensors import spoilt_safetensors

    content, said = spoilt_safetensors(path.read_bytes(), case.random)
    replaced(path, content)
    return said


def one_of(files: Sequence[str], how: Spoil) -> Callable[[Case], str]:
    """Spoil one of some files; now and then put something else in its place, and rarely in that of a whole folder."""

    def spoil(case: Case) -> str:
        pick = case.random.random()
        if pick < 0.02:
            return spoilt_tree(case.input, case.random)
        name = case.random.choice(files)
        if pick < 0.1:
            return f"{name}: {spoilt_place(case.input / name, case.random)}"
        return f"{name}: {how(case.input / name, case)}"

    return spoil
