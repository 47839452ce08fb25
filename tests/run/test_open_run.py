"""What a run folder is opened as, and which index of it answers."""

import inspect
import shutil
import warnings
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from colour_words import ColourWords

import lerf
from lerf.errors import EncoderError, LerfWarning, QueryError, RunError
from lerf.language.cell_language import CellLanguage
from lerf.language.cells import FILE, load_index, save_index
from lerf.language.deferred import DeferredLanguage
from lerf.language.per_sample import PerSampleLanguage
from lerf.language.protocol import LanguageSource
from lerf.radiance.hash_grid.radiance import HashGridRadiance
from lerf.radiance.protocol import Radiance
from lerf.run.folder import RunFolder
from lerf.run.open_run import open_encoder, open_index, open_language, open_radiance


def copied(run: Path, folder: Path) -> RunFolder:
    return RunFolder(Path(shutil.copytree(run, folder / "run")))


def settings_of(run: Path):
    return RunFolder(run).read_config()["settings"]


def test_a_run_is_opened_as_the_protocols(drawn_run) -> None:
    folder, settings = RunFolder(drawn_run), settings_of(drawn_run)
    scene = folder.read_scene()
    radiance, language = open_radiance(folder, settings, scene, "cpu"), open_language(folder, settings, "cpu")
    assert isinstance(radiance, Radiance)
    assert isinstance(radiance, HashGridRadiance)
    assert not radiance.field.training
    assert isinstance(language, LanguageSource)
    assert isinstance(language, DeferredLanguage)
    assert (language.width, language.dense_width, language.samples) == (6, 3, settings.language.samples)
    assert not language.field.training


def test_the_estimator_of_the_settings_decides_and_not_the_checkpoint(drawn_run) -> None:
    settings = settings_of(drawn_run)
    other = replace(settings, language=replace(settings.language, estimator="per-sample"))
    language = open_language(RunFolder(drawn_run), other, "cpu")
    assert isinstance(language, PerSampleLanguage)
    deferred = open_language(RunFolder(drawn_run), settings, "cpu")
    assert torch.equal(language.field.grid.table, deferred.field.grid.table)


def test_a_lifted_run_is_opened_as_its_index(lifted_run) -> None:
    settings = settings_of(lifted_run)
    language = open_language(RunFolder(lifted_run), settings, "cpu")
    assert isinstance(language, CellLanguage)
    assert language.index.provenance.source == "lift"
    assert language.samples == settings.language.samples


def test_a_language_of_another_radiance_is_refused(lifted_run, tmp_path) -> None:
    folder = copied(lifted_run, tmp_path)
    tensors, facts = folder.load_stage("radiance")
    folder.save_stage("radiance", {name: value + 1 for name, value in tensors.items()}, facts)
    with pytest.raises(RunError, match="another radiance"):
        lerf.load(folder.path, device="cpu")
    _, facts = folder.load_stage("language")
    folder.save_stage("language", {}, facts)
    with pytest.raises(RunError, match="damaged"):
        lerf.load(folder.path, device="cpu")


@pytest.mark.parametrize("stage", ["radiance", "language"])
def test_a_stage_that_is_not_finished_is_not_opened(drawn_run, tmp_path, stage) -> None:
    folder = copied(drawn_run, tmp_path)
    tensors, facts = folder.load_stage(stage)
    folder.save_stage(stage, tensors, {**facts, "finished": False})
    with pytest.raises(RunError, match=f"{stage} training of .* is not finished"):
        lerf.load(folder.path, device="cpu")


def test_the_encoder_must_be_the_one_of_the_training(drawn_run) -> None:
    config = RunFolder(drawn_run).read_config()
    assert open_encoder(RunFolder(drawn_run), config, None, True, "cpu").name == "colour-words"
    with pytest.raises(EncoderError, match="trained with other weights of 'colour-words'"):
        open_encoder(RunFolder(drawn_run), {**config, "encoder_fingerprint": "0" * 64}, None, True, "cpu")


def test_a_fresh_index_is_used_unless_it_is_to_be_ignored(baked_run, drawn_run) -> None:
    encoder = ColourWords()
    cells = len(load_index(baked_run / FILE))
    for use in ("auto", "require"):
        assert len(open_index(baked_run, encoder, "cpu", use)) == cells
    assert open_index(baked_run, encoder, "cpu", "ignore") is None
    assert open_index(drawn_run, encoder, "cpu", "auto") is None
    assert open_index(None, encoder, "cpu", "auto") is None
    with pytest.raises(RunError, match=r"There is no index at .*lerf bake"):
        open_index(drawn_run, encoder, "cpu", "require")
    with pytest.raises(RunError, match=r"this model has none; open one with lerf\.load"):
        open_index(None, encoder, "cpu", "require")
    # Not checked by the hook of the tests, as it is not for users.
    unchecked = inspect.unwrap(open_index)
    with pytest.raises(QueryError, match="'auto', 'require' or 'ignore', not 'never'"):
        unchecked(baked_run, encoder, "cpu", "never")


def spoil(run: Path, kind: str) -> None:
    index = load_index(run / FILE)
    if kind == "state":
        save_index(replace(index, provenance=replace(index.provenance, checkpoint="d" * 64)), run / FILE)
    if kind == "encoder":
        save_index(replace(index, provenance=replace(index.provenance, fingerprint="e" * 64)), run / FILE)
    if kind == "damage":
        (run / FILE).write_bytes(b"half")


@pytest.mark.parametrize(
    ("kind", "message"),
    [("state", "another state of the run"), ("encoder", "another encoder"), ("damage", "damaged")],
)
def test_an_index_that_does_not_fit_is_not_used(baked_run, tmp_path, kind, message) -> None:
    run = copied(baked_run, tmp_path).path
    spoil(run, kind)
    with pytest.warns(LerfWarning, match=f"The field answers, not the index.*{message}"):
        assert open_index(run, ColourWords(), "cpu", "auto") is None
    with pytest.raises(RunError, match=message):
        open_index(run, ColourWords(), "cpu", "require")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert open_index(run, ColourWords(), "cpu", "ignore") is None
