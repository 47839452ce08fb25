"""Kinds of inputs whose readers have known faults, for the tests of the fuzzing."""

from __future__ import annotations

import json
import time
import warnings
from pathlib import Path

from fuzzing.kinds.spoiling import document
from fuzzing.mutation.places import Skip
from fuzzing.oracle import Case, Kind, check_finite
from fuzzing.suite import Suite
from lerf.errors import LerfError, LerfWarning, SceneError

FILE = "document.json"


def spoil(case: Case) -> str:
    return document(case.input / FILE, case)


def keep(case: Case) -> str:
    return "nothing"


def read(case: Case) -> None:
    """Refuses what is not JSON, and stumbles over what is not a number above zero: the planted fault."""
    try:
        value = json.loads((case.input / FILE).read_bytes())
    except (ValueError, RecursionError):
        raise SceneError("The document is not valid JSON; write it again.") from None
    if not isinstance(value, dict) or "number" not in value:
        raise SceneError("The document has no number; write one.")
    check_finite(1 / value["number"])


def refuse(case: Case) -> None:
    raise SceneError("The document is refused; write another.")


def sleep(case: Case) -> None:
    time.sleep(600)


def swallow(case: Case) -> None:
    bytearray(64 * 2**30)


def end(case: Case) -> None:
    import os

    os._exit(7)


def write(case: Case) -> None:
    (case.input / FILE).write_text("{}")


def infinite(case: Case) -> None:
    check_finite({"positions": [0.0, float("inf")]})


def shout(case: Case) -> None:
    error = LerfError("short")
    error.args = ("\x1b[31m" + "long " * 100,)
    raise error


def warn(case: Case) -> None:
    warnings.warn("overflow encountered in multiply", RuntimeWarning, stacklevel=2)


def tell(case: Case) -> None:
    warnings.warn("The masks are not used.", LerfWarning, stacklevel=2)


def skip(case: Case) -> str:
    raise Skip("there is no such thing here")


def make(folder: Path) -> None:
    (folder / "valid").mkdir()
    (folder / "valid" / FILE).write_text('{"number": 3, "more": [1, 2, {"deep": "text"}]}')


READERS = {
    "hang": sleep, "memory": swallow, "died": end, "changed": write, "not finite": infinite, "message": shout,
    "warning": warn, "accepted": tell, "refused": refuse,
}  # fmt: skip
"""By what must come of a case."""
SUITE = Suite(
    {
        "reader": Kind("valid", spoil, read),
        "skipped": Kind("valid", skip, read),
        **{name: Kind("valid", keep, attempt) for name, attempt in READERS.items()},
    },
    make,
    lambda: None,
    lambda folder: None,
)
