"""JSON from files: read with a limit on size and by type, so that no entry is used before it is known to be one.

A document's type is a dataclass or `msgspec.Struct` whose annotations say what each entry must be, bounds included:
`Annotated[float, msgspec.Meta(gt=0, le=1e6)]`. JSON knows no NaN and no infinity, and a number too large for a float is
refused, so that every number read is finite.
"""

from __future__ import annotations

import re
from pathlib import Path
from types import GenericAlias
from typing import Any, TypeVar

import msgspec

from lerf.errors import LerfError
from lerf.files import read_bytes

Content = TypeVar("Content")

LARGEST = 256_000_000
"""Bytes of a document: 100,000 posed photos take some 80 million."""


def read_document(
    path: Path,
    kind: type[Content] | GenericAlias,
    *,
    error: type[LerfError],
    remedy: str,
    largest: int = LARGEST,
    nan_is_text: bool = False,
) -> Content:
    """The content of a JSON file.

    Args:
        path: the file; UTF-8, with or without a byte order mark.
        kind: type of the content, such as a class or list[float].
        error: raised when there is no such content.
        remedy: what to do then, in the imperative and without a full stop.
        largest: bytes that the file may have.
        nan_is_text: take the NaN and infinity that other programs write, and JSON does not know, as the text "NaN",
            which only entries of a type that allows for it may be.

    Raises:
        LerfError: of the class `error`: the file is missing, not a regular file, too large, not JSON, or of another
            content.
    """
    data = read_bytes(path, error=error, remedy=remedy, largest=largest)
    if nan_is_text:
        data = _NOT_A_NUMBER.sub(rb'\1"NaN"', data)
    return parse_document(data, kind, str(path), error=error, remedy=remedy)


def parse_document(
    data: bytes | str, kind: type[Content] | GenericAlias, where: str, *, error: type[LerfError], remedy: str
) -> Content:
    """JSON as content of a type; `where` says in errors what holds it. See `read_document`.

    Raises:
        LerfError: of the class `error`.
    """
    if isinstance(data, bytes):
        data = data.removeprefix(b"\xef\xbb\xbf")
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.ValidationError as problem:
        raise error(f"{where} has another content than it should ({_said(problem)}): {remedy}.") from None
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as problem:
        said = _number_that_is_none(data) or _said(problem)
        raise error(f"{where} is not valid JSON ({said}): {remedy}.") from None


def converted(value: Any, kind: type[Content], where: str, *, error: type[LerfError], remedy: str) -> Content:
    """Plain JSON values as content of a type.

    Raises:
        LerfError: of the class `error`, when they are not.
    """
    try:
        return msgspec.convert(value, kind)
    except (msgspec.ValidationError, RecursionError) as problem:
        raise error(f"{where} has another content than it should ({_said(problem)}): {remedy}.") from None


_NOT_A_NUMBER = re.compile(rb"([\s:,\[])-?(NaN|Infinity)(?=[\s,\]}])")


def _number_that_is_none(data: bytes | str) -> str | None:
    """Where a document has the NaN or infinity that other programs write and JSON does not know."""
    data = data.encode("utf-8", "replace") if isinstance(data, str) else data
    found = _NOT_A_NUMBER.search(data)
    if found is None:
        return None
    line = data.count(b"\n", 0, found.start(2)) + 1
    return f"{found[2].decode()} in line {line}"


def _said(problem: Exception) -> str:
    said = str(problem).replace("`", "'").replace(" - at '$", " at '")
    return said if said[:2].isupper() else said[:1].lower() + said[1:]
