"""Files that are not what they should be: a folder, a named pipe, a loop of links, nothing."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from random import Random


class Skip(Exception):  # noqa: N818  (no error)
    """The case cannot be tried on this machine; says why."""


def replaced(path: Path, data: bytes) -> None:
    """Write a new file in place of one that may be a link to what other cases use."""
    path.unlink(missing_ok=True)
    path.write_bytes(data)


def spoilt_place(path: Path, random: Random) -> str:
    """Put something else where a file is; returns what.

    Raises:
        Skip: the user of this process may read anything, so that taking permission away does nothing.
    """
    what = random.choice(("missing", "empty", "folder", "pipe", "loop", "dangling", "device", "no permission", "large"))
    data = path.read_bytes()
    if what == "no permission":
        if os.geteuid() == 0:
            raise Skip("root may read files without permission")
        replaced(path, data)
        path.chmod(0)
        return what
    path.unlink()
    if what == "empty":
        path.touch()
    elif what == "folder":
        path.mkdir()
        (path / "inside").touch()
    elif what == "pipe":
        os.mkfifo(path)
    elif what == "loop":
        twin = path.with_name(path.name + ".twin")
        path.symlink_to(twin)
        twin.symlink_to(path)
    elif what == "dangling":
        path.symlink_to(path.with_name("nowhere"))
    elif what == "device":
        path.symlink_to(random.choice(("/dev/null", "/dev/zero", "/dev/full")))
    elif what == "large":
        path.touch()
        os.truncate(path, 2**40)
    return what


def spoilt_tree(folder: Path, random: Random) -> str:
    """The same for the folder that holds an input, or for one in it."""
    inside = sorted(path for path in folder.rglob("*") if path.is_dir() and not path.is_symlink())
    chosen = random.choice([folder, *inside])
    what = random.choice(("file", "gone", "loop", "empty"))
    shutil.rmtree(chosen)
    if what == "file":
        chosen.write_text("{}")
    elif what == "loop":
        chosen.symlink_to(chosen)
    elif what == "empty":
        chosen.mkdir()
    return f"folder {chosen.name}: {what}"
