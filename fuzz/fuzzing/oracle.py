"""What may come of a case: an answer whose numbers are finite, or one printable sentence. Anything else is a fault."""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import shutil
import traceback
import unicodedata
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from fuzzing.mutation.places import Skip

SMALL = 65536
"""Bytes up to which files are copied: what is larger is linked, and no reader appends to it."""
SPOILT = "spoilt.txt"
"""File in a case's folder: what was done to the input."""
LONGEST = 300
"""Characters of a message."""
DIRECTIONS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
SILENT = (DeprecationWarning, PendingDeprecationWarning, ResourceWarning, ImportWarning)
"""Warnings that Python does not show."""
OUT_OF_MEMORY = ("can't allocate memory", "not enough memory", "Cannot allocate memory", "out of memory")


@dataclass(frozen=True)
class Case:
    """One input to be spoilt and read."""

    kind: str
    """Name of its kind."""
    material: Path
    """Valid inputs, shared by all cases: not to be written to."""
    folder: Path
    """Of this case alone; empty at first."""
    random: Random
    """All that is drawn comes from here."""

    @property
    def input(self) -> Path:
        """Where the spoilt input goes; reading must not change it."""
        return self.folder / "input"


@dataclass(frozen=True)
class Kind:
    """A kind of input."""

    valid: str
    """Folder of the material that a case starts from a copy of."""
    spoil: Callable[[Case], str]
    """Changes the copy; returns what was done to it."""
    attempt: Callable[[Case], None]
    """Reads it as users do; a `LerfError` is a refusal, a return means that the answer passed the checks."""
    may_write: tuple[str, ...] = ()
    """Patterns of the input's files that the reading may write."""
    weight: int = 1
    """Cases of it in one round."""


@dataclass(frozen=True)
class Verdict:
    """What came of a case."""

    outcome: str
    """"refused", "accepted", "skipped", or "fault"."""
    said: str = ""
    """The refusal, or why it was skipped, or the fault's message."""
    fault: str = ""
    """"traceback", "not finite", "memory", "message", "warning", "changed"; "hang" and "died" come from outside."""
    place: str = ""
    """File and function where it happened."""
    spoilt: str = ""
    """What was done to the input."""
    trace: list[str] = field(default_factory=list)


class Fault(Exception):  # noqa: N818  (of what is tried, not of this program)
    """A case that went wrong without an exception of its own."""

    def __init__(self, kind: str, said: str) -> None:
        super().__init__(said)
        self.kind = kind


class Refused(Exception):  # noqa: N818  (no error)
    """A command ended with code 2 and an acceptable sentence."""


def judged(kind: Kind, case: Case, spoil: bool = True) -> Verdict:
    """Make a case's input and read it; without `spoil` the valid one, which must be accepted."""
    from lerf.errors import LerfError

    copied(case.material / kind.valid, case.input)
    try:
        spoilt = kind.spoil(case) if spoil else "nothing"
    except Skip as reason:
        return Verdict("skipped", str(reason))
    # For who finds that this process has died, or kills it.
    (case.folder / SPOILT).write_text(ascii(spoilt))
    before = _states(case.input)
    shown: list[warnings.WarningMessage] = []
    try:
        with _watched(shown):
            kind.attempt(case)
        verdict = Verdict("accepted", spoilt=spoilt)
    except LerfError as error:
        verdict = _of_sentence(error, spoilt)
    except Refused as error:
        verdict = Verdict("refused", str(error), spoilt=spoilt)
    except Fault as error:
        verdict = _fault(error.kind, error, spoilt)
    except SystemExit as error:
        verdict = _fault("message", error, spoilt)
    except Exception as error:
        verdict = _fault(_kind_of(error), error, spoilt)
    if verdict.outcome != "fault":
        verdict = _of_warnings(shown, verdict)
    if verdict.outcome != "fault" and (changed := _changed(before, _states(case.input), kind.may_write)):
        return Verdict("fault", f"{changed} was written to", "changed", changed, spoilt)
    return verdict


def copied(source: Path, target: Path) -> None:
    """A copy of a folder of the material that costs little."""
    shutil.copytree(source, target, copy_function=_copy)


def _copy(source: str, target: str) -> None:
    if os.path.getsize(source) <= SMALL:
        shutil.copyfile(source, target)
    else:
        os.link(source, target)


@contextlib.contextmanager
def _watched(shown: list[warnings.WarningMessage]) -> Iterator[None]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for silent in SILENT:
            warnings.simplefilter("ignore", silent)
        try:
            yield
        finally:
            shown.extend(caught or ())


def _kind_of(error: Exception) -> str:
    text = str(error)
    if isinstance(error, MemoryError) or any(words in text for words in OUT_OF_MEMORY):
        return "memory"
    return "not finite" if "not JSON compliant" in text else "traceback"


def _fault(kind: str, error: BaseException, spoilt: str) -> Verdict:
    said = f"{type(error).__name__}: {error}" if not isinstance(error, Fault) else str(error)
    lines = traceback.format_exception(error, limit=-6)
    return Verdict("fault", said[:500], kind, place_of(error), spoilt, [line[:1000] for line in lines])


