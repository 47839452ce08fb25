"""What a search returns, and the JSON that it becomes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lerf.catalogue.run_files import State
from lerf.queries.result import Answer

SCHEMA = 1
"""Version of the JSON."""


@dataclass(frozen=True)
class SceneAnswer:
    """A scene that holds a phrase, with the answer that `lerf query` of its run gives."""

    run: str
    """Absolute path or address of the run."""
    addition: int
    """Number under which the catalogue has it."""
    state: State
    """Whether the run is still what the catalogue has of it."""
    answer: Answer
    photo: int | None
    """The photo of the best point, as an index into the scene's."""
    mark: tuple[float, float] | None = None
    """The best point in that photo, (x, y) as shares of its width and height."""

    def to_dict(self) -> dict[str, Any]:
        """One entry of `scenes`."""
        return {"run": self.run, "state": self.state, **self.answer.to_dict()}


@dataclass(frozen=True)
class PhraseResult:
    """Where one phrase is."""

    text: str
    scenes: tuple[SceneAnswer, ...]
    """Scenes that hold it, the most relevant first."""
    examined: int
    """Scenes whose relevancy was computed exactly."""

    def to_dict(self) -> dict[str, Any]:
        """One entry of `phrases`."""
        return {"text": self.text, "examined": self.examined, "scenes": [scene.to_dict() for scene in self.scenes]}


@dataclass(frozen=True)
class SearchResult:
    """Answers of a catalogue to phrases, in the order asked."""

    encoder: str
    runs: int
    """In the catalogue."""
    phrases: tuple[PhraseResult, ...]

    def to_dict(self) -> dict[str, Any]:
        """The search JSON, of plain Python values only."""
        return {
            "schema": SCHEMA, "encoder": self.encoder, "runs": self.runs,
            "phrases": [phrase.to_dict() for phrase in self.phrases],
        }  # fmt: skip
