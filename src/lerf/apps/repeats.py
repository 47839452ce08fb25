"""Options that are given more than once: lists add up, and what takes one value is given once.

tyro lets the last of several stand. `--protocol A B` and `--protocol A --protocol B` are to mean the same, so the
second is made into the first before tyro reads it: the values of all go to the place of the last, in their order.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterator, Sequence
from types import NoneType
from typing import Any

from tyro.conf import Positional

from lerf.errors import ConfigError
from lerf.run.checks import hints_of, option

END = "--"
"""After it nothing is an option."""
HELP = ("-h", "--help")
Piece = tuple[str, list[str]]
"""The name of an option, and the words from it up to the next; without a name what is before all options."""


def added_up(arguments: Sequence[str], kind: type) -> list[str]:
    """The arguments of a command with each list named once.

    Args:
        arguments: those after the command's name.
        kind: the command's class.

    Raises:
        ConfigError: an option of one value is given two that differ, or a list two values that begin with a dash.
    """
    known = dict(_options(kind, ""))
    pieces = list(_pieces(arguments))
    last = {name: place for place, (name, _) in enumerate(pieces)}
    given: dict[str, list[str]] = {}
    merged: list[str] = []
    for place, (name, words) in enumerate(pieces):
        if name not in known:
            merged += words
        elif is_list(known[name]):
            given.setdefault(name, []).extend(_values(words))
            merged += _joined(name, given[name]) if place == last[name] else []
        else:
            values = _values(words)[: _count(known[name])]
            before = given.setdefault(name, values)
            if values != before:
                raise ConfigError(f"{name} is given as {' '.join(before)} and as {' '.join(values)}; give it once.")
            merged += words
    for name in given:
        if "--no-" + name[2:] in last:
            raise ConfigError(f"{name} and --no-{name[2:]} contradict each other; give one of them.")
    return merged


def is_list(hint: Any) -> bool:
    """Whether an option of this type takes any number of values."""
    return typing.get_origin(hint) is tuple and Ellipsis in typing.get_args(hint)


def _options(kind: type, prefix: str) -> Iterator[tuple[str, Any]]:
    """Options of a command, those of its parts too, with the types of their values."""
    for name, hint in hints_of(kind).items():
        if dataclasses.is_dataclass(hint):
            yield from _options(typing.cast(type, hint), f"{prefix}{name}.")
        elif Positional not in typing.get_args(hint):
            yield option(prefix + name), _plain(hint)


def _plain(hint: Any) -> Any:
    """A type without its annotations, and without None."""
    parts = typing.get_args(hint)
    if typing.get_origin(hint) is typing.Annotated:
        return _plain(parts[0])
    if NoneType in parts:
        return _plain(next(part for part in parts if part is not NoneType))
    return hint


def _count(hint: Any) -> int:
    """Values that an option takes which takes a fixed number of them."""
    if hint is bool:
        return 0
    return len(typing.get_args(hint)) if typing.get_origin(hint) is tuple else 1


def _pieces(arguments: Sequence[str]) -> Iterator[Piece]:
    name, words = "", list[str]()
    for place, word in enumerate(arguments):
        if word == END:
            yield name, words
            yield "", list(arguments[place:])
            return
        if word.startswith("--") or word in HELP:
            yield name, words
            # tyro takes either sign between words.
            name, words = word.partition("=")[0].replace("_", "-"), []
        words.append(word)
    yield name, words


def _values(words: Sequence[str]) -> list[str]:
    """What follows the name of an option, or is tied to it."""
    _, tied, value = words[0].partition("=")
    return [value, *words[1:]] if tied else list(words[1:])


def _joined(name: str, values: Sequence[str]) -> list[str]:
    """One option with all these values; one that begins like an option must be tied to its name."""
    dashed = [value for value in values if value[:1] == "-" and value.lstrip("-")[:1].isalpha()]
    if not dashed:
        return [name, *values]
    if len(dashed) > 1 or values[0] != dashed[0]:
        raise ConfigError(f"Of the values of {name} the first alone may begin with a dash, not also '{dashed[-1]}'.")
    return [f"{name}={values[0]}", *values[1:]]
