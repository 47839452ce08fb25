"""Values that no reader should stumble over, as JSON tokens and as text."""

from __future__ import annotations

from random import Random
from typing import Any


class Raw(str):
    """Stands in a JSON document as it is, not as a string."""


NUMBERS: tuple[Any, ...] = (
    Raw("NaN"), Raw("Infinity"), Raw("-Infinity"), Raw("1e400"), Raw("-1e400"), Raw("1" + "0" * 400), Raw("-0"),
    0, -1, 1, 2, 3, 0.5, -0.5, 34, 255, 256, 65536, 1e-300, 1e-9, 1e6, 1e15, 1e20, 1e38, 1e39, 1e40, 1e200, 1e308,
    -1e20, -1e200, 2**31 - 1, 2**31, 2**32, 2**53 + 1, 2**63 - 1, 2**63, 2**64, -(2**31), -(2**63), -(2**63) - 1,
    10**40,
)  # fmt: skip
TEXTS = (
    "", " ", "no", "false", "nan", "12", "-1", "1e400", "\t", "line\nbreak\rback", "nul\0byte", "\x1b[31mred\x1b[0m",
    "\x1b]0;title\x07", "\x9b2J", "\u202egnp.0", "\u200b", "\u2028", "\ud800", "\udcff", "e\u0301", "\ufeffa",
    "\U0001f98a", "\u6771\u4eac", "[/b]", "[red]mug", "[link=file:///]x", "%s%n", "{0}", "'\"`$(x)", "a" * 300,
    "a/" * 3000, "a" * 100_000, "\u4e00" * 300,
)  # fmt: skip
PATHS = (
    "", ".", "..", "/", "~", "-", "../../../../etc/hostname", "/dev/null", "/dev/zero", "/dev/stdin", "/proc/self/mem",
    "/proc/self/environ", "images", "images/", "./images/../images/0001.png", "images/0000.png/x", "nul\0byte.png",
    "images/" + "n" * 300 + ".png", "d/" * 2500 + "x.png", "C:\\images\\0000.png", "images\\0000.png",
    "images/0000", "IMAGES/0000.PNG", "images/\ud800.png", "images/\x1b[31m.png", "images/*.png", "file:///etc/hostname",
)  # fmt: skip
DEPTHS = (100, 600, 100_000)
"""How deep brackets are nested: what a parser may take, more than Python's recursion, more than any stack."""


def wrong_value(random: Random) -> Any:
    """Anything that JSON can say, and some that it cannot."""
    pick = random.random()
    if pick < 0.45:
        return random.choice(NUMBERS)
    if pick < 0.62:
        return random.choice(TEXTS)
    if pick < 0.72:
        return random.choice(PATHS)
    if pick < 0.86:
        return random.choice((None, True, False, [], {}, [[]], [None], {"": None}, [1, 2, 3], ["a", "b"], {"a": 1}))
    if pick < 0.94:
        return [random.choice(NUMBERS)] * random.choice((1, 2, 3, 4, 9, 12, 16, 17, 1000))
    depth, (left, right) = random.choice(DEPTHS), random.choice((("[", "]"), ('{"a":', "}")))
    return Raw(left * depth + ("1" if left != "[" else "") + right * depth)
