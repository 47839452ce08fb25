"""Suggested commands work as they are printed: in a shell, from where the user is, as the user started lerf."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import lerf
from lerf.apps.suggest import program, quoted, suggested

BASH = shutil.which("bash")
ECHO = "import os, sys; print(*(os.fsencode(word).hex() for word in sys.argv[1:]))"


@pytest.mark.skipif(BASH is None, reason="no bash here")
@pytest.mark.parametrize(
    "word",
    [
        "my run", "it's", 'a "quoted" cup', "$HOME", "`id`", "a;b&c|d", "*", "~", "", "-dash", "new\nline", "\x1b[31m",
        "back\\slash\n'", "tür", "大", "\udcff", "!!", "#x", "[red]mug", "{a,b}", "\u202eabc",
    ],
)  # fmt: skip
def test_every_word_comes_through_a_shell(word: str) -> None:
    done = subprocess.run(
        [BASH, "-c", f"{quoted(sys.executable)} -c {quoted(ECHO)} {quoted(word)}"], capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert bytes.fromhex(done.stdout.strip()) == os.fsencode(word)
    assert quoted(word).isprintable()


def script(folder: Path) -> Path:
    """A file that may be the program."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "lerf"
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_a_script_that_is_on_path(monkeypatch, tmp_path):
    path = script(tmp_path / "bin")
    monkeypatch.setenv("PATH", str(path.parent))
    monkeypatch.setattr(sys, "argv", [str(path)])
    assert program() == ["lerf"]
    assert suggested("query", Path("my run"), "it's") == "lerf query 'my run' 'it'\"'\"'s'"


def test_a_script_that_is_not_on_path(monkeypatch, tmp_path):
    path = script(tmp_path / ".venv" / "bin")
    other = script(tmp_path / "other")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [".venv/bin/lerf"])
    for on_path in (tmp_path / "nothing", other.parent):
        monkeypatch.setenv("PATH", str(on_path))
        assert program() == [os.path.join(".venv", "bin", "lerf")]
    monkeypatch.chdir(path.parent)
    monkeypatch.setattr(sys, "argv", [str(path)])
    assert program() == ["./lerf"]
    monkeypatch.chdir(other.parent)
    assert program() == [str(path)]


def test_the_module(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "argv", [str(Path(lerf.__file__).with_name("__main__.py"))])
    monkeypatch.setenv("PATH", str(tmp_path))
    interpreter, *rest = program()
    assert (os.path.abspath(interpreter), *rest) == (os.path.abspath(sys.executable), "-m", "lerf")
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    assert program() in (["python", "-m", "lerf"], ["python3", "-m", "lerf"])


def test_a_path_is_not_taken_for_an_option():
    assert suggested("query", Path("-run"), "-x").endswith(" query ./-run -x")


@pytest.mark.skipif(BASH is None, reason="no bash here")
def test_what_training_suggests_is_run_as_it_is_printed(drawn_run, tmp_path):
    """As the module, in a folder with spaces and quotes: the command that is printed answers."""
    run = tmp_path / "it's my run"
    shutil.copytree(drawn_run, run)
    support = Path(__file__).parents[1] / "support"
    paths = os.pathsep.join([str(support), str(Path(lerf.__file__).parents[1])])
    environment = {**os.environ, "PYTHONPATH": paths, "CI_RUN": str(run)}
    code = (
        "import os, sys, runpy; from pathlib import Path; import lerf.apps.suggest as s\n"
        f"sys.argv[0] = {str(Path(lerf.__file__).with_name('__main__.py'))!r}\n"
        "print(s.suggested('query', Path(os.environ['CI_RUN']), 'red', '--json'))"
    )
    told = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    done = subprocess.run([BASH, "-c", told.stdout], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert '"text": "red"' in done.stdout
