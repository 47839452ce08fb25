"""`lerf info` of captures and runs."""

from command_line import run_json

from lerf.apps.main import main


def test_info_of_a_capture(drawn, capsys):
    facts = run_json(capsys, "info", drawn.folder)
    assert (facts["photos"], facts["training_photos"], facts["held_out_photos"]) == (24, 21, 3)
    assert facts["sizes"] == [[96, 72]]
    assert facts["memory_bytes"] > 1e8
    assert facts["disk_bytes"] > 1e5
    assert facts["minutes_on_two_cores"] >= 0
    assert run_json(capsys, "info", drawn.folder, "--downscale", "2")["sizes"] == [[48, 36]]


def test_info_of_a_run(drawn_run, capsys):
    facts = run_json(capsys, "info", drawn_run)
    assert (facts["preset"], facts["encoder"], facts["dense"]) == ("lerf-cpu", "colour-words", "colour-map")
    assert facts["stages"] == {"radiance": "250 of 250 steps", "language": "250 of 250 steps"}
    assert {"decode", "radiance", "features", "language"} <= set(facts["seconds"])
    assert facts["peak_memory_bytes"] > 1e7
    assert main(["info", str(drawn_run)]) == 0
    assert "peak memory" in capsys.readouterr().out
