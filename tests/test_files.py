"""Paths of every kind are looked at without an error, and say what they are."""

import os

import pytest

from lerf.errors import SceneError
from lerf.files import (
    bytes_in,
    folders_in,
    is_absent,
    is_file,
    is_folder,
    is_same,
    is_still_at,
    read_bytes,
    resolved,
    resolver,
    size_of,
)


@pytest.fixture
def places(tmp_path):
    """Paths by kind: what hostile or damaged captures may hold."""
    (tmp_path / "file").write_bytes(b"abc")
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "link").symlink_to("file")
    os.mkfifo(tmp_path / "pipe")
    names = ("file", "folder", "loop", "dangling", "link", "pipe", "missing", "file/below", "a\0b", "n" * 300)
    return {name[:10]: tmp_path / name for name in names}


def test_what_a_path_is(places):
    assert {name for name, path in places.items() if is_file(path)} == {"file", "link"}
    assert {name for name, path in places.items() if is_folder(path)} == {"folder"}
    assert {name for name, path in places.items() if is_absent(path)} == {"missing", "file/below"}
    for path in places.values():
        assert resolved(path).is_absolute()
        assert folders_in(path) == []
        assert size_of(path) >= 0
        assert is_same(path, places["file"]) == (path.name in ("file", "link"))
    assert size_of(places["file"]) == 3
    assert size_of(places["missing"]) == 0
    places["folder"].joinpath("below").write_bytes(b"12")
    assert bytes_in(places["folder"]) == 2
    assert bytes_in(places["missing"]) == 0


def test_many_paths_are_followed_as_each_would_be(places, tmp_path):
    (tmp_path / "folder/inside").write_text("")
    (tmp_path / "other").symlink_to("folder")
    (tmp_path / "folder/out").symlink_to("../file")
    more = ("other/inside", "folder/inside", "folder/out", "other/../file", "folder/..", "loop/below", ".", "other/no")
    follow = resolver()
    for path in [*places.values(), *(tmp_path / name for name in more)]:
        for _ in range(2):
            assert follow(path) == resolved(path), path


def test_an_open_file_is_known_from_one_that_took_its_place(tmp_path):
    path = tmp_path / "lock"
    with open(path, "w") as file:
        assert is_still_at(path, file.fileno())
        path.unlink()
        assert not is_still_at(path, file.fileno())
        path.write_text("")
        assert not is_still_at(path, file.fileno())


def test_reading_ends_in_one_sentence(places):
    for name, path in places.items():
        if name in ("file", "link"):
            assert read_bytes(path, error=SceneError, remedy="restore it", largest=3) == b"abc"
            continue
        with pytest.raises(SceneError, match=r": restore it\.$"):
            read_bytes(path, error=SceneError, remedy="restore it", largest=3)
    with pytest.raises(SceneError, match="has 3 bytes where 2 are the most"):
        read_bytes(places["file"], error=SceneError, remedy="restore it", largest=2)


def test_folders_are_sorted_and_links_followed(tmp_path):
    for name in ("b", "a"):
        (tmp_path / name).mkdir()
    (tmp_path / "c").symlink_to("a")
    (tmp_path / "d").write_text("")
    assert [path.name for path in folders_in(tmp_path)] == ["a", "b", "c"]
