"""Training windows of one picture: where they are, what they show, what is said of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Integer, UInt8

from captions import Caption, Sight, caption, sights
from lerf.evaluation.annotations import Thing
from lerf_scenes.kinds import all_kinds

SMALLEST, LARGEST = 14.0, 130.0
"""Sides of windows in pixels of pictures 240 pixels high."""
COARSE = 2
"""Labels are read at every second pixel."""


@dataclass(frozen=True)
class Window:
    """A square window and its caption."""

    x: float
    y: float
    side: float
    seen: list[Sight]
    caption: Caption


class Labels:
    """Label picture of a view with what windows ask of it, made once."""

    def __init__(self, labels: UInt8[np.ndarray, "height width"], things: tuple[Thing, ...]) -> None:
        self.things = {thing.identifier: thing for thing in things}
        self.owner = np.zeros(256, dtype=np.int64)
        self.part: dict[int, str] = {}
        for thing in things:
            for part in thing.parts:
                self.owner[part.label], self.part[part.label] = thing.identifier, part.name
        self.shape = labels.shape
        self.coarse = labels[::COARSE, ::COARSE]
        self.sides, self.pixels = {}, {}
        self.parts = part_middles(labels, things)
        places = places_of(self.owner[labels])
        for identifier, thing in self.things.items():
            if identifier not in places:
                continue
            rows, columns = places[identifier]
            self.sides[identifier] = float(np.sqrt((np.ptp(rows) + 1.0) * (np.ptp(columns) + 1.0)))
            if not thing.furniture:
                self.pixels[identifier] = (rows, columns)

    def sights(self, x: float, y: float, side: float) -> list[Sight]:
        """What a window shows; x, y and side in pixels of the label picture."""
        height, width = self.coarse.shape
        half = side / 2
        low_x, high_x = max(0, int((x - half) / COARSE)), min(width, int((x + half) / COARSE) + 1)
        low_y, high_y = max(0, int((y - half) / COARSE)), min(height, int((y + half) / COARSE) + 1)
        across = np.maximum(1 - np.abs(np.arange(low_x, high_x) * COARSE + 0.5 - x) / half, 0.0)
        down = np.maximum(1 - np.abs(np.arange(low_y, high_y) * COARSE + 0.5 - y) / half, 0.0)
        weights = (down[:, None] * across).reshape(-1)
        cut = self.coarse[low_y:high_y, low_x:high_x].reshape(-1)
        by_label = np.bincount(cut, weights, minlength=256)
        shares: dict[int, float] = {}
        part_shares: dict[tuple[int, str], float] = {}
        for label in np.flatnonzero(by_label):
            identifier = int(self.owner[label])
            if identifier == 0:
                continue
            share = float(by_label[label])
            key = (identifier, self.part[int(label)])
            shares[identifier] = shares.get(identifier, 0.0) + share
            part_shares[key] = part_shares.get(key, 0.0) + share
        return sights(shares, part_shares, self.sides, side, self.things) if shares else []


def places_of(numbers: Integer[np.ndarray, "height width"]) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """Rows and columns of every number's pixels, in reading order."""
    order = np.argsort(numbers.reshape(-1), kind="stable")
    found, first = np.unique(numbers.reshape(-1)[order], return_index=True)
    pieces = np.split(order, first[1:])
    return {int(n): np.divmod(piece, numbers.shape[1]) for n, piece in zip(found, pieces, strict=True)}


def part_middles(
    labels: UInt8[np.ndarray, "height width"], things: tuple[Thing, ...]
) -> list[tuple[Thing, str, float, float, float]]:
    """Every visible part that may be asked for, of 60 pixels or more: its thing, name, middle (x, y) and side."""
    found, places = [], places_of(labels)
    for thing in things:
        asked = () if thing.furniture else all_kinds()[thing.kind].askable_parts
        for part in thing.parts:
            if part.name not in asked or part.label not in places:
                continue
            rows, columns = places[part.label]
            if len(rows) >= 60:
                side = max(SMALLEST, 1.2 * len(rows) ** 0.5)
                found.append((thing, part.name, float(columns.mean()) + 0.5, float(rows.mean()) + 0.5, side))
    return found


def draw_windows(labels: Labels, count: int, random: np.random.Generator) -> list[Window]:
    """Windows of all sizes whose middle lies in the picture.

    Of ten, six are about as large as a thing and near its middle, one so on a part, two lie on a thing and have any
    size, one lies anywhere. Things with fewer than 40 visible pixels are left out.
    """
    height, width = labels.shape
    shown = [(labels.sides[i], rows, columns) for i, (rows, columns) in labels.pixels.items() if len(rows) >= 40]
    order, taken = random.permutation(len(shown)), 0
    windows: list[Window] = []
    for _ in range(4 * count):
        if len(windows) == count:
            break
        side = float(np.exp(random.uniform(np.log(SMALLEST), np.log(LARGEST))))
        draw = random.random()
        if shown and draw < 0.8:
            # Every thing in turn, so that none is left out.
            extent, rows, columns = shown[order[taken % len(shown)]]
            taken += 1
            place = random.integers(len(rows))
            x, y = columns[place] + random.uniform(), rows[place] + random.uniform()
            if draw < 0.6:
                side = float(np.clip(extent * np.exp(random.uniform(-0.4, 0.4)), SMALLEST, LARGEST))
                inwards = random.uniform(0.5, 1.0)
                x += inwards * (columns.mean() + 0.5 - x)
                y += inwards * (rows.mean() + 0.5 - y)
        elif labels.parts and draw < 0.9:
            _, _, x, y, side = labels.parts[random.integers(len(labels.parts))]
            side = float(np.clip(side * np.exp(random.uniform(-0.3, 0.3)), SMALLEST, LARGEST))
            x, y = x + random.uniform(-0.15, 0.15) * side, y + random.uniform(-0.15, 0.15) * side
        else:
            x, y = random.uniform(0, width), random.uniform(0, height)
        seen = labels.sights(x, y, side)
        if seen:
            windows.append(Window(float(x), float(y), side, seen, caption(seen, random)))
    return windows


def whole_windows(labels: Labels) -> list[tuple[Thing, float, float, float]]:
    """One window on each object that is plainly visible: the middle of its pixels, as large as it."""
    found = []
    for identifier, (rows, columns) in labels.pixels.items():
        if len(rows) >= 150:
            found.append(
                (labels.things[identifier], float(columns.mean()) + 0.5, float(rows.mean()) + 0.5,
                 float(np.clip(labels.sides[identifier], SMALLEST, LARGEST)))
            )  # fmt: skip
    return found
