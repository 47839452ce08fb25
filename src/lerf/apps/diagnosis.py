"""`lerf doctor`: what is installed and what works, gathered so that no probe can keep the others from their answers."""

from __future__ import annotations

import getpass
import json
import os
import platform
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from rich.console import Console

from lerf.apps.doctor import Doctor
from lerf.apps.probes import MODULES, PROBES
from lerf.apps.sizes import size_text
from lerf.apps.tables import Cell, Listing, show
from lerf.files import is_folder, resolved, size_of
from lerf.text import message_line

PACKAGES = (
    "torch", "numba", "numpy", "scipy", "pillow", "safetensors", "msgspec", "matplotlib", "rich", "tyro", "jaxtyping",
    "psutil", "transformers", "huggingface_hub", "open_clip_torch", "viser", "av", "pycolmap",
    "scikit-image", "mitsuba", "ray",
)  # fmt: skip
"""Distributions whose versions tell."""
TRY = "import sys; from lerf.apps.probes import tell_all; tell_all(*sys.argv[1:])"
"""What a process that tries things runs; their names follow."""
WALK_SECONDS = 0.5
"""How long the size of the cache may take."""
LATE = "no answer in time; --seconds gives more"


def doctor(command: Doctor, console: Console) -> dict[str, Any]:
    """A table, and the same as JSON."""
    facts = gathered(command.offline, command.seconds)
    if command.public:
        facts = without_names(facts, personal_names())
    if not command.json:
        table = Listing(("what", "found"), has_titles=False)
        for name, value in rows(facts):
            table.add(name, value)
        show(console, table)
    return facts


def gathered(offline: bool, seconds: float) -> dict[str, Any]:
    """All facts; a probe that fails gives what it failed with."""
    until = time.monotonic() + seconds
    trials = [_Trial([name for name in PROBES if name != "hub"]), *([] if offline else [_Trial(["hub"])])]
    facts: dict[str, Any] = {
        "lerf": _tried(lambda: metadata.version("lerf")),
        "place": str(Path(__file__).parents[1]),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "interpreter": sys.executable,
        "system": _tried(lambda: f"{platform.system()} {platform.release()} {platform.machine()}"),
        "packages": {name: _version(name) for name in PACKAGES},
        "processors": os.cpu_count(),
        "memory": _tried(_memory),
        "cache": _tried(_cache),
        "environment": {name: os.environ[name] for name in sorted(os.environ) if _tells(name)},
    }
    answers: dict[str, Any] = {"hub": "not asked"}
    for trial in trials:
        answers |= trial.wait(until)
    facts |= {name: answers[name] for name in ("devices", "threads", "encoders", "hub")}
    return facts | {"extras": {name: answers[f"extra {name}"] for name in MODULES}}


def rows(facts: dict[str, Any]) -> list[tuple[str, Cell]]:
    """What the table shows: a fact a row, and one for each of those that have parts."""
    shown: list[tuple[str, Cell]] = []
    for name, value in facts.items():
        if name == "packages" and isinstance(value, dict):
            found = [f"{package} {version}" for package, version in value.items() if version is not None]
            shown.append((name, tuple(f"{one}," for one in found[:-1]) + tuple(found[-1:])))
        elif isinstance(value, dict):
            for part, said in value.items():
                # Names of variables stay as they are.
                title = part if part.isupper() else part.removesuffix("_bytes").replace("_", " ")
                shown.append((f"{name.removesuffix('s')} {title}", _words(said)))
        else:
            shown.append((name, _words(value)))
    return shown


def _words(value: Any) -> Cell:
    if isinstance(value, list):
        return tuple(map(str, value))
    return size_text(value) if isinstance(value, int) and value >= 10_000 else str(value)


def without_names(facts: Any, names: Sequence[tuple[str, str]]) -> Any:
    """Facts with every name in their texts replaced, as a whole word and in either case of letters.

    Args:
        facts: plain JSON values.
        names: what is replaced, and by what, the longest first.
    """
    if isinstance(facts, dict):
        return {name: without_names(value, names) for name, value in facts.items()}
    if isinstance(facts, list):
        return [without_names(value, names) for value in facts]
    if isinstance(facts, str):
        for name, other in names:
            # What stands for a name has no backslash, which `re.sub` would read.
            facts = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", other, facts, flags=re.IGNORECASE)
    return facts


