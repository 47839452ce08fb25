"""Fetching from a hub that works, refuses, hangs, breaks off and lies: what the cache then holds, what is said."""

import hashlib
import random
import threading
from pathlib import Path

import pytest
from hub_server import COMMIT, hub_server, refusing_address, silent_server

from lerf.encoders import download, hub
from lerf.encoders.hub import find_files
from lerf.encoders.missing import MissingWeightsError
from lerf.errors import EncoderError, StorageError

NAME = "someone/a-model"
WEIGHTS = random.Random(1).randbytes(300_000)
FILES = {
    "model.safetensors": WEIGHTS,
    "pytorch_model.bin": WEIGHTS[::-1],
    "config.json": b'{"model_type": "clip"}',
    "README.md": b"---\nlicense: mit\n---\n",
    "picture.png": b"x" * 100,
    ".gitattributes": b"",
    "a/b.json": b"{}",
    "..\\c.json": b"{}",
}


@pytest.fixture
def cache(tmp_path, monkeypatch):
    for variable in ("HF_HUB_OFFLINE", "HUGGINGFACE_HUB_CACHE", "HF_TOKEN", "HF_TOKEN_PATH"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(download, "PAUSE", 0.0)
    return tmp_path / "cache"


@pytest.fixture
def server(cache, monkeypatch):
    with hub_server() as served:
        served.models[NAME] = dict(FILES)
        monkeypatch.setenv("HF_ENDPOINT", served.address)
        yield served


def unfinished(cache: Path) -> list[Path]:
    return sorted(cache.rglob("*.incomplete"))


def failure(model: str = NAME) -> str:
    with pytest.raises(MissingWeightsError) as caught:
        find_files(model)
    assert len(str(caught.value)) <= 300
    return str(caught.value)


def test_weights_and_small_files_come_and_nothing_else(server, cache, capsys):
    found = find_files(NAME)
    assert found.weights[0].read_bytes() == WEIGHTS
    assert {path.name for path in found.folder.iterdir()} == {"model.safetensors", "config.json", "README.md"}
    assert found.folder == cache / "models--someone--a-model" / "snapshots" / COMMIT
    assert found.licence == "mit"
    said = capsys.readouterr().err
    assert said.index("Asking 127.0.0.1") < said.index(f"Fetching {NAME} (commit cccccccccccc), 0 MB, into {cache}.")
    before = len(server.requests)
    assert find_files(NAME) == find_files(NAME, offline=True) == found
    assert len(server.requests) == before, "what is there is not asked for"
    assert not unfinished(cache)
    assert not list(cache.rglob("*.lock"))


def test_the_hubs_own_tools_find_what_was_fetched(server, cache):
    package = pytest.importorskip("huggingface_hub")
    path = find_files(NAME).weights[0]
    assert package.hf_hub_download(NAME, "model.safetensors", cache_dir=cache, local_files_only=True) == str(path)


def test_revisions_are_those_that_were_asked_for(server, cache):
    find_files(f"{NAME}@v1")
    assert (cache / "models--someone--a-model" / "refs" / "v1").read_text() == COMMIT
    assert find_files(f"{NAME}@{COMMIT}", offline=True) == find_files(f"{NAME}@v1", offline=True)
    assert "has no such model or revision" in failure("someone/a-model@v2")
    for senseless in ("someone/a-model@../..", "someone/a-model@/etc", "someone/..", "someone/.hidden"):
        with pytest.raises(EncoderError, match="neither a folder nor an id"):
            find_files(senseless)


def test_progress_is_told_before_and_while(server, cache, monkeypatch, capsys):
    heard = []
    monkeypatch.setattr(download, "BLOCK", 10_000)
    hub.fetch(NAME, lambda done, total: heard.append((done, total)))
    total = sum(len(FILES[name]) for name in ("model.safetensors", "config.json", "README.md"))
    assert {all_ for _, all_ in heard} == {total}
    assert heard[-1] == (total, total)
    assert len(heard) > 20
    assert [done for done, _ in heard] == sorted(done for done, _ in heard)
    monkeypatch.setattr(hub, "SAID_EVERY", 0.0)
    server.models["someone/other"] = {"model.safetensors": WEIGHTS}
    find_files("someone/other")
    assert "someone/other: 0 of 0 MB" in capsys.readouterr().err


def test_what_breaks_off_is_gone_on_with_at_once(server, cache):
    server.cut_after, server.cuts = 100_000, 2
    assert find_files(NAME).weights[0].read_bytes() == WEIGHTS
    assert [headers.get("Range") for headers in server.asked("model.safetensors")] == [
        None, "bytes=100000-", "bytes=200000-",
    ]  # fmt: skip


def test_half_a_file_is_gone_on_with_by_the_next_process(server, cache):
    # The first answer ends after a half, and from then on the hub is out of order.
    server.cut_after, server.cuts = 150_000, 1
    original = download._append

    def once(path, *others):
        try:
            return original(path, *others)
        finally:
            if path.endswith("model.safetensors"):
                server.code = 503

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(download, "_append", once)
        said = failure()
    assert "answers with code 503" in said
    half = unfinished(cache)
    assert [path.stat().st_size for path in half] == [150_000]
    assert half[0].name == hashlib.sha256(WEIGHTS).hexdigest() + ".incomplete"
    with pytest.raises(EncoderError, match="not on this machine"):
        find_files(NAME, offline=True)
    server.code = server.cut_after = None
    server.requests.clear()
    assert find_files(NAME).weights[0].read_bytes() == WEIGHTS
    assert server.asked("model.safetensors")[0]["Range"] == "bytes=150000-"
    assert not server.asked("config.json"), "what is whole is kept"


@pytest.mark.parametrize("ranges", [True, False])
def test_half_a_file_that_is_wrong_is_fetched_anew(server, cache, ranges):
    server.knows_ranges = ranges
    blobs = cache / "models--someone--a-model" / "blobs"
    blobs.mkdir(parents=True)
    (blobs / f"{hashlib.sha256(WEIGHTS).hexdigest()}.incomplete").write_bytes(b"?" * 1000)
    assert find_files(NAME).weights[0].read_bytes() == WEIGHTS
    (blobs / hashlib.sha256(WEIGHTS).hexdigest()).unlink()
    (blobs / f"{hashlib.sha256(WEIGHTS).hexdigest()}.incomplete").write_bytes(b"?" * 400_000)
    assert find_files(NAME).weights[0].read_bytes() == WEIGHTS


def test_a_wrong_checksum_is_refused_and_leaves_nothing(server, cache):
    server.wrong_bytes = True
    assert "sends as model.safetensors has another checksum than it lists" in failure()
    assert not unfinished(cache)
    assert not list(cache.rglob("model.safetensors"))
    server.wrong_bytes = False
    server.models[NAME]["config.json"] = FILES["config.json"]
    assert find_files(NAME).weights[0].read_bytes() == WEIGHTS


def test_a_small_file_with_a_wrong_checksum_is_refused(server, cache, monkeypatch):
    from hub_server import _Handler

    def lie(self, name, data):
        self._answer(200, data[::-1])

    monkeypatch.setattr(_Handler, "_file", lie)
    assert "another checksum" in failure()


def test_refused(cache, monkeypatch):
    address = refusing_address()
    monkeypatch.setenv("HF_ENDPOINT", address)
    assert failure() == (
        f"The weights of {NAME} are not on this machine and cannot be fetched ({address.removeprefix('http://')}: "
        f"connection refused): run `lerf encoders fetch {NAME}`."
    )


def test_a_hub_that_never_answers(cache, monkeypatch):
    monkeypatch.setattr(download, "TIMEOUT", 0.3)
    with silent_server() as address:
        monkeypatch.setenv("HF_ENDPOINT", address)
        assert "does not answer within 0.3 seconds" in failure()


def test_a_hub_that_stops_in_the_middle(server, cache, monkeypatch):
    monkeypatch.setattr(download, "TIMEOUT", 0.3)
    server.silent_after = 50_000
    # Something came each time, so that it is taken up again, until nothing does.
    found = find_files(NAME)
    assert found.weights[0].read_bytes() == WEIGHTS
    assert len(server.asked("model.safetensors")) == 6
    server.models["someone/other"] = {"model.safetensors": WEIGHTS}
    server.silent_after = 0
    assert "does not answer within 0.3 seconds" in failure("someone/other")


def test_a_name_that_no_address_has(cache, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://hub.invalid")
    assert "hub.invalid: " in failure()
    monkeypatch.setenv("HF_ENDPOINT", "nonsense")
    assert "nonsense" in failure()


@pytest.mark.parametrize(
    ("code", "words"), [(401, "HF_TOKEN"), (404, "no such model or revision"), (500, "answers with code 500")]
)
def test_what_the_hub_refuses(server, cache, code, words):
    server.code = code
    assert words in failure()


@pytest.mark.parametrize(
    "listing",
    [
        b"<html>", b"{}", b'{"sha": "../..", "siblings": []}',
        b'{"sha": "%s", "siblings": [{"rfilename": 1}]}' % (b"c" * 40),
    ],
)  # fmt: skip
def test_an_answer_that_is_none(server, cache, monkeypatch, listing):
    from hub_server import _Handler

    monkeypatch.setattr(_Handler, "do_GET", lambda self: self._answer(200, listing))
    assert "cannot be fetched (what 127.0.0.1" in failure()


def test_a_model_without_weights(server, cache):
    server.models["someone/text"] = {"README.md": b"nothing"}
    with pytest.raises(EncoderError, match="holds no weights that can be read"):
        find_files("someone/text")


def test_weights_in_several_files(server, cache):
    shards = {f"model-{number}.safetensors": bytes([number]) * 5000 for number in (1, 2)}
    index = b'{"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}'
    server.models["someone/cut"] = {**shards, "model.safetensors.index.json": index}
    assert [path.read_bytes() for path in find_files("someone/cut").weights] == list(shards.values())


def test_no_room_on_the_disk_is_said_before(server, cache, monkeypatch):
    free = type("Usage", (), {"free": 1000})
    monkeypatch.setattr(download.shutil, "disk_usage", lambda path: free)
    assert "do not fit on the disk" in failure()
    assert not server.asked("model.safetensors")


def test_a_cache_that_cannot_be_written(server, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(StorageError, match="Cannot write"):
        find_files(NAME)


def test_a_disk_without_links(server, cache, monkeypatch):
    def no_links(*_):
        raise OSError("not here")

    monkeypatch.setattr(download.os, "symlink", no_links)
    found = find_files(NAME)
    assert not found.weights[0].is_symlink()
    assert found.weights[0].read_bytes() == WEIGHTS
    server.requests.clear()
    (cache / "models--someone--a-model" / "refs" / "main").unlink()
    assert find_files(NAME) == found
    assert not server.asked("model.safetensors")


def test_the_token_goes_to_the_hub_and_nowhere_else(server, cache, monkeypatch, tmp_path):
    with hub_server() as files_of_it:
        files_of_it.models[NAME] = dict(FILES)
        server.elsewhere = files_of_it.address
        monkeypatch.setenv("HF_TOKEN", "hf_secret")
        find_files(NAME)
        assert {headers.get("Authorization") for _, headers in server.requests} == {"Bearer hf_secret"}
        assert files_of_it.requests
        assert not any("Authorization" in headers for _, headers in files_of_it.requests)
    monkeypatch.delenv("HF_TOKEN")
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "token").write_text("hf_written\n")
    assert download._token() == "hf_written"
    monkeypatch.setenv("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")
    assert download._token() == ""


def test_two_that_fetch_the_same_wait_for_each_other(server, cache, monkeypatch, capsys):
    monkeypatch.setattr(hub, "WAIT", 0.02)
    inside, going = threading.Event(), threading.Event()
    original = hub._fetch

    def slow(*arguments):
        inside.set()
        going.wait(10)
        return original(*arguments)

    monkeypatch.setattr(hub, "_fetch", slow)
    found = []
    threads = [threading.Thread(target=lambda: found.append(find_files(NAME))) for _ in range(2)]
    threads[0].start()
    assert inside.wait(10)
    threads[1].start()
    while "Another process fetches" not in capsys.readouterr().err:
        assert threads[1].is_alive()
    going.set()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert len(server.asked("model.safetensors")) == 1
