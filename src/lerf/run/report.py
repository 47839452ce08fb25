"""How long work tells the world about itself; the command line draws it, Python may listen or stay silent."""

from __future__ import annotations

from typing import Protocol, runtime_checkable


@runtime_checkable
class Reporter(Protocol):
    """Receives the progress of stages that follow one another."""

    def begin(self, stage: str, total: int) -> None:
        """A stage of `total` units starts."""
        ...

    def advance(self, done: int, facts: dict[str, float] | None = None) -> None:
        """`done` units are finished; `facts` are numbers worth showing."""
        ...

    def end(self, seconds: float) -> None:
        """The stage is over."""
        ...

    def note(self, message: str) -> None:
        """A sentence for the user."""
        ...


class Silent:
    """Says nothing."""

    def begin(self, stage: str, total: int) -> None: ...

    def advance(self, done: int, facts: dict[str, float] | None = None) -> None: ...

    def end(self, seconds: float) -> None: ...

    def note(self, message: str) -> None: ...