def personal_names() -> list[tuple[str, str]]:
    """Home folder, and names of the user and of the machine, with what stands for each."""
    home = Path(os.path.expanduser("~"))
    homes = {str(home), str(resolved(home))}
    found = [(home, "~") for home in homes if home.strip(os.sep)]
    found += [(str(_tried(getpass.getuser)), "USER"), (Path(os.path.expanduser("~")).name, "USER")]
    machine = str(_tried(socket.gethostname))
    found += [(name, "HOST") for name in {machine, machine.partition(".")[0]}]
    return sorted(((name, other) for name, other in found if len(name) > 1), key=lambda pair: -len(pair[0]))


class _Trial:
    """Probes in a process of their own, which is started again after one that ended it."""

    def __init__(self, names: Sequence[str]) -> None:
        self.answers: dict[str, Any] = {}
        self._left = list(names)
        self._start()

    def wait(self, until: float) -> dict[str, Any]:
        """By name, the answers that have come when the clock (`time.monotonic`) says `until`; a reason for the rest."""
        while self._left:
            try:
                code = self._process.wait(max(0.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
                self._read()
                return self.answers | dict.fromkeys(self._left, LATE)
            self._read()
            if self._left:
                self.answers[self._left.pop(0)] = f"ended the process that tried it (code {code})"
            if self._left:
                self._start()
        return self.answers

    def _start(self) -> None:
        # A pipe that is full would hold the process up.
        self._said = tempfile.TemporaryFile()  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", TRY, *self._left], stdin=subprocess.DEVNULL, stdout=self._said,
            stderr=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": _search_path()},
        )  # fmt: skip

    def _read(self) -> None:
        """Take the answers over; a line that is none is what a package had to say."""
        self._said.seek(0)
        for line in self._said.read().decode(errors="replace").splitlines():
            try:
                name, value = json.loads(line)
            except (ValueError, TypeError):
                continue
            if name in self._left:
                self._left.remove(name)
                self.answers[name] = message_line(value) if isinstance(value, str) else value
        self._said.close()


def _search_path() -> str:
    """Where this lerf is, before whatever else is searched."""
    return os.pathsep.join([str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])])


def _tried(probe: Callable[[], Any]) -> Any:
    try:
        return probe()
    except Exception as problem:
        # No probe keeps the others from their answers.
        return message_line(f"{type(problem).__name__}: {problem}")


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
    except Exception as problem:
        return message_line(f"{type(problem).__name__}: {problem}")


def _memory() -> dict[str, int]:
    import psutil

    memory = psutil.virtual_memory()
    return {"total_bytes": int(memory.total), "free_bytes": int(memory.available)}


def _cache() -> dict[str, Any]:
    from lerf.files import require_writable
    from lerf.pyramids.manifest import cache_root

    folder, until = cache_root(), time.monotonic() + WALK_SECONDS
    size, complete = 0, True
    for place, _, names in os.walk(folder):
        size += sum(size_of(Path(place, name)) for name in names)
        if time.monotonic() > until:
            complete = False
            break
    standing = next(path for path in (folder, *folder.absolute().parents) if is_folder(path))
    return {
        "folder": str(folder),
        "size_bytes": size,
        "counted": "whole" if complete else "in part",
        "disk_free_bytes": shutil.disk_usage(standing).free,
        "writable": _tried(lambda: require_writable(folder)) or "yes",
    }


def _tells(variable: str) -> bool:
    """Whether a variable of the environment changes what lerf does."""
    exact = {"LERF_CACHE", "CUDA_VISIBLE_DEVICES", "PYTHONPATH", "PYTHONWARNINGS"}
    return variable in exact or variable.startswith(("OMP_", "MKL_", "NUMBA_")) or variable == "HF_HUB_OFFLINE"
