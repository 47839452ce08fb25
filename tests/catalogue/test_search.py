"""A catalogue of small runs: it answers as each run does, and says what it cannot answer."""

import json
import shutil
import sys
import threading
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from changed_runs import changed_run

import lerf
from lerf.apps.main import main
from lerf.catalogue import catalogue as catalogue_module
from lerf.catalogue import quantised as quantised_module
from lerf.catalogue import search as search_module
from lerf.catalogue.ahead import read_ahead
from lerf.catalogue.candidates import candidates, ranked
from lerf.catalogue.catalogue import Catalogue
from lerf.catalogue.entry import Entry
from lerf.catalogue.kept import Kept
from lerf.catalogue.quantised import QuantisedScene
from lerf.catalogue.record import AnsweringScene
from lerf.catalogue.rows import supervised
from lerf.catalogue.search import Searcher, exact_presence
from lerf.errors import CatalogueError
from lerf.queries.surface import surface_of_cells
from lerf.radiance.surface import trace_surface
from lerf.run import surfaces

pytest.importorskip("lancedb", reason="lancedb is not installed: pip install 'lerf[catalogue]'")
pytestmark = pytest.mark.timeout(900)
PHRASES = ("red", "blue", "wood")
POINTS = 4000
"""Of the surfaces of these runs: twelve are traced."""


@pytest.fixture(scope="module", autouse=True)
def small_surfaces():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(surfaces, "trace_surface", partial(trace_surface, points=POINTS))
        yield


