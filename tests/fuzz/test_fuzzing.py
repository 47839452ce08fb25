"""The fuzzing finds faults that were planted, survives them, and repeats a case exactly."""

import json
import math
from random import Random

import pytest
from planted import READERS, SUITE

from fuzzing import command
from fuzzing.material import check_valid
from fuzzing.mutation.data import spoilt_bytes, spoilt_lines
from fuzzing.mutation.documents import parsed, spoilt, written
from fuzzing.mutation.places import Skip, spoilt_place
from fuzzing.mutation.values import Raw, wrong_value
from fuzzing.oracle import Fault, check_finite, judged, problem_of
from fuzzing.pool import Pool
from fuzzing.report import table
from fuzzing.suite import case_of

PLANTED = "planted:SUITE"


@pytest.fixture
def material(tmp_path):
    folder = tmp_path / "material"
    folder.mkdir()
    SUITE.make_material(folder)
    return folder


@pytest.fixture
def judge(material, tmp_path):
    """What comes of a case of a planted kind in this process."""
    count = iter(range(10_000))

    def judge(kind, seed=0):
        folder = tmp_path / f"case-{next(count)}"
        folder.mkdir()
        return judged(SUITE.kinds[kind], case_of(kind, seed, material, folder))

    return judge


def tried(material, tmp_path, cases, seconds=2.0):
    """Results of a pool of two workers, by kind."""
    with Pool(PLANTED, material, tmp_path / "scratch", 2, seconds) as pool:
        return {result.kind: result.verdict for result in pool.results(iter(cases))}


def test_a_planted_fault_is_found(judge):
    """1 / number stumbles over zero and over text, and each is a fault at its place, with what was done."""
    verdicts = [judge("reader", seed) for seed in range(300)]
    found = {verdict.said.partition(":")[0] for verdict in verdicts if verdict.outcome == "fault"}
    assert {"ZeroDivisionError", "TypeError"} <= found
    assert {"refused", "accepted"} <= {verdict.outcome for verdict in verdicts}
    fault = next(verdict for verdict in verdicts if verdict.said.startswith("ZeroDivisionError"))
    assert (fault.fault, fault.place) == ("traceback", "planted.py:read")
    assert "number" in fault.spoilt


def test_a_seed_repeats_a_case(judge):
    def told(verdict):
        return verdict.outcome, verdict.said, verdict.place, verdict.spoilt

    first, again = ([told(judge("reader", seed)) for seed in range(40)] for _ in range(2))
    assert first == again
    assert len({said for *_, said in first}) > 20, "seeds differ from each other"


@pytest.mark.parametrize("kind", [name for name in READERS if name not in ("hang", "memory", "died")])
def test_what_comes_of_a_case(judge, kind):
    verdict = judge(kind)
    expected = ("fault", kind) if kind not in ("accepted", "refused") else (kind, "")
    assert (verdict.outcome, verdict.fault) == expected


def test_what_cannot_be_tried_is_skipped(judge):
    assert judge("skipped").outcome == "skipped"


def test_hangs_memory_and_deaths_are_found_and_survived(material, tmp_path):
    cases = [("hang", 0), ("memory", 0), ("died", 0), ("refused", 0), ("accepted", 0)]
    verdicts = tried(material, tmp_path, cases)
    assert {kind: verdict.fault for kind, verdict in verdicts.items()} == {
        "hang": "hang", "memory": "memory", "died": "died", "refused": "", "accepted": "",
    }  # fmt: skip
    assert "code 7" in verdicts["died"].said
    assert {verdict.spoilt for verdict in verdicts.values()} <= {"nothing", "'nothing'"}


def test_a_valid_input_that_is_refused_stops_the_run(material, tmp_path):
    check_valid(SUITE, "accepted", material, tmp_path)
    with pytest.raises(SystemExit, match="The valid input of refused is not accepted"):
        check_valid(SUITE, "refused", material, tmp_path)


def test_the_command_ends_with_1_when_there_is_a_fault(material, monkeypatch, capsys):
    monkeypatch.setattr(command, "material_of", lambda *_: material)
    common = ["--suite", PLANTED, "--workers", "1"]
    assert command.main([*common, "--only", "accepted", "refused", "skipped", "--cases", "6"]) == 0
    assert "no fault" in capsys.readouterr().out
    assert command.main([*common, "--only", "changed", "accepted", "--cases", "4"]) == 1
    shown = capsys.readouterr().out
    assert "2 faults at 1 places" in shown
    assert "--replay changed:0" in shown
    assert command.main([*common, "--replay", "changed:0"]) == 1
    assert "changed:0 fault changed" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="no kind nothing"):
        command.main([*common, "--only", "nothing"])


def test_the_table_counts(judge):
    from fuzzing.pool import Result

    kinds = ["accepted", "refused", "changed"]
    results = [Result(kind, 0, judge(kind), 0.5) for kind in [*kinds, "changed"]]
    rows = [line.split() for line in table(results, kinds).splitlines()]
    assert rows[3][:6] == ["changed", "2", "0", "0", "0", "2"]
    assert rows[4][:6] == ["all", "4", "1", "1", "0", "2"]


@pytest.mark.parametrize(
    ("message", "bad"),
    [
        ("One clear sentence; do this.", False), ("", True), ("a" * 300, False), ("a" * 301, True), ("a\nb", True),
        ("\x1b[31m", True), ("\u202e", True), ("\udcff", True), ("\u6771\u4eac", False),
    ],
)  # fmt: skip
def test_messages(message, bad):
    assert bool(problem_of(message)) == bad


@pytest.mark.parametrize("value", [float("nan"), [1.0, [math.inf]], {"a": {"b": -math.inf}}])
def test_numbers_that_are_not_finite(value):
    with pytest.raises(Fault):
        check_finite(value)
    check_finite({"a": [1.0, None, "nan", True]})


def test_documents_are_kept_and_spoilt():
    text = '{"a": [1, 2.5, {"b": "c"}], "a": null}'
    assert written(parsed(text)) == text, "a key that stands twice too"
    valid = parsed('{"frames": [{"name": "x", "matrix": [[1, 0], [0, 1]]}], "w": 3}')
    texts = {written(spoilt(valid, Random(seed))[0]) for seed in range(400)}
    assert len(texts) > 200
    assert any("NaN" in text for text in texts)
    assert any(text.count("[") > 50_000 for text in texts)
    assert any('"w"' not in text for text in texts)
    assert json.loads(written(valid)) == {"frames": [{"name": "x", "matrix": [[1, 0], [0, 1]]}], "w": 3}
    assert any(isinstance(wrong_value(Random(seed)), Raw) for seed in range(100))


def test_bytes_and_lines_are_spoilt():
    data, text = bytes(range(200)), "# comment\n1 PINHOLE 12 8 10.0 11.0\n2 images/a.png"
    assert len({spoilt_bytes(data, Random(seed))[0] for seed in range(200)} - {data}) > 150
    assert len({spoilt_lines(text, Random(seed))[0] for seed in range(200)} - {text.encode()}) > 150


def test_what_stands_in_a_file_s_place(tmp_path):
    found = set()
    for seed in range(60):
        path = tmp_path / f"{seed}.json"
        path.write_text("{}")
        try:
            found.add(spoilt_place(path, Random(seed)))
        except Skip:
            found.add("no permission")
            assert path.read_text() == "{}"
    assert found == {"missing", "empty", "folder", "pipe", "loop", "dangling", "device", "no permission", "large"}
