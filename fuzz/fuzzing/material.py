"""The valid inputs that all cases start from, made once for each state of the source and kept in a temporary folder."""

from __future__ import annotations

import fcntl
import hashlib
import multiprocessing
import os
import shutil
import tempfile
from pathlib import Path

from fuzzing.oracle import judged
from fuzzing.suite import Suite, case_of, suite_of
from fuzzing.worker import ENVIRONMENT

REPOSITORY = Path(__file__).resolve().parents[2]
SOURCES = ("src/lerf", "src/lerf_scenes", "tests/support", "tests/scenes", "fuzz/fuzzing")
"""Folders whose Python decides what the inputs are."""
WHOLE = "whole"
"""File that is written last."""


def material_of(name: str, suite: Suite, scratch: Path) -> Path:
    """The folder of a suite's valid inputs, made now if need be."""
    # Of this user alone: what others could write there would be read as trusted.
    store = Path(tempfile.gettempdir()) / f"lerf-fuzz-material-{os.getuid()}"
    store.mkdir(mode=0o700, exist_ok=True)
    if store.stat().st_uid != os.getuid():
        raise SystemExit(f"{store} belongs to somebody else; set TMPDIR.")
    folder = store / f"{name.replace(':', '-')}-{_state()}"
    with open(store / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / WHOLE).is_file():
            for old in store.glob(f"{name.replace(':', '-')}-*"):
                shutil.rmtree(old, ignore_errors=True)
            folder.mkdir()
            _made(name, folder, scratch)
            (folder / WHOLE).touch()
    return folder


def _made(name: str, folder: Path, scratch: Path) -> None:
    """In a process of its own, so that the one that watches the workers stays small."""
    process = multiprocessing.get_context("spawn").Process(target=_make, args=(name, str(folder), str(scratch)))
    process.start()
    process.join()
    if process.exitcode != 0:
        shutil.rmtree(folder)
        raise SystemExit("The valid inputs could not be made; see above.")


def _make(name: str, folder: str, scratch: str) -> None:
    # One thread: the networks are so small that several only wait for each other.
    os.environ.update(ENVIRONMENT, LERF_CACHE=f"{scratch}/cache-of-material", HF_HOME=f"{scratch}/hub-of-material")
    suite = suite_of(name)
    suite.set_up()
    suite.make_material(Path(folder))
    for kind in suite.kinds:
        check_valid(suite, kind, Path(folder), Path(scratch))


def check_valid(suite: Suite, kind: str, material: Path, scratch: Path) -> None:
    """Make sure that a kind's valid input is accepted: from one that is refused, every case would be.

    Raises:
        SystemExit: it is not.
    """
    folder = Path(tempfile.mkdtemp(dir=scratch))
    verdict = judged(suite.kinds[kind], case_of(kind, 0, material, folder), spoil=False)
    if verdict.outcome != "accepted":
        raise SystemExit(f"The valid input of {kind} is not accepted: {verdict.outcome} {verdict.said}")


def _state() -> str:
    """A hash of the source."""
    digest = hashlib.sha256()
    for folder in SOURCES:
        for path in sorted((REPOSITORY / folder).rglob("*.py")):
            digest.update(f"{path.relative_to(REPOSITORY)} {path.stat().st_size}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:16]
