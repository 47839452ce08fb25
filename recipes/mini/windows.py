"""Training windows of one picture: where they are, what they show, what is said of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, UInt8

from captions import FURNITURE, Caption, Sight, caption, sights
from lerf.generator.annotation import Thing
from lerf.generator.kinds import all_kinds

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
        places = {name: place for place, name in enumerate([*all_kinds(), *FURNITURE])}
        self.kinds = np.full(256, -1, dtype=np.int64)
        for thing in things:
            for part in thing.parts:
                self.kinds[part.label] = places[thing.kind]
        self.full = labels
        self.coarse = labels[::COARSE, ::COARSE]
        self.sides, self.pixels = {}, {}
        owners = self.owner[labels]
        for identifier, thing in self.things.items():
            rows, columns = np.nonzero(owners == identifier)
            if len(rows) == 0:
                continue
            self.sides[identifier] = float(np.sqrt((np.ptp(rows) + 1.0) * (np.ptp(columns) + 1.0)))
            if not thing.furniture:
                self.pixels[identifier] = (rows, columns)

    def kind_at(self, x: Float[np.ndarray, " points"], y: Float[np.ndarray, " points"]) -> Int[np.ndarray, " points"]:
        """Which kind (index into kinds, then furniture) the pixels at these places show; -1 for none."""
        height, width = self.full.shape
        column, row = np.clip(x.astype(np.int64), 0, width - 1), np.clip(y.astype(np.int64), 0, height - 1)
        return self.kinds[self.full[row, column]]

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


def draw_windows(
    labels: Labels,
    frame: tuple[float, float, float, float],
    smallest: float,
    largest: float,
    count: int,
    random: np.random.Generator,
) -> list[Window]:
    """Windows whose middle lies inside `frame` (x0, y0, x1, y1).

    Half are about as large as a thing and near its middle, a quarter lie on a thing and have any size, the rest lie
    anywhere. Things with fewer than 12 pixels in the frame are left out.
    """
    x0, y0, x1, y1 = frame
    shown = []
    for identifier, (rows, columns) in labels.pixels.items():
        keep = (columns >= x0) & (columns < x1) & (rows >= y0) & (rows < y1)
        if keep.sum() >= 12:
            shown.append((labels.sides[identifier], rows[keep], columns[keep]))
    windows: list[Window] = []
    for attempt in range(4 * count):
        if len(windows) == count:
            break
        side = float(np.exp(random.uniform(np.log(smallest), np.log(largest))))
        draw = random.random()
        if shown and draw < 0.75:
            # Every thing in turn, so that none is left out.
            extent, rows, columns = shown[attempt % len(shown)]
            place = random.integers(len(rows))
            x, y = columns[place] + random.uniform(), rows[place] + random.uniform()
            if draw < 0.5:
                side = float(np.clip(extent * np.exp(random.uniform(-0.5, 0.4)), smallest, largest))
                inwards = random.uniform(0.3, 1.0)
                x += inwards * (columns.mean() + 0.5 - x)
                y += inwards * (rows.mean() + 0.5 - y)
        else:
            x, y = random.uniform(x0, x1), random.uniform(y0, y1)
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


def as_float(picture: UInt8[np.ndarray, "h w 3"]) -> Float[np.ndarray, "3 h w"]:
    """Channels first, 0..1."""
    return np.ascontiguousarray(picture.transpose(2, 0, 1)).astype(np.float32) / 255.0
