"""What all commands share: help, version, errors, exit codes."""

import json
import re
import shutil
import subprocess
from importlib.metadata import version

import pytest
from command_line import SUPPORT, in_a_process, refused

from lerf.apps.main import COMMANDS, main

WITHOUT_TORCH = """
import sys
from lerf.apps.main import main
try:
    code = main(sys.argv[1:])
except SystemExit as exit:
    code = exit.code
sys.exit(code or ", ".join({"numba", "numpy", "torch"} & set(sys.modules)) or 0)
"""


def help_of(capsys, *command):
    with pytest.raises(SystemExit, match="0"):
        main([*command, "--help"])
    return capsys.readouterr().out


def entries(shown):
    """Options of a help text: invocation to what is said of it, whether or not tyro draws boxes."""
    found: dict[str, str] = {}
    last = ""
    for line in shown.splitlines():
        invocation, _, said = line[2:].rstrip("│ ").partition("  ")
        if last.endswith(",") and not found[last]:
            found.pop(last)
            invocation = f"{last} {invocation}"
        last = invocation or last
        found[last] = f"{found.get(last, '')} {said.strip()}".strip()
    return {name: said for name, said in found.items() if re.match("--?[a-z]", name)}


def test_help_lists_the_commands(capsys):
    shown = help_of(capsys)
    assert "usage: lerf" in shown
    assert all(f"• {name} " in shown for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_says_what_it_is_for(capsys, name):
    shown = help_of(capsys, name)
    assert f"usage: lerf {name}" in shown
    assert "None" not in shown
    options = entries(shown)
    assert len(options) > 2
    silent = [option for option, said in options.items() if not re.match(r"[^(]\w", said)]
    assert not silent


def test_help_says_that_the_border_is_of_tiles(capsys):
    assert "--features tiles" in entries(help_of(capsys, "train"))["--border {edge,zero}"]


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["train", "--help"], ["query", "--help"]])
def test_help_and_version_need_no_torch(arguments):
    done = in_a_process("-c", WITHOUT_TORCH, *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert "lerf" in done.stdout


def test_version_and_the_module():
    done = in_a_process("-m", "lerf", "--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"lerf {version('lerf')}\n", "")
    assert in_a_process("-m", "lerf", "bake", "--help").stdout.startswith("usage: lerf bake ")


def test_completion_of_a_shell(tmp_path, capsys):
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("no bash here")
    script = tmp_path / "lerf"
    for arguments in (["--tyro-write-completion", "bash", str(script)], ["--tyro-print-completion", "bash"]):
        with pytest.raises(SystemExit) as end:
            main(arguments)
        assert not end.value.code
    assert capsys.readouterr().out.strip() == script.read_text().strip()
    asked = (
        f"source {script}; f=$(complete -p lerf | sed 's/.*-F \\([^ ]*\\).*/\\1/'); COMP_WORDS=(lerf query --thr); "
        "COMP_CWORD=2; COMP_LINE='lerf query --thr'; COMP_POINT=16; $f; echo \"${COMPREPLY[@]}\""
    )
    done = subprocess.run([bash, "-c", asked], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "--threshold"


@pytest.mark.parametrize("arguments", [["print", "tcsh"], ["write", "bash", "no/such/folder/lerf"]])
def test_a_completion_that_cannot_be(arguments, capsys):
    assert "give bash or zsh" in refused(capsys, f"--tyro-{arguments[0]}-completion", *arguments[1:])


def test_what_is_said_of_odd_arguments_is_printable(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["query", "run", "red", "--bogus", "[red]\x1b[31m"])
    said = capsys.readouterr().err
    assert r"[red]\x1b[31m" in said
    assert "\x1b" not in said


def test_a_command_that_is_none(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["dream"])
    assert "dream" in capsys.readouterr().err


def test_as_a_process(drawn_run):
    """The command in a process of its own: JSON on stdout and nothing else anywhere."""
    done = in_a_process(SUPPORT / "tiny.py", "query", drawn_run, "red", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["queries"][0]["present"] is True


def test_an_error_of_a_process(tmp_path):
    done = in_a_process("-m", "lerf", "query", tmp_path, "red")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith(f"Error: {tmp_path} is not a run folder")
    assert done.stderr.count("\n") == 1
