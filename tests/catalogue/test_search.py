"""A catalogue of small runs: it answers as each run does, and says what it cannot answer."""

import json
import shutil
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from changed_runs import changed_run

import lerf
from lerf.apps.main import main
from lerf.catalogue import catalogue as catalogue_module
from lerf.catalogue.candidates import candidates, ranked
from lerf.catalogue.catalogue import Catalogue
from lerf.catalogue.record import AnsweringScene
from lerf.catalogue.search import Searcher, exact_presence
from lerf.errors import CatalogueError
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
    assert candidates(catalogue.store, query[0], canonical, 1)[0] == holding
    rows = catalogue.store.nearest(query[0].astype(np.float32), 1_000_000, 1, True)
    vectors = np.stack(rows["vector"].to_pylist())
    assert len(vectors) == sum(entry.rows for entry in catalogue.entries())
    for one in (query[0], -query[0]):
        margins = vectors @ one - (vectors @ canonical.T).max(1)
        expected = ranked(rows["addition"].to_numpy(), margins)
        assert candidates(catalogue.store, one, canonical, 2, exact=True) == expected


def test_scenes_are_ranked_by_the_mean_of_their_best_cells():
    additions = np.array([7] * 6 + [3] * 2 + [9])
    margins = np.array([0.9, 0.1, 0.1, 0.1, 0.1, -5.0, 0.5, 0.4, 0.3])
    assert ranked(additions, margins) == [3, 9, 7]


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
    monkeypatch.setattr(catalogue_module, "FORMAT", 2)
    with pytest.raises(CatalogueError, match=r"another version of lerf \(format 1, this one uses 2\); make it again"):
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
