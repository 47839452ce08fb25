"""What was read of a catalogue's scenes last, kept within some memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from typing import Generic, Protocol, TypeVar

from lerf.catalogue.entry import Entry


class Sized(Protocol):
    """What knows how much memory it holds."""

    @property
    def memory_bytes(self) -> int:
        """About how much it is."""
        ...


Part = TypeVar("Part", bound=Sized)


class Kept(Generic[Part]):
    """Parts of scenes by their additions: of those used last as many as `memory` bytes hold, and at least one."""

    def __init__(self, memory: int) -> None:
        self.memory = memory
        self._held = 0
        self._parts: OrderedDict[int, Part] = OrderedDict()

    def of(self, entries: Sequence[Entry], read: Callable[[list[Entry]], Iterator[Part]]) -> Iterator[Part]:
        """Those of some entries, in their order; `read` gives the missing ones."""
        # Held by themselves: some may be dropped for others before their turn.
        known = {one.addition: self._parts[one.addition] for one in entries if one.addition in self._parts}
        missing = read([one for one in entries if one.addition not in known])
        for entry in entries:
            part = known.pop(entry.addition) if entry.addition in known else next(missing)
            if entry.addition not in self._parts:
                self._held += part.memory_bytes
            self._parts[entry.addition] = part
            self._parts.move_to_end(entry.addition)
            while len(self._parts) > 1 and self._held > self.memory:
                self._held -= self._parts.popitem(last=False)[1].memory_bytes
            yield part
