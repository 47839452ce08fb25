"""Tables in which no name is ever cut: columns wrap between words, and where that is not enough rows become lists."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lerf.text import printable

Cell = str | tuple[str, ...]
"""What stays on one line, or several such pieces, between which a line may end."""
GAP = 2
"""Cells between two columns."""


@dataclass
class Listing:
    """Rows under titles, or without."""

    titles: Sequence[str]
    has_titles: bool = True
    rows: list[tuple[Cell, ...]] = field(default_factory=list)

    def add(self, *cells: Cell) -> None:
        """Add a row with a cell for each title."""
        if len(cells) != len(self.titles):
            raise ValueError(f"A row of {len(cells)} cells under {len(self.titles)} titles.")
        self.rows.append(cells)


def show(console: Console, listing: Listing) -> None:
    """Print a listing as a table if that fits into the console's width, else each row as lines `title: value`."""
    heads = [tuple(title.split()) or ("",) for title in listing.titles]
    pieces = [[_pieces(cell) for cell in row] for row in listing.rows]
    lines = [heads, *pieces] if listing.has_titles else pieces
    columns = [[line[number] for line in lines] for number in range(len(heads))] if lines else []
    room = console.width - GAP * (len(columns) - 1)
    widths = column_widths(columns, room) if columns else []
    if widths is None:
        for row in pieces:
            told = [" ".join(cell) for cell in row]
            if not listing.has_titles:
                console.print(": ".join(told))
                continue
            for place, (title, value) in enumerate(zip(listing.titles, told, strict=True)):
                if value or not place:
                    console.print(f"{'  ' if place else ''}{title}: {value}")
        return
    options = {"show_header": listing.has_titles, "show_edge": False, "pad_edge": False, "padding": (0, 1, 0, 0)}
    table = Table(box=box.SIMPLE_HEAD, **options)  # type: ignore[arg-type]
    for head, width in zip(heads, widths, strict=True):
        table.add_column(Text("\n".join(wrapped(head, width))), width=width, no_wrap=True)
    for row in pieces:
        table.add_row(*(Text("\n".join(wrapped(cell, width))) for cell, width in zip(row, widths, strict=True)))
    console.print(table)


def column_widths(columns: Sequence[Sequence[tuple[str, ...]]], room: int) -> list[int] | None:
    """Widths that together take at most `room`, none narrower than its longest piece; None where there are none such.

    Args:
        columns: of each the cells, as pieces.
        room: for all columns, without the gaps.
    """
    least = [max(cell_len(piece) for cell in column for piece in cell) for column in columns]
    most = [max(cell_len(" ".join(cell)) for cell in column) for column in columns]
    if sum(least) > room:
        return None
    widths = list(least)
    # What is left goes to the columns in turn, for as long as one can use it.
    while sum(widths) < room and widths != most:
        for number, whole in enumerate(most):
            if widths[number] < whole and sum(widths) < room:
                widths[number] += 1
    return widths


def wrapped(pieces: Sequence[str], width: int) -> list[str]:
    """Lines of at most `width`, each of as many pieces as fit; a piece that is longer has a line of its own."""
    lines = [pieces[0]]
    for piece in pieces[1:]:
        longer = f"{lines[-1]} {piece}"
        if cell_len(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(piece)
    return lines


def _pieces(cell: Cell) -> tuple[str, ...]:
    return (printable(cell),) if isinstance(cell, str) else tuple(map(printable, cell)) or ("",)
