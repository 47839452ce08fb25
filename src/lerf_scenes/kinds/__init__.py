"""All kinds of objects, one module a subject."""

from __future__ import annotations

from functools import cache

from lerf_scenes.kind import Kind
from lerf_scenes.kinds import (
    accessories,
    clothing,
    decoration,
    drinkware,
    electronics,
    food,
    fruit,
    games,
    household,
    instruments,
    stationery,
    tableware,
    toys,
    vehicles,
)

SUBJECTS = (
    drinkware, tableware, fruit, food, stationery, electronics, decoration, household, instruments, games, vehicles,
    toys, clothing, accessories,
)  # fmt: skip
ORDER = (
    "mug", "teapot", "bottle", "wine glass", "bowl", "plate", "frying pan", "spoon", "jar", "banana", "apple",
    "lemon", "pear", "mushroom", "donut", "carrot", "cupcake", "pineapple", "cheese", "book", "laptop",
    "camera", "pencil", "scissors", "globe", "phone", "calculator", "tape", "headphones", "candle", "lamp",
    "cactus", "vase", "clock", "key", "bell", "hourglass", "basket", "ball", "dice", "chess piece",
    "rubber duck", "toy car", "house", "rocket", "robot", "teddy bear", "boat", "drum", "guitar", "train",
    "stacking rings", "hat", "shoe", "handbag", "umbrella", "watch", "glasses", "crown", "mitten",
)  # fmt: skip
"""Names of all kinds. A scene draws its objects by their position here, so that any change of this list changes the
scenes of all seeds; `write.VERSION` is then to be raised."""


@cache
def all_kinds() -> dict[str, Kind]:
    """Every kind by name, in the order of `ORDER`.

    Raises:
        ValueError: when a kind is missing from `ORDER`.
    """
    kinds = [kind for subject in SUBJECTS for kind in subject.KINDS]
    return {kind.name: kind for kind in sorted(kinds, key=lambda kind: ORDER.index(kind.name))}
