"""Commands to go on with, written so that they work when they are pasted into a shell."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path

from lerf.files import is_file, is_same
from lerf.text import printable


def suggested(*words: object) -> str:
    """`lerf WORD ...` as the user who started this process can call it, each word quoted for the shell."""
    given = [_path_word(word) if isinstance(word, Path) else str(word) for word in words]
    return " ".join(quoted(word) for word in [*program(), *given])


def _path_word(path: Path) -> str:
    """A path that no command takes for an option."""
    return f"{os.curdir}{os.sep}{path}" if str(path).startswith("-") else str(path)


def quoted(word: str) -> str:
    """A word for bash, zsh and their kin; what a terminal cannot show is written as the codes of its bytes."""
    if printable(word) == word:
        return shlex.quote(word)
    return "$'" + "".join(_coded(character) for character in word) + "'"


def _coded(character: str) -> str:
    if character in "\\'":
        return "\\" + character
    if printable(character) == character:
        return character
    return "".join(f"\\x{byte:02x}" for byte in os.fsencode(character))


def program() -> list[str]:
    """The words that start this command line: `lerf` where that is found, else the script or the module."""
    called = Path(sys.argv[0])
    if called.name == "__main__.py" and called.parent.name == "lerf":
        return [_python(), "-m", "lerf"]
    script = called if called.stem == "lerf" and is_file(called) else Path(sys.executable).with_name("lerf")
    if not is_file(script):
        return [_python(), "-m", "lerf"]
    found = shutil.which("lerf")
    if found is not None and is_same(Path(found), script):
        return ["lerf"]
    return [_near(script)]


def _python() -> str:
    """The interpreter: by its name where the shell finds this one by it. The same file may belong to environments."""
    for name in ("python", "python3"):
        found = shutil.which(name)
        if found is not None and os.path.abspath(found) == os.path.abspath(sys.executable):
            return name
    return _near(Path(sys.executable))


def _near(path: Path) -> str:
    """A path from where the user is, if it lies below."""
    whole = os.path.abspath(path)
    beside = os.path.relpath(whole)
    if beside.startswith(os.pardir):
        return whole
    # Without a separator the shell would look for it on PATH.
    return beside if os.sep in beside else os.path.join(os.curdir, beside)
