"""The token of a page: the same for its user after a restart, another for everything else, and secret."""

import os
import stat

import pytest

from lerf.errors import LerfWarning
from lerf.viewer import access
from lerf.viewer.access import Access, machine_names, page_token

posix = pytest.mark.skipif(os.name != "posix", reason="only POSIX has these rights on files")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LERF_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_a_token_is_the_same_at_the_next_start_and_of_this_page_alone(cache):
    token = page_token("run", 7007)
    assert len(token) == 22
    assert token == page_token("run", 7007)
    others = {page_token("run", 7008), page_token("run2", 7007), page_token("7007 run", 7007), page_token("", 7007)}
    assert len(others | {token}) == 5
    (cache / access.KEY_FILE).unlink()
    assert page_token("run", 7007) not in {token, *others}


@posix
def test_the_key_is_its_users_alone(cache):
    before = os.umask(0)
    try:
        page_token("run", 7007)
    finally:
        os.umask(before)
    assert stat.S_IMODE((cache / access.KEY_FILE).stat().st_mode) == 0o600
    assert [path.name for path in cache.iterdir()] == [access.KEY_FILE]


def broken_by_rights(path):
    path.write_bytes(b"k" * access.KEY_BYTES)
    path.chmod(0o644)


def broken_by_length(path):
    path.write_bytes(b"k" * 5)
    path.chmod(0o600)


def broken_by_size(path):
    path.write_bytes(b"k" * 10**6)
    path.chmod(0o600)


def broken_by_kind(path):
    path.mkdir()


def broken_by_pipe(path):
    os.mkfifo(path)


@posix
@pytest.mark.parametrize(
    "spoil", [broken_by_rights, broken_by_length, broken_by_size, broken_by_kind, broken_by_pipe]
)  # fmt: skip
def test_a_key_that_is_none_is_told_and_not_used(cache, spoil):
    cache.mkdir()
    spoil(cache / access.KEY_FILE)
    with pytest.warns(LerfWarning, match="another address at every start"):
        token = page_token("run", 7007)
    assert len(token) == 22


def test_a_cache_that_cannot_be_written_is_told(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LERF_CACHE", str(tmp_path / "file"))
    with pytest.warns(LerfWarning, match="another address at every start"):
        page_token("run", 7007)


def test_the_path_behind_the_token():
    rules = Access("token", "127.0.0.1")
    for path, rest in (
        ("/token", "/"), ("/token/", "/"), ("/token/a/b", "/a/b"), ("/token?x=1", "/?x=1"), ("/token/a?x=/", "/a?x=/"),
        ("/token?x=/", "/?x=/"), ("/tokens", None), ("token", None), ("/", None), ("", None), ("//token", None),
        ("/token\u00e9", None),
    ):  # fmt: skip
        assert rules.path_behind_token(path) == rest, path


def test_names_that_are_ours():
    rules = Access("token", "Box.Example")
    own = next(iter(machine_names()))
    for name in ("box.example", "BOX.example:80", "localhost:7007", own, f"{own}:7007", "10.0.0.1", "[::1]:7007"):
        assert rules.refusal("/token", [name], []) is None, name
    for name in ("x.box.example", "box.example.evil", "shared.example", "[::1", "[evil]", "a b", "10.0.0.1:", "::1"):
        assert rules.refusal("/token", [name], []), name
    rules.allow("shared.example")
    assert rules.refusal("/token", ["shared.example"], ["https://shared.example"]) is None
