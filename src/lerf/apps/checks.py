"""Options of a command held against their bounds, against each other and against the disk, before any work."""

from __future__ import annotations

import dataclasses
import os
import typing
from pathlib import Path
from typing import Any

from tyro.conf import Positional

from lerf.documents import read_document
from lerf.errors import ConfigError
from lerf.files import LONGEST_NAME, is_file, is_folder, require_writable, resolved
from lerf.run.checks import check_value, fits, hints_of, option


def check_bounds(command: Any) -> None:
    """Check every option that was given against the type and the bounds that its field's annotation says.

    Raises:
        ConfigError: one is out of its bounds.
    """
    for name, hint in hints_of(type(command)).items():
        value = getattr(command, name)
        if not is_given(command, name) or value == ():
            continue
        if isinstance(value, tuple) and not fits(value, hint):
            _refuse_blank(value, "" if Positional in typing.get_args(hint) else f" of {option(name)}")
        check_value(name, value, hint)


def _refuse_blank(texts: tuple[Any, ...], where: str) -> None:
    for number, text in enumerate(texts, start=1):
        if isinstance(text, str) and not text.strip():
            raise ConfigError(f'Phrase {number}{where} is empty; give words to look for, for example "fox".')


def is_given(command: Any, *names: str) -> bool:
    """Whether one of these options has another value than where it is left out."""
    fields = {field.name: field for field in dataclasses.fields(command)}
    return any(getattr(command, name) != fields[name].default for name in names)


def check_ray(ray: tuple[str, ...] | None) -> None:
    """Refuse several addresses of Ray clusters.

    Raises:
        ConfigError: there are.
    """
    if ray is not None and len(ray) > 1:
        raise ConfigError(f"--ray takes one address, not {len(ray)}.")


def only_with(command: Any, names: tuple[str, ...], has_effect: bool, why: str) -> None:
    """Refuse options that would have no effect.

    Args:
        command: the options.
        names: fields of those that are looked at.
        has_effect: whether they do something beside the other options.
        why: what they are for and what to give with them: "for a mesh; give --what mesh with it".

    Raises:
        ConfigError: one is given and has no effect.
    """
    for name in names:
        if not has_effect and is_given(command, name):
            raise ConfigError(f"{option(name)} is {why}, or leave it out.")


def check_folder(folder: Path, name: str) -> None:
    """Make sure that a folder can be written; `name` is the option's field, in capitals where it is a positional one.

    Raises:
        ConfigError: something else is in its place.
        StorageError: it cannot be written.
    """
    if os.path.exists(folder) and not is_folder(folder):
        raise ConfigError(f"{folder} is not a folder; choose another {_shown(name)}.")
    require_writable(folder, f"choose another {_shown(name)}")


def check_file(file: Path, name: str) -> None:
    """Make sure that a file can be written; `name` as in `check_folder`.

    Raises:
        ConfigError: something else is in its place, or its name cannot be one.
        StorageError: its folder cannot be written.
    """
    shown = _shown(name)
    if os.path.exists(file) and not is_file(file):
        raise ConfigError(f"{file} is a folder or a device; give the name of a file as {shown}.")
    # It is first written beside itself, under a name that has some letters more.
    if "\0" in file.name or len(os.fsencode(file.name)) > LONGEST_NAME - 10:
        raise ConfigError(f"The name {file.name!r} is too long or has a NUL in it; choose another {shown}.")
    require_writable(file.parent, f"choose another {shown}")


def check_cache() -> None:
    """Make sure that features of photos can be kept.

    Raises:
        StorageError: the cache cannot be written.
    """
    from lerf.pyramids.manifest import FOLDER, cache_root

    require_writable(cache_root() / FOLDER, "set LERF_CACHE to another folder")


def check_apart(folder: Path, read: Path, name: str) -> None:
    """Make sure that what is written does not go among what is read; `name` as in `check_folder`.

    Raises:
        ConfigError: both are the same folder.
    """
    if resolved(folder) == resolved(read):
        raise ConfigError(f"{folder} is what is read; give another folder as {_shown(name)}.")


def check_replaced(file: Path, entry: str, name: str) -> None:
    """Make sure that a JSON file that is to be written replaces none but its own kind; `name` as in `check_folder`.

    Args:
        file: to be written.
        entry: one that every file of its kind has.
        name: of the option that decides its name.

    Raises:
        ConfigError: another file is there.
    """
    remedy = f"it is not to be replaced, so choose another {_shown(name)}"
    if os.path.exists(file):
        content = read_document(file, dict, error=ConfigError, remedy=remedy)
        if entry not in content:
            raise ConfigError(f"{file} is there and of another kind: {remedy}.")


def _shown(name: str) -> str:
    return name if name.isupper() else option(name)
