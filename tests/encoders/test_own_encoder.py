"""The encoder of docs/encoders.md: short, found through its entry point, and of use."""

import json
import re
from pathlib import Path

import pytest
import torch

from lerf.apps.main import main
from lerf.encoders.registry import encoder_names, load_encoder

DOCS = Path(__file__).parents[2] / "docs" / "encoders.md"


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """The code and the entry point of the docs, as installing a package would leave them."""
    text = DOCS.read_text()
    code = re.search(r"```python\n(.*?)```", text, re.DOTALL).group(1)
    group, points = re.search(r"```toml\n\[project.entry-points.\"(.*?)\"\]\n(.*?)```", text, re.DOTALL).groups()
    folder = tmp_path / "site"
    about = folder / "my_encoder-1.0.dist-info"
    about.mkdir(parents=True)
    (folder / "my_encoder.py").write_text(code)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: my-encoder\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[{group}]\n" + points.replace('"', ""))
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("LERF_CACHE", str(tmp_path / "cache"))
    return code


def test_it_is_under_thirty_lines(installed):
    assert len([line for line in installed.splitlines() if line.strip()]) < 30


def test_it_is_found_and_makes_features(installed, drawn, tmp_path, capsys):
    assert "mean-colour" in encoder_names()
    encoder = load_encoder("mean-colour")
    assert torch.equal(encoder.encode_text(["red", "green", "blue"]), torch.eye(3))
    command = ["features", str(drawn.folder), "--encoder", "mean-colour", "--output", str(tmp_path / "out"), "--json"]
    assert main(command) == 0
    facts = json.loads(capsys.readouterr().out)["encoders"]["mean-colour"]
    assert (facts["mode"], facts["width"], facts["tile_ratios"]) == ("tiles", 3, [0.2, 0.4])
    assert facts["licence"] == "CC0-1.0"
    assert len(list((tmp_path / "out").glob("*.png"))) > 10
