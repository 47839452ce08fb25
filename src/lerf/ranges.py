"""Bounds of settings and options, written as annotations: `levels: Count = 10`."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Annotated, Any


class Bound(ABC):
    """Which values of a type a field takes; `in` tells, `str` says it as it follows the type in a sentence."""

    @abstractmethod
    def __contains__(self, value: Any) -> bool: ...


@dataclass(frozen=True)
class Range(Bound):
    """Numbers from `low` to `high`, both included unless `above` leaves out `low`."""

    low: float = -math.inf
    high: float = math.inf
    above: bool = False

    def __contains__(self, value: float) -> bool:
        return (value > self.low if self.above else value >= self.low) and value <= self.high

    def __str__(self) -> str:
        """The range as it follows "a number" in a sentence."""
        if self.high == math.inf:
            return f"above {self.low}" if self.above else f"of at least {self.low}"
        return f"above {self.low} and at most {self.high}" if self.above else f"from {self.low} to {self.high}"


@dataclass(frozen=True)
class Filled(Bound):
    """Text that is more than white space."""

    def __contains__(self, value: str) -> bool:
        return bool(value.strip())

    def __str__(self) -> str:
        return "that is not blank"


ADDED = {"added": True}
"""Metadata of a setting that older runs do not have; they were made with its default."""


@dataclass(frozen=True)
class Repeated:
    """Marks a tuple that may be empty: what an option collects that may be given any number of times."""


Count = Annotated[int, Range(1)]
Few = Annotated[int, Range(1, 64)]
"""Levels, layers, features of a level."""
Width = Annotated[int, Range(1, 1 << 16)]
"""Units of a layer."""
Samples = Annotated[int, Range(1, 1024)]
"""Samples of a ray: of more, no memory holds those of a picture."""
Cells = Annotated[int, Range(1, 1 << 20)]
"""Cells along an axis of a grid."""
NotNegativeCount = Annotated[int, Range(0)]
Positive = Annotated[float, Range(0, above=True)]
NotNegative = Annotated[float, Range(0)]
Share = Annotated[float, Range(0, 1)]
PositiveShare = Annotated[float, Range(0, 1, above=True)]
Port = Annotated[int, Range(0, 65535)]
Words = Annotated[str, Filled()]
