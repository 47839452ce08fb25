"""Tables of every width: no name is cut or broken, and nothing is wider than the terminal that need not be."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from lerf.apps.bake import agreement_table
from lerf.apps.console import PlainConsole
from lerf.apps.demo_report import phrase_table
from lerf.apps.eval_tables import report_tables
from lerf.apps.query import answer_table
from lerf.apps.tables import Listing, column_widths, show, wrapped

PHRASES = ["a", "the red mug beside the window", "大きな赤いマグカップ", "x" * 70, "[red]mug", "cup [/b]"]
PHOTOS = ["images/0001.jpg", "images/camera left/IMG 20240131 (1).jpeg", "v" * 90 + ".png"]
ANSWERS = [
    {
        "text": phrase, "present": True, "relevancy": 0.98765, "point": [123.4567, -0.001, 99.0], "scale": 1.25,
        "instances": [1, 2], "view": PHOTOS[number % len(PHOTOS)], "pixel": [1234.4, 56.0],
    }
    for number, phrase in enumerate(PHRASES)
]  # fmt: skip
COLOURS = {"psnr": 28.551, "ssim": 0.8413, "lpips": 0.123}


def report() -> dict:
    """What tables of an evaluation are made of."""
    scores = {"localisation": 0.87, "localisation_by_type": {"name": 0.9, "colour": 0.8}, "miou": 0.53}
    return {
        "views": [{"photo": photo, **COLOURS} for photo in PHOTOS], **COLOURS, "phrases": [],
        "protocol": ["lerf-localisation", "lerf-ovs"], "settings": {"localisation_rule": "peak"}, **scores,
        "baseline_2d": scores,
    }  # fmt: skip


def tables() -> dict[str, tuple[Listing, list[str]]]:
    """By command, a table and the names that it must show."""
    rows = [{"text": text, "type": "name", "score": 0.9, "localisation": 1.0, "iou": 0.5} for text in PHRASES]
    agreements = {text: {"difference": 0.1, "distance": 12.5, "scale_ratio": 1.0} for text in PHRASES}
    colour, scores = report_tables(report())
    return {
        "query": (answer_table(ANSWERS), PHRASES + PHOTOS),
        "bake": (agreement_table(agreements), PHRASES),
        "demo": (phrase_table(rows[:4]), PHRASES[:4]),
        "eval of colour": (colour, PHOTOS),
        "eval of answers": (scores, ["colour", "peak", "87.0 %"]),
    }


def shown(listing: Listing, width: int) -> str:
    file = io.StringIO()
    show(PlainConsole(file=file, width=width), listing)
    return file.getvalue()


@pytest.mark.parametrize("width", [40, 60, 80, 120, 400])
@pytest.mark.parametrize("command", tables())
def test_no_name_is_cut(command: str, width: int) -> None:
    listing, names = tables()[command]
    said = shown(listing, width)
    assert "…" not in said
    for name in names:
        assert name in said
    longest = max(cell_len(piece) for row in listing.rows for cell in row for piece in cells(cell))
    # As a list, what is longest stands behind its title.
    assert max(map(cell_len, said.splitlines())) <= max(width, longest + 2 + 30)


def cells(cell: str | tuple[str, ...]) -> tuple[str, ...]:
    return (cell,) if isinstance(cell, str) else cell


def test_an_ordinary_answer_is_a_table_at_80_columns() -> None:
    ordinary = [{**ANSWERS[0], "text": "a blue box", "view": "images/0001.jpg", "pixel": [120.0, 45.0]}]
    lines = shown(answer_table(ordinary), 80).splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0].startswith("phrase")
    assert [line for line in lines if line.startswith("a blue box")]
    assert shown(answer_table(ordinary), 60).startswith("phrase: a blue box\n  present: yes\n  relevancy: 0.988\n")


@given(
    st.lists(st.lists(st.text("abc 大", max_size=12), min_size=3, max_size=3), min_size=1, max_size=4),
    st.integers(10, 60),
)
def test_what_fits_stays_within_the_width(rows: list[list[str]], width: int) -> None:
    listing = Listing(("one", "two words", "three"))
    for row in rows:
        listing.add(*(tuple(cell.split()) for cell in row))
    said = shown(listing, width)
    for row in rows:
        for word in " ".join(row).split():
            assert word in said
    if "one:" not in said:
        assert max(map(cell_len, said.splitlines())) <= width


def test_widths_are_shared() -> None:
    columns = [[("aaa", "bbb")], [("cc", "dd", "ee")]]
    assert column_widths(columns, 4) is None
    assert column_widths(columns, 5) == [3, 2]
    assert column_widths(columns, 100) == [7, 8]
    widths = column_widths(columns, 12)
    assert widths is not None
    assert sum(widths) == 12


def test_lines_of_pieces() -> None:
    assert wrapped(("one", "two", "three"), 7) == ["one two", "three"]
    assert wrapped(("much longer",), 3) == ["much longer"]
