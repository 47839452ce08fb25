"""`lerf bake`, and queries of a baked run from the command line."""

import json
import shutil
from pathlib import Path

import pytest

import lerf
from lerf.apps.main import main
from lerf.files import sha256_of
from lerf.language.cells import load_index


@pytest.mark.parametrize("source", ["field", "lift"])
def test_the_command_writes_an_index_into_the_run(drawn_run, tmp_path, capsys, source) -> None:
    run = tmp_path / "run"
    shutil.copytree(drawn_run, run)
    assert main(["bake", str(run), "--source", source, "--compare", "red", "blue", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    checkpoint = sha256_of(run / ("language.safetensors" if source == "field" else "radiance.safetensors"))
    index = load_index(Path(result["index"]), lerf.load(run, device="cpu").encoder, checkpoint)
    assert Path(result["index"]) == run / "index.safetensors"
    assert (result["source"], result["cells"]) == (index.provenance.source, len(index)) == (source, len(index))
    assert set(result["agreement"]) == {"red", "blue"}
    assert all(each["distance"] < 0.5 for each in result["agreement"].values())


def test_a_query_chooses_who_answers(baked_run, capsys) -> None:
    def ask(*options: str) -> dict:
        assert main(["query", str(baked_run), "red", "--json", *options]) == 0
        return json.loads(capsys.readouterr().out)

    quick = ask("--compare")
    assert quick["index"]["source"] == "field"
    assert set(quick["index"]["differences"]) == {"red"}
    assert "index" not in ask("--index", "ignore")
    assert main(["query", str(baked_run), "red"]) == 0
    assert "Answered from the index" in capsys.readouterr().out
