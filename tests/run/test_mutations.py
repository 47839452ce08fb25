"""Whatever one entry of a run's files becomes: an answer of finite numbers, or one sentence; never anything else."""

import json
import math
import random
import shutil
import warnings
from pathlib import Path

import pytest
import torch
from mutations import mutated

import lerf
from lerf.apps.main import main
from lerf.errors import LerfError, LerfWarning
from lerf.run.folder import RunFolder
from lerf.tensor_files import write_tensors

pytestmark = pytest.mark.usefixtures("tiny")
KINDS = {"drawn_run": ("radiance", "language"), "lifted_run": ("language",)}


@pytest.fixture
def run(drawn_run, tmp_path):
    return Path(shutil.copytree(drawn_run, tmp_path / "run"))


def finite(value):
    if isinstance(value, dict):
        return all(map(finite, value.values()))
    if isinstance(value, (list, tuple)):
        return all(map(finite, value))
    return not isinstance(value, float) or math.isfinite(value)


def answered_or_refused(run, what, ask=None):
    """Load and ask a run; by default whether there is something red."""
    try:
        model = lerf.load(run, device="cpu")
        result = model.query("red").to_dict() if ask is None else ask(model)
    except LerfError as error:
        said = str(error)
        assert len(said) <= 300, what
        assert said.isprintable(), what
        return False
    assert finite(result), what
    return True


def at_a_point(model):
    """What language says there: quick, where the surface would be traced again."""
    return model.relevancy_at(model.scene.photos[0].camera.camera_to_world[None, :, 3], "red", 0.3).tolist()


@pytest.mark.parametrize("name", ["config.json", "scene.json"])
def test_documents(run, name):
    whole, outcomes = json.loads((run / name).read_text()), set()
    for what, spoilt in mutated(whole, 60, seed=1):
        (run / name).write_text(json.dumps(spoilt))
        outcomes.add(answered_or_refused(run, f"{name} {what}"))
    assert outcomes == {True, False}, "some entries matter to answers, others do not"


@pytest.mark.parametrize("name", ["config.json", "scene.json", "capture.json"])
def test_bytes(drawn, run, name):
    """Cut off, flipped, or of another kind altogether."""
    whole, pick = (run / name).read_bytes(), random.Random(2)
    spoilt = [b"", b"[]", b"{}", b"null", b"\xff\xfe", b"[" * 100_000, whole[: len(whole) // 2], b"\x00" * 64]
    for _ in range(5):
        at = pick.randrange(len(whole))
        spoilt.append(whole[:at] + bytes([whole[at] ^ 1 << pick.randrange(8)]) + whole[at + 1 :])
    for number, data in enumerate(spoilt):
        (run / name).write_bytes(data)
        if name == "capture.json":
            assert main(["train", str(drawn.folder), "--output", str(run), "--device", "cpu"]) in (0, 2)
        else:
            answered_or_refused(run, f"{name} {number}")


@pytest.mark.parametrize("kind", KINDS)
def test_facts_of_checkpoints(kind, request, tmp_path):
    """With a checksum that fits them."""
    run = Path(shutil.copytree(request.getfixturevalue(kind), tmp_path / "run"))
    for stage in KINDS[kind]:
        tensors, facts = RunFolder(run).load_stage(stage)
        for what, spoilt in mutated({**facts, "decided_by": {"seed": 1}}, 36, seed=3):
            RunFolder(run).save_stage(stage, tensors, spoilt)
            answered_or_refused(run, f"{kind} {stage} {what}", at_a_point)
        RunFolder(run).save_stage(stage, tensors, facts)
    assert answered_or_refused(run, "whole", at_a_point)


@pytest.mark.parametrize("stage", ["radiance", "language"])
def test_tensors_of_checkpoints(run, stage):
    tensors, facts = RunFolder(run).load_stage(stage)
    pick, refused = random.Random(4), 0
    changes = {
        "nan": lambda tensor: torch.where(torch.arange(tensor.numel()).view(tensor.shape) == 0, torch.nan, tensor),
        "infinite": lambda tensor: torch.full_like(tensor, torch.inf) if tensor.is_floating_point() else tensor + 1,
        "double": lambda tensor: tensor.double(),
        "longer": lambda tensor: torch.cat([tensor.flatten(), tensor.flatten()]),
        "none": lambda tensor: tensor.flatten()[:0],
    }
    for kind, change in changes.items():
        name = pick.choice([name for name in tensors if not name.endswith(("low", "high"))])
        RunFolder(run).save_stage(stage, {**tensors, name: change(tensors[name])}, facts)
        refused += not answered_or_refused(run, f"{stage} {kind} {name}", at_a_point)
    for spoilt in ({}, {"x": torch.zeros(3)}, {**tensors, "field.more": torch.zeros(3)}):
        RunFolder(run).save_stage(stage, spoilt, facts)
        refused += not answered_or_refused(run, stage, at_a_point)
    assert refused == len(changes) + 3


def test_sizes_of_settings_take_no_memory(run):
    """A grid of 2^30 entries a level, where the checkpoint has 2^14: refused at once."""
    config = json.loads((run / "config.json").read_text())
    config["settings"]["radiance"] |= {"log2_entries": 30, "levels": 64, "finest": 1 << 20, "features": 64}
    (run / "config.json").write_text(json.dumps(config))
    with pytest.raises(LerfError, match=r"radiance\.safetensors is damaged \(it does not fit config\.json\)"):
        lerf.load(run, device="cpu")
    config["settings"]["radiance"]["log2_entries"] = 34
    (run / "config.json").write_text(json.dumps(config))
    with pytest.raises(LerfError, match=r"config\.json cannot be used: --radiance\.log2-entries must be .* not 34"):
        lerf.load(run, device="cpu")


def test_a_surface_of_another_content_is_made_again(run):
    """Older ones have no checksum."""
    path = run / "surface.safetensors"
    expected = lerf.load(run, device="cpu").query("red").queries[0].relevancy
    tensors, facts = RunFolder(run).load_stage("surface")
    for name in ("graph.columns", "graph.starts", "rays.weights"):
        write_tensors(path, {**tensors, name: tensors[name] + 10**6}, facts, 1)
        assert answered_or_refused(run, name)
    for what, spoilt in mutated({**facts, "decided_by": {}, "sources": {}}, 6, seed=5):
        write_tensors(path, tensors, spoilt, 1)
        assert answered_or_refused(run, what)
    path.unlink()
    assert lerf.load(run, device="cpu").query("red").queries[0].relevancy == expected


def test_damaged_timings_and_metrics_stop_no_training(drawn, tmp_path):
    from short_runs import StopAt, settings_of

    from lerf.stages.train import train

    settings, run = settings_of(drawn.folder), tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        train(settings, run, reporter=StopAt("radiance"))
    (run / "timings.json").write_text('{"seconds": 3}')
    (run / "metrics.jsonl").write_bytes(b"\xff\n[]\n")
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", LerfWarning)
        train(settings, run)
    assert {str(one.message).split(" ")[0].split("/")[-1] for one in told} == {"timings.json", "metrics.jsonl"}
    assert answered_or_refused(run, "trained")
    assert main(["info", str(run)]) == 0
