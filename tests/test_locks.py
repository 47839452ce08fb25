"""One process writes at a time; a lock goes with its process, and what it left is cleared away by the next."""

import multiprocessing
import os
import threading

import pytest

from lerf.errors import LerfWarning, StorageError
from lerf.locks import LOCK, locked_file, locked_folder, remove_unfinished, unfinished

PROCESSES = multiprocessing.get_context("forkserver")


def hold(folder, name, held, free):
    """Work of a child process."""
    with locked_folder(folder, "wait") if name is None else locked_file(folder / name, "wait"):
        held.set()
        free.wait(60)


@pytest.fixture
def holder(tmp_path, request):
    """A process that holds the test's folder, or a file in it."""
    held, free = PROCESSES.Event(), PROCESSES.Event()
    child = PROCESSES.Process(target=hold, args=(tmp_path, getattr(request, "param", None), held, free))
    child.start()
    assert held.wait(60)
    yield child, free
    # Setting an event waits for those that wait for it, and one that was killed never answers.
    if child.is_alive():
        free.set()
    child.join(60)


def test_another_process_is_named_and_waited_for(tmp_path, holder):
    child, free = holder
    expected = rf"Another lerf process \({child.pid}\) is writing .*; wait until it has ended, or go elsewhere\.$"
    for _ in range(2):
        with pytest.raises(StorageError, match=expected), locked_folder(tmp_path, "go elsewhere"):
            pass
    free.set()
    child.join(60)
    with locked_folder(tmp_path, "go elsewhere"):
        assert (tmp_path / LOCK).read_text() == f"{os.getpid()}\n"
    assert not list(tmp_path.iterdir())


def test_a_killed_process_holds_nothing(tmp_path, holder):
    child, _ = holder
    child.kill()
    child.join(60)
    assert (tmp_path / LOCK).exists(), "its file is still there, its lock is not"
    with locked_folder(tmp_path, "go elsewhere"):
        pass
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("holder", ["a.ply"], indirect=True)
def test_a_file_is_held_alone(tmp_path, holder):
    with pytest.raises(StorageError, match=r"is writing .*a\.ply"), locked_file(tmp_path / "a.ply", "wait"):
        pass
    with locked_file(tmp_path / "b.ply", "wait"), locked_folder(tmp_path, "wait"):
        pass


def test_threads_keep_each_other_out_too(tmp_path):
    inside, errors = [], []

    def work():
        try:
            with locked_folder(tmp_path / "new", "wait"):
                inside.append(1)
                assert len(inside) == 1
                inside.pop()
        except StorageError as error:
            errors.append(error)

    with locked_folder(tmp_path / "new", "wait"):
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(errors) == 4


def test_the_lock_is_let_go_after_an_error(tmp_path):
    with pytest.raises(KeyError), locked_folder(tmp_path, "wait"):
        raise KeyError
    with locked_folder(tmp_path, "wait"):
        pass


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="Cannot write"), locked_folder(tmp_path / "file" / "run", "wait"):
        pass


def test_a_disk_without_locks_is_told(tmp_path, monkeypatch):
    fcntl = pytest.importorskip("fcntl")

    def refuse(number, kind):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.warns(LerfWarning, match=r"without locks \(No locks available\)"), locked_folder(tmp_path, "wait"):
        pass


def test_what_was_not_finished_is_removed_and_nothing_else(tmp_path):
    ours = [".a.json.ab12cd_3", ".a.b.png.zzzzzzzz", ".cloud.ply.00000000"]
    others = [
        ".a.json.ab12",
        ".a.json.AB12CD_3",
        "a.json.ab12cd_3",
        ".bashrc",
        ".a.txt.ab12cd_3",
        "a.json",
        ".gitignore",
    ]
    for name in (*ours, *others):
        (tmp_path / name).touch()
    (tmp_path / ".folder.json.ab12cd_3").mkdir()
    assert [file.name for file in unfinished(tmp_path, "*.json", "*.png", "cloud.ply")] == sorted(ours)
    assert remove_unfinished(tmp_path, "*.json", "*.png", "cloud.ply") == 3
    assert {file.name for file in tmp_path.iterdir()} == {*others, ".folder.json.ab12cd_3"}
    assert remove_unfinished(tmp_path / "gone", "*.json") == 0
