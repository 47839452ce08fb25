"""Reading JSON by type and with bounds: what is not as it should be is one sentence of the caller's error."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lerf.documents import converted, parse_document, read_document
from lerf.errors import RunError, SceneError
from lerf.files import is_file, is_folder, resolved


@dataclass
class Size:
    width: Annotated[int, msgspec.Meta(ge=1, le=100)]
    scale: float = 1.0


def read(path: Path, kind: Any = Size, **options: Any) -> Any:
    return read_document(path, kind, error=RunError, remedy="write it again", **options)


def test_a_document_with_and_without_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "size.json"
    for mark in (b"", b"\xef\xbb\xbf"):
        path.write_bytes(mark + b'{"width": 3, "scale": 2}')
        assert read(path) == Size(3, 2.0)


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", "null", '{"width": 0}', '{"width": 1e9}', '{"width": "3"}', '{"width": true}', "{}",
        '{"width": 3, "scale": NaN}', '{"width": 3, "scale": Infinity}', '{"width": 3, "scale": 1e999}', "[" * 100_000,
        '{"width": 3, "scale": "\\ud800"}',
    ],
)  # fmt: skip
def test_other_content_is_refused_in_a_sentence(tmp_path: Path, text: str) -> None:
    path = tmp_path / "size.json"
    path.write_text(text)
    with pytest.raises(RunError, match=r"size\.json .*: write it again\.$"):
        read(path)


def test_the_entry_is_named() -> None:
    with pytest.raises(
        SceneError, match=r"x has another content than it should \(expected 'int', got 'str' at '\.a'\)"
    ):
        parse_document(b'{"a": "b"}', _Entry, "x", error=SceneError, remedy="mend it")
    with pytest.raises(SceneError, match="expected 'int'"):
        converted({"a": "b"}, _Entry, "x", error=SceneError, remedy="mend it")


@dataclass
class _Entry:
    a: int


def test_size_is_looked_at_before_memory_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "size.json"
    with open(path, "wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(RunError, match=r"has 1099511627776 bytes where 1000 are the most"):
        read(path, largest=1000)


def test_what_is_no_regular_file_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "loop.json").symlink_to(tmp_path / "loop.json")
    for path in (tmp_path / "pipe.json", tmp_path, tmp_path / "loop.json", tmp_path / "none.json",
                 tmp_path / ("n" * 300), tmp_path / "a\0b"):  # fmt: skip
        with pytest.raises(RunError, match="write it again"):
            read(path)
        assert not is_file(path)
        assert is_folder(path) == (path == tmp_path)
        assert resolved(path).is_absolute()


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
                    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))  # fmt: skip
def test_any_json_is_read_or_refused(value: Any) -> None:
    try:
        found = parse_document(json.dumps(value), Size, "x", error=RunError, remedy="write it again")
    except RunError:
        return
    assert found.width in range(1, 101)
