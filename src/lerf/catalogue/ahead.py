"""Reading one part of something while the part before it is used."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Part = TypeVar("Part")
Content = TypeVar("Content")


def read_ahead(parts: Sequence[Part], read: Callable[[Part], Content]) -> Iterator[tuple[Part, Content]]:
    """Each part with what `read` gives for it, in their order; that of the next one is read in a thread meanwhile."""
    if not parts:
        return
    with ThreadPoolExecutor(1) as thread:
        reading = thread.submit(read, parts[0])
        for part, following in zip(parts, [*parts[1:], None], strict=True):
            content = reading.result()
            if following is not None:
                reading = thread.submit(read, following)
            yield part, content
