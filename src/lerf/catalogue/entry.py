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
    """Of what answers exactly."""
    quantised_bytes: int
    """Of what relevancy is estimated from."""
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


def by_size(entries: Sequence[Entry], sizes: Sequence[int], most: int) -> Iterator[list[Entry]]:
    """Entries in their order, in parts whose sizes add up to at most so many bytes, or of one."""
    part: list[Entry] = []
    taken = 0
    for entry, size in zip(entries, sizes, strict=True):
        if part and taken + size > most:
            yield part
            part, taken = [], 0
        part.append(entry)
        taken += size
    if part:
        yield part
