"""JSON documents, spoilt where they are understood: entries dropped, doubled, renamed, of other types and values.

A document is kept as lists: an object is an `Entries`, so that a key may stand in it twice.
"""

from __future__ import annotations

import copy
import json
from random import Random
from typing import Any

from fuzzing.mutation.values import NUMBERS, Raw, wrong_value


class Entries(list):  # type: ignore[type-arg]
    """An object: `[key, value]` pairs in order."""


def parsed(text: str | bytes) -> Any:
    """A valid document, its objects as `Entries`."""
    return json.loads(text, object_pairs_hook=lambda pairs: Entries([key, value] for key, value in pairs))


def written(value: Any) -> str:
    """A document as text; the inverse of `parsed` where nothing is `Raw`."""
    if isinstance(value, Raw):
        return str(value)
    if isinstance(value, dict):
        value = Entries([key, entry] for key, entry in value.items())
    if isinstance(value, Entries):
        return "{" + ", ".join(f"{json.dumps(key)}: {written(entry)}" for key, entry in value) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(written, value)) + "]"
    return json.dumps(value)


def spoilt(document: Any, random: Random) -> tuple[Any, str]:
    """A copy of a document with one to three changes, and what they were."""
    holder, said = [copy.deepcopy(document)], []
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        said.append(_change(holder, random))
    return holder[0], "; ".join(said)


def _change(holder: list[Any], random: Random) -> str:
    place, index, where = _somewhere(holder, random)
    entry = place[index]
    keyed = isinstance(place, Entries)
    value = entry[1] if keyed else entry

    def put(new: Any) -> None:
        place[index] = [entry[0], new] if keyed else new

    what = random.choice(("wrong", "wrong", "wrong", "wrong", "drop", "double", "near", "retype", "key", "list"))
    if what == "drop" and place is not holder:
        del place[index]
    elif what == "double" and place is not holder:
        twin = [entry[0], wrong_value(random)] if keyed and random.random() < 0.5 else copy.deepcopy(entry)
        place.insert(random.randint(0, len(place)), twin)
    elif what == "near" and isinstance(value, int | float) and not isinstance(value, bool):
        put(random.choice((-value, value * 1e10, value * 1e-10, value + 1, value - 1, value + 0.5, value * 1000, 0)))
    elif what == "retype":
        put(_retyped(value, random))
    elif what == "key" and keyed:
        entry[0] = random.choice((entry[0].upper(), entry[0] + "s", "", "a" * 5000, "\x1b[31m" + entry[0], "\ud800"))
    elif what == "list" and isinstance(value, list) and value:
        _reshape(value, random)
    else:
        what = "wrong"
        put(wrong_value(random))
    return f"{what} at {where}"


def _somewhere(holder: list[Any], random: Random) -> tuple[list[Any], int, str]:
    """A place in the document. Each level down is a draw: few entries at the top weigh as much as many below."""
    place, index, where = holder, 0, "$"
    while True:
        value = place[index][1] if isinstance(place, Entries) else place[index]
        if not isinstance(value, list) or not value or random.random() < 0.15:
            return place, index, where
        place, index = value, random.randrange(len(value))
        where += f".{value[index][0][:40]}" if isinstance(value, Entries) else f"[{index}]"


def _retyped(value: Any, random: Random) -> Any:
    if isinstance(value, str):
        return random.choice(([value], {"a": value}, 0, True, None, value + "x", value[:-1], value * 50))
    if isinstance(value, bool):
        return random.choice((int(value), str(value).lower(), "no", None, [value]))
    if isinstance(value, int | float):
        return random.choice((str(value), [value], {"a": value}, bool(value), None, float(value), int(value)))
    if isinstance(value, list):
        return random.choice(({"a": copy.deepcopy(value)}, [copy.deepcopy(value)], "list", 7, None, []))
    return wrong_value(random)


def _reshape(value: list[Any], random: Random) -> None:
    """Another length or order of a list; the same of an object's entries."""
    pick = random.randrange(5)
    if pick == 0:
        del value[random.randrange(len(value)) :]
    elif pick == 1:
        value *= random.choice((2, 3, 200))
    elif pick == 2:
        random.shuffle(value)
    elif pick == 3:
        value.reverse()
    elif not isinstance(value, Entries):
        value.append(random.choice(NUMBERS))
