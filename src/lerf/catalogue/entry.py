"""What a catalogue says of its runs, without their content."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lerf.catalogue.run_files import Files, State, state_of


@dataclass(frozen=True)
class Entry:
    """A run of a catalogue, without its content."""

    name: str
    """Absolute path or address of the run."""
    addition: int
    key: str
    """Of the content of its files."""
    files: Files
    added: str
    """When, UTC."""
    rows: int
    """In `cells`."""
    kept: float
    """Share of its embeddings that the catalogue's basis keeps, 0..1."""
    content_bytes: int
    photos: tuple[str, ...]

    @property
    def state(self) -> State:
        """Whether the run is still what it was when it was added."""
        return state_of(self.name, self.files)


@dataclass(frozen=True)
class Findings:
    """What `Catalogue.check` found."""

    runs: int
    damaged: tuple[str, ...]
    """Sentences; none where nothing is wrong."""
    stale: tuple[str, ...]
    """Runs that were trained or baked again since."""
    gone: tuple[str, ...]
    left_over: int
    """Additions that were cut off, whose cells were taken away."""


def by_size(entries: Sequence[Entry], most: int) -> Iterator[list[Entry]]:
    """Entries in their order, in parts whose content takes at most so many bytes, or of one."""
    part: list[Entry] = []
    for entry in entries:
        if part and sum(one.content_bytes for one in part) + entry.content_bytes > most:
            yield part
            part = []
        part.append(entry)
    if part:
        yield part
