"""Commands on a run whose language was lifted from the pyramids."""

import json

from lerf.apps.main import main


def test_it_is_evaluated_and_described(lifted_run, capsys) -> None:
    for command in (["eval", str(lifted_run)], ["info", str(lifted_run)], ["query", str(lifted_run), "red"]):
        capsys.readouterr()
        assert main([*command, "--json"]) == 0
        facts = json.loads(capsys.readouterr().out)
        if command[0] == "eval":
            assert facts["psnr"] > 15
        if command[0] == "info":
            assert facts["stages"]["language"] == "lifted from the pyramids, no steps"
        if command[0] == "query":
            assert facts.get("index") is None


def test_it_is_not_baked_from_a_field(lifted_run, capsys) -> None:
    assert main(["bake", str(lifted_run)]) == 2
    assert "lifted from the photos" in capsys.readouterr().err
