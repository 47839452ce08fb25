"""`lerf doctor`: one probe never keeps the others from their answers, and nothing personal is in what is public."""

from __future__ import annotations

import getpass
import json
import os
import socket
import time
from importlib.metadata import version
from pathlib import Path

from command_line import run_json

from lerf.apps import diagnosis
from lerf.apps.main import main
from lerf.apps.probes import MODULES, PROBES

KEYS = {
    "lerf", "place", "python", "interpreter", "system", "packages", "processors", "memory", "cache", "environment",
    "devices", "threads", "encoders", "hub", "extras",
}  # fmt: skip


def test_what_is_found(capsys, cache_of_this_session):
    facts = run_json(capsys, "doctor", "--offline", "--seconds", "120")
    assert set(facts) == KEYS
    assert (facts["lerf"], facts["hub"]) == (version("lerf"), "not asked")
    assert facts["packages"]["torch"] == version("torch")
    assert facts["devices"][0] == "cpu"
    assert facts["threads"]["torch"] > 0
    assert facts["encoders"]["mini"] == "ships with lerf"
    assert facts["cache"]["folder"] == str(cache_of_this_session)
    assert facts["cache"]["writable"] == "yes"
    assert set(facts["extras"]) == set(MODULES)
    assert facts["extras"]["mesh"] == "works"
    assert facts["memory"]["total_bytes"] > facts["memory"]["free_bytes"] > 0


def test_the_table_is_told_in_time(capsys):
    start = time.monotonic()
    assert main(["doctor", "--offline", "--seconds", "0"]) == 0
    assert time.monotonic() - start < 5
    said = capsys.readouterr().out
    assert "no answer in time" in said
    assert f"torch {version('torch')}" in " ".join(said.split())


def packages(folder: Path, **contents: str) -> str:
    """A search path with modules of this content."""
    for name, content in contents.items():
        (folder / f"{name}.py").write_text(content)
    return str(folder)


def test_a_package_that_breaks_costs_its_own_answer(tmp_path, monkeypatch, capsys):
    bad = packages(
        tmp_path, av="import os; os._exit(7)", skimage="raise SystemExit(3)", viser="print('[1, 2]'); 1 / 0",
        ray="print('{')", mitsuba="import no_such_module_of_mitsuba",
    )  # fmt: skip
    monkeypatch.setenv("PYTHONPATH", bad)
    monkeypatch.setattr(diagnosis, "PROBES", {name: PROBES[name] for name in PROBES if name.startswith("extra ")})
    trial = diagnosis._Trial([f"extra {name}" for name in ("video", "mesh", "scenes", "viewer", "ray")])
    answers = trial.wait(time.monotonic() + 120)
    assert answers == {
        "extra video": "ended the process that tried it (code 7)",
        "extra mesh": "SystemExit: 3",
        "extra scenes": "ModuleNotFoundError: No module named 'no_such_module_of_mitsuba'",
        "extra viewer": "ZeroDivisionError: division by zero",
        "extra ray": "works",
    }


def test_a_package_that_hangs_ends_with_the_time(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", packages(tmp_path, av="import time; time.sleep(600)"))
    start = time.monotonic()
    answers = diagnosis._Trial(["extra video", "extra mesh"]).wait(start + 1)
    assert time.monotonic() - start < 30
    assert answers == dict.fromkeys(("extra video", "extra mesh"), diagnosis.LATE)


def test_a_probe_that_fails_is_an_answer(monkeypatch):
    def fails(*_: object) -> None:
        raise RuntimeError("no such thing\n\x1b[31m" + "x" * 1000)

    monkeypatch.setattr(diagnosis, "_memory", fails)
    monkeypatch.setattr(diagnosis, "_cache", fails)
    monkeypatch.setattr(diagnosis.metadata, "version", fails)
    facts = diagnosis.gathered(offline=True, seconds=0)
    for said in (facts["memory"], facts["cache"], facts["lerf"], facts["packages"]["torch"]):
        assert said.startswith("RuntimeError: no such thing")
        assert len(said) <= 300
        assert said.isprintable()


def test_the_hub_is_asked_with_a_short_timeout(monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    answer = diagnosis._Trial(["hub"]).wait(time.monotonic() + 60)["hub"]
    assert answer.startswith("not reachable (")


def test_nothing_personal_is_public(monkeypatch, tmp_path, capsys):
    home = tmp_path / "home" / "Jo.Doe"
    (home / "cache").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("LERF_CACHE", str(home / "cache"))
    monkeypatch.setenv("PYTHONPATH", f"/data/jo.doe/lib{os.pathsep}/mnt/Workhorse/lib")
    monkeypatch.setattr(getpass, "getuser", lambda: "jdoe")
    monkeypatch.setattr(socket, "gethostname", lambda: "workhorse.example.org")
    facts = run_json(capsys, "doctor", "--public", "--offline", "--seconds", "0")
    said = json.dumps(facts).lower()
    assert "doe" not in said
    assert "workhorse" not in said
    assert facts["cache"]["folder"] == str(Path("~/cache"))
    assert facts["environment"]["PYTHONPATH"] == f"/data/USER/lib{os.pathsep}/mnt/HOST/lib"
    private = run_json(capsys, "doctor", "--offline", "--seconds", "0")
    assert private["cache"]["folder"] == str(home / "cache")