@pytest.fixture(scope="module")
def runs(lifted_run, baked_run, tmp_path_factory):
    """Twelve runs: a lifted one changed in different ways, and a baked one."""
    folder = tmp_path_factory.mktemp("runs")
    count = len(lerf.load(lifted_run, device="cpu").language.index)
    changed = [changed_run(lifted_run, folder / f"room-{n}", n * count // 12) for n in range(11)]
    return [*changed, Path(shutil.copytree(baked_run, folder / "baked"))]


@pytest.fixture(scope="module")
def filled(runs, tmp_path_factory):
    """A catalogue of the twelve; do not write to it."""
    catalogue = Catalogue(tmp_path_factory.mktemp("catalogue"))
    assert [catalogue.add(run) for run in runs] == ["added"] * 12
    catalogue.store.tidy()
    return catalogue


def searched(catalogue, *texts, **options):
    encoder = lerf.load(catalogue.entries()[0].name, device="cpu").encoder
    return Searcher(catalogue, encoder).search(texts, **options)


def test_a_search_says_of_every_scene_what_a_query_of_its_run_says(filled, runs):
    found = searched(filled, *PHRASES)
    assert found.runs == 12
    held = 0
    for run in runs:
        model = lerf.load(run, device="cpu")
        for asked, answer in zip(found.phrases, model.query(PHRASES).queries, strict=True):
            ours = [scene.answer for scene in asked.scenes if scene.run == str(run)]
            assert len(ours) == answer.present, (run.name, asked.text)
            for own in ours:
                # Phrases asked together are multiplied in another order than one by itself.
                assert own.relevancy == pytest.approx(answer.relevancy, abs=1e-5)
                assert len(own.instances) == len(answer.instances)
                assert (own.geometry.view, own.geometry.point) == (answer.geometry.view, answer.geometry.point)
            held += answer.present
    assert 12 < held < 12 * len(PHRASES), "some scenes hold a phrase and others do not"
    for phrase in found.phrases:
        relevancies = [scene.answer.relevancy for scene in phrase.scenes]
        assert relevancies == sorted(relevancies, reverse=True)
        assert all(scene.state == "fresh" for scene in phrase.scenes)


def test_the_scene_that_holds_the_phrase_is_the_first_candidate(lifted_run, tmp_path):
    catalogue = Catalogue(tmp_path / "catalogue")
    count = len(lerf.load(lifted_run, device="cpu").language.index)
    # Of this one nearly all cells know the same.
    plain = changed_run(lifted_run, tmp_path / "plain", 2 * count - 2)
    for run in (plain, lifted_run):
        catalogue.add(run)
    holding = next(entry.addition for entry in catalogue.entries() if entry.name == str(lifted_run))
    model = lerf.load(lifted_run, device="cpu")
    phrases = model.phrases("red")
    query, canonical = ((vectors @ catalogue.basis.T).numpy() for vectors in (phrases.queries, phrases.canonical))
    direction = query[0] - canonical.mean(0)
    assert candidates(catalogue.store, direction, 1)[0] == holding
    cells = catalogue.store.read("cells", ["addition", "vector"])
    additions, vectors = (np.array([cell[name] for cell in cells]) for name in ("addition", "vector"))
    assert len(vectors) == sum(entry.rows for entry in catalogue.entries())
    for one in (direction, -direction):
        assert candidates(catalogue.store, one, 2, exact=True) == ranked(additions, vectors @ one)


def test_scenes_are_ranked_by_the_mean_of_their_best_cells():
    additions = np.array([7] * 6 + [3] * 2 + [9])
    products = np.array([0.9, 0.1, 0.1, 0.1, 0.1, -5.0, 0.5, 0.4, 0.3])
    assert ranked(additions, products) == [3, 9, 7]
    assert ranked(additions[:0], products[:0]) == []


def test_quantised_codes_estimate_what_the_cells_say(lifted_run, baked_run):
    for run in (lifted_run, baked_run):
        model = lerf.load(run, device="cpu")
        scene = AnsweringScene.of(model)
        quantised = QuantisedScene.unpacked(QuantisedScene.of(scene).packed(), "room")
        assert quantised.defaults == scene.defaults
        rows = quantised.rows * quantised.factors[:, None]
        assert len(rows) == int(supervised(scene.language.index).sum())
        assert rows.norm(dim=-1) == pytest.approx(np.ones(len(rows)), abs=0.02)
        cells = surface_of_cells(scene.language, {})
        for text in ("red", "blue", "wood"):
            phrases = model.phrases(text)
            exact = exact_presence(replace(scene, surface=cells), phrases)[1]
            assert quantised.presence(phrases) == pytest.approx(exact, abs=0.02), text
        packed = QuantisedScene.of(scene).packed()
        for spoilt in (b"", packed[:-5], b"x" * 4000, AnsweringScene.of(model).packed()):
            with pytest.raises(CatalogueError, match="What the catalogue holds of room"):
                QuantisedScene.unpacked(spoilt, "room")


def test_of_many_cells_every_so_manieth_is_kept(lifted_run, monkeypatch):
    scene = AnsweringScene.of(lerf.load(lifted_run, device="cpu"))
    whole = QuantisedScene.of(scene)
    monkeypatch.setattr(quantised_module, "MOST_ROWS", len(whole.rows) // 3)
    part = QuantisedScene.of(scene)
    assert torch.equal(part.counts, whole.counts[:: -(-len(whole.rows) // (len(whole.rows) // 3))])
    assert len(part.rows) == int(part.counts.sum())


@pytest.mark.parametrize("estimated", [2, 100])
def test_of_a_larger_catalogue_a_few_scenes_are_asked_exactly(filled, monkeypatch, estimated):
    """Chosen by estimates: of scenes that the index finds, or of all."""
    monkeypatch.setattr(search_module, "ESTIMATED", estimated)
    monkeypatch.setattr(search_module, "BEYOND", 2)
    told = 0
    for text in PHRASES:
        every = [scene.run for scene in searched(filled, text, exact=True).phrases[0].scenes]
        found = searched(filled, text, top=2).phrases[0]
        runs, told = [scene.run for scene in found.scenes], told + len(found.scenes)
        assert found.examined == 4
        if estimated == 2:
            assert len(runs) <= 2
            assert set(runs) <= set(every)
        else:
            assert runs == every[:2], text
    assert told


def test_a_part_is_read_while_the_one_before_is_used():
    began = [threading.Event() for _ in range(3)]

    def read(number):
        began[number].set()
        return number * 10

    reading = read_ahead([0, 1, 2], read)
    assert next(reading) == (0, 0)
    assert began[1].wait(30), "before it is asked for"
    assert list(reading) == [(1, 10), (2, 20)]
    assert list(read_ahead([], read)) == []

    def broken(number):
        raise CatalogueError(f"part {number}")

    with pytest.raises(CatalogueError, match="part 0"):
        next(read_ahead([0, 1], broken))


def test_what_was_used_last_is_kept_within_the_memory():
    entries = [Entry(f"room-{n}", n, "", {}, "", 0, 1.0, 0, 0, ()) for n in range(4)]
    kept, read = Kept(100), []

    def parts(missing):
        for entry in missing:
            read.append(entry.addition)
            yield SimpleNamespace(memory_bytes=40, number=entry.addition)

    assert [part.number for part in kept.of(entries[:2], parts)] == [0, 1]
    assert [part.number for part in kept.of([entries[2], entries[0]], parts)] == [2, 0]
    assert [part.number for part in kept.of([entries[0], entries[1]], parts)] == [0, 1]
    assert read == [0, 1, 2, 1]
    large = Kept(10)
    assert [part.number for part in large.of(entries, parts)] == [0, 1, 2, 3]
    assert [part.number for part in large.of(entries[3:], parts)] == [3]
    assert read == [0, 1, 2, 1, 0, 1, 2, 3]


def test_what_is_kept_answers_as_the_run_does_to_the_last_digit(lifted_run, baked_run):
    for run in (lifted_run, baked_run):
        model = lerf.load(run, device="cpu")
        scene = AnsweringScene.unpacked(AnsweringScene.of(model).packed(), "room")
        phrases = model.phrases("red")
        assert exact_presence(scene, phrases)[1] == model.query("red").queries[0].relevancy
        for spoilt in (b"", AnsweringScene.of(model).packed()[:-5], b"x" * 4000):
            with pytest.raises(CatalogueError, match="What the catalogue holds of room"):
                AnsweringScene.unpacked(spoilt, "room")


def test_adding_again_does_nothing_and_a_retrained_run_is_stale_until_it_is_added(lifted_run, tmp_path):
    run, catalogue = changed_run(lifted_run, tmp_path / "run", 40), Catalogue(tmp_path / "catalogue")
    assert catalogue.add(run) == "added"
    before = catalogue.entries()
    assert catalogue.add(run) == "present"
    assert catalogue.entries() == before
    shutil.copy(lifted_run / "language.safetensors", run / "language.safetensors")
    assert catalogue.check().stale == (str(run),)
    assert [scene.state for scene in searched(catalogue, "red").phrases[0].scenes] in ([], ["stale"])
    assert catalogue.add(run) == "replaced"
    found = catalogue.check()
    assert (found.runs, found.stale, found.damaged, found.left_over) == (1, (), (), 0)
    shutil.rmtree(run)
    assert catalogue.check().gone == (str(run),)
    assert catalogue.remove(run)
    assert not catalogue.remove(run)
    assert catalogue.entries() == []
    assert catalogue.store.count("cells") == 0


def test_a_run_without_an_index_is_told_to_be_baked(drawn_run, tmp_path):
    with pytest.raises(CatalogueError, match="run 'lerf bake"):
        Catalogue(tmp_path / "catalogue").add(drawn_run)
    assert not Catalogue(tmp_path / "catalogue").exists


def test_other_encoders_and_versions_are_refused(lifted_run, tmp_path, monkeypatch):
    catalogue = Catalogue(tmp_path / "catalogue")
    with pytest.raises(CatalogueError, match="There is no catalogue at"):
        catalogue.entries()
    catalogue.add(lifted_run)
    encoder = lerf.load(lifted_run, device="cpu").encoder
    monkeypatch.setattr(type(encoder), "fingerprint", "f" * 64)
    with pytest.raises(CatalogueError, match="The search has other weights of 'colour-words', and the catalogue"):
        Searcher(catalogue, encoder)
    monkeypatch.setattr(catalogue_module, "FORMAT", 3)
    with pytest.raises(CatalogueError, match=r"another version of lerf \(format 2, this one uses 3\); make it again"):
        Catalogue(tmp_path / "catalogue").entries()


def test_cells_of_an_addition_that_was_cut_off_are_nobodys_and_cleared_away(lifted_run, tmp_path, monkeypatch):
    catalogue = Catalogue(tmp_path / "catalogue")
    catalogue.add(lifted_run)
    kept, other = catalogue.store.count("cells"), changed_run(lifted_run, tmp_path / "other", 60)

    def cut_off(row):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(catalogue_module, "scene_content", cut_off)
        with pytest.raises(KeyboardInterrupt):
            catalogue.add(other)
    assert catalogue.store.count("cells") > kept
    assert {scene.run for scene in searched(catalogue, "red").phrases[0].scenes} <= {str(lifted_run)}
    found = Catalogue(tmp_path / "catalogue").check()
    assert (found.runs, found.damaged, found.left_over) == (1, (), 1)
    assert Catalogue(tmp_path / "catalogue").store.count("cells") == kept
    assert catalogue.add(other) == "added"


def test_the_command_line(lifted_run, tmp_path, capsys):
    run, place = changed_run(lifted_run, tmp_path / "run", 0), str(tmp_path / "catalogue")
    missing = str(tmp_path / "missing")
    assert main(["catalogue", "add", str(run), missing, "--to", place, "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["runs"] == {str(run): "added"}
    assert "is not a run folder" in told["failed"][missing]
    assert main(["catalogue", "ls", "--to", place]) == 0
    assert "fresh" in capsys.readouterr().out
    assert main(["search", "red", "--in", place, "--json"]) == 0
    answers = json.loads(capsys.readouterr().out)["phrases"][0]["scenes"]
    assert main(["query", str(run), "red", "--json"]) == 0
    query = json.loads(capsys.readouterr().out)["queries"][0]
    assert answers == [{"run": str(run), "state": "fresh", **query}]
    assert lerf.search("red", place).to_dict()["phrases"][0]["scenes"] == answers
    assert main(["catalogue", "check", "--to", place]) == 0
    assert "1 runs, 0 damaged" in capsys.readouterr().out
    assert main(["catalogue", "rm", str(run), "--to", place]) == 0
    assert main(["catalogue", "ls", str(run), "--to", place]) == 2
    assert main(["catalogue", "add", "--to", place]) == 2


def test_without_lancedb_the_extra_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "lancedb", None)
    with pytest.raises(CatalogueError, match=r"pip install 'lerf\[catalogue\]'"):
        Catalogue(tmp_path)
