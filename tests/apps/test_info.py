"""`lerf info` of captures and runs."""

import json
import re
import time

from command_line import run_json

from lerf.apps import estimate, progress
from lerf.apps.main import main
from lerf.run import report
from lerf.scenes.load import load_scene


def test_info_of_a_capture(drawn, capsys):
    facts = run_json(capsys, "info", drawn.folder)
    assert (facts["photos"], facts["training_photos"], facts["held_out_photos"]) == (24, 21, 3)
    assert facts["sizes"] == [[96, 72]]
    assert facts["memory_bytes"] > 1e8
    assert facts["disk_bytes"] > 1e5
    assert facts["minutes_on_two_cores"] >= 0
    assert run_json(capsys, "info", drawn.folder, "--downscale", "2")["sizes"] == [[48, 36]]


def test_a_capture_that_takes_long_tells_how_far_it_is(drawn, capsys, monkeypatch):
    """On the standard error, so that what is printed as JSON stays whole."""

    def slow(*arguments):
        time.sleep(0.5)
        return load_scene(*arguments)

    quick = run_json(capsys, "info", drawn.folder)
    assert main(["info", str(drawn.folder)]) == 0
    assert "photos of the capture" not in capsys.readouterr().err
    monkeypatch.setattr(report, "PATIENCE", 0.01)
    monkeypatch.setattr(progress, "SAID_EVERY", 0.0)
    monkeypatch.setattr(estimate, "load_scene", slow)
    assert main(["info", str(drawn.folder), "--json"]) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out) == quick
    assert re.search(r"photos of the capture +24 of 24", shown.err)


def test_info_of_a_run(drawn_run, capsys):
    facts = run_json(capsys, "info", drawn_run)
    assert (facts["preset"], facts["encoder"], facts["dense"]) == ("lerf-cpu", "colour-words", "colour-map")
    assert facts["stages"] == {"radiance": "250 of 250 steps", "language": "250 of 250 steps"}
    assert {"decode", "radiance", "features", "language"} <= set(facts["seconds"])
    assert facts["peak_memory_bytes"] > 1e7
    assert main(["info", str(drawn_run)]) == 0
    assert "peak memory" in capsys.readouterr().out