def place_of(error: BaseException) -> str:
    """The innermost function of the package that an exception came through, as file:function."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _own(frame.filename)]
    chosen = frames or traceback.extract_tb(error.__traceback__)
    return f"{_own(chosen[-1].filename) or Path(chosen[-1].filename).name}:{chosen[-1].name}" if chosen else "?"


def _own(file: str) -> str:
    """A file of the packages under test as it is called there; empty for any other."""
    for package in ("lerf", "lerf_scenes"):
        if f"{os.sep}{package}{os.sep}" in file and "fuzzing" not in file:
            return package + os.sep + file.rsplit(f"{os.sep}{package}{os.sep}", 1)[1]
    return ""


def _of_sentence(error: Exception, spoilt: str) -> Verdict:
    if problem := problem_of(str(error)):
        fault = _fault("message", error, spoilt)
        return Verdict("fault", f"{problem}: {fault.said}", "message", fault.place, spoilt, fault.trace)
    return Verdict("refused", str(error), spoilt=spoilt)


def _of_warnings(shown: list[warnings.WarningMessage], verdict: Verdict) -> Verdict:
    """Warnings of lerf must be sentences; those of others are noise that a user cannot act on."""
    from lerf.errors import LerfWarning

    for one in shown:
        said = str(one.message)
        problem = problem_of(said) if issubclass(one.category, LerfWarning) else "a warning that is not lerf's"
        if problem:
            file = _own(one.filename) or Path(one.filename).name
            return Verdict(
                "fault", f"{problem}: {one.category.__name__}: {said}"[:500], "warning", f"{file}:{one.lineno}",
                verdict.spoilt,
            )  # fmt: skip
    return verdict


def problem_of(message: str) -> str:
    """What keeps a message from being one line that a terminal can show; empty when nothing does."""
    if not message.strip():
        return "an empty message"
    if len(message) > LONGEST:
        return f"a message of {len(message)} characters"
    odd = [character for character in message if not _printable(character)]
    return f"the character {odd[0]!r} in a message" if odd else ""


def _printable(character: str) -> bool:
    return unicodedata.category(character) not in ("Cc", "Cs", "Zl", "Zp") and character not in DIRECTIONS


def command(*arguments: Any, json_too: bool = True) -> Any:
    """Run `lerf` in this process; returns what --json prints.

    Raises:
        Refused: code 2 with an acceptable sentence.
        Fault: whatever else is not a good answer.
    """
    from lerf.apps.main import main

    given = [*map(str, arguments), *(["--json"] if json_too else [])]
    out, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
        code = main(given)
    for line in [*out.getvalue().split("\n"), *errors.getvalue().split("\n")]:
        message = line.removeprefix("Error: ").removeprefix("Warning: ")
        if (len(message) < len(line) and (problem := problem_of(message))) or (problem := _odd(line)):
            raise Fault("message", f"{problem}: {line[:400]!r}")
    lines = errors.getvalue().rstrip("\n").split("\n")
    if code == 2 and lines[-1].startswith("Error: "):
        raise Refused(lines[-1])
    if code not in (0, 1):
        raise Fault("message", f"code {code}: {errors.getvalue()[-400:]!r}")
    if not json_too:
        return None
    answer = json.loads(out.getvalue(), parse_constant=lambda name: float(name.replace("Infinity", "inf")))
    # Done, but not enough of it: a weak capture's verdict says so.
    if (code == 1) != (isinstance(answer, dict) and answer.get("ok") is False):
        raise Fault("message", f"code {code} with another answer: {out.getvalue()[-400:]!r}")
    check_finite(answer)
    return answer


def _odd(line: str) -> str:
    odd = [character for character in line if not _printable(character)]
    return f"the character {odd[0]!r} on the terminal" if odd else ""


def check_finite(value: Any, where: str = "answer") -> None:
    """Refuse plain values, arrays and tensors with a number that is not finite.

    Raises:
        Fault: there is one.
    """
    if isinstance(value, dict):
        for key, entry in value.items():
            check_finite(entry, f"{where}.{key}"[:80])
    elif isinstance(value, list | tuple):
        for number, entry in enumerate(value):
            check_finite(entry, f"{where}[{number}]"[:80])
    elif isinstance(value, float) and not math.isfinite(value):
        raise Fault("not finite", f"{where} is {value}")
    elif hasattr(value, "dtype") and hasattr(value, "shape"):
        import numpy as np
        import torch

        array = value.detach().cpu().float().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)
        if array.dtype.kind in "fc" and not np.isfinite(array).all():
            raise Fault("not finite", f"{where} is not finite")


def _states(folder: Path) -> dict[str, tuple[int, ...]]:
    """What tells whether a file was written to, by its path."""
    found = {}
    for root, folders, files in os.walk(folder):
        for name in [*files, *folders]:
            path = os.path.join(root, name)
            status = os.lstat(path)
            state = (status.st_ino, status.st_size, status.st_mtime_ns) if name in files else (status.st_ino,)
            found[os.path.relpath(path, folder)] = state
    return found


def _changed(before: dict[str, Any], after: dict[str, Any], may_write: tuple[str, ...]) -> str:
    """An input file that is not what it was, or one that was not there; empty when there is none."""
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name) and not any(Path(name).match(pattern) for pattern in may_write):
            return name
    return ""
