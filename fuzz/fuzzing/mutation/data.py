"""Bytes and lines of text, spoilt without knowing what they mean."""

from __future__ import annotations

import struct
from random import Random

from fuzzing.mutation.values import NUMBERS, PATHS, TEXTS

COUNTS = (0, 1, 255, 2**15, 2**16, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**62, 2**63 - 1, 2**64 - 1)
"""Counts and sizes that a header may claim."""
ENCODINGS = ("utf-8-sig", "utf-16", "utf-32", "utf-7")


def spoilt_bytes(data: bytes, random: Random, head: int = 64) -> tuple[bytes, str]:
    """Changed bytes, and what was done; places in the first `head` bytes are as likely as all others together."""
    said = []
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        data, what = _step(data, random, head)
        said.append(what)
    return data, "; ".join(said)


def _step(data: bytes, random: Random, head: int) -> tuple[bytes, str]:
    size = len(data)

    def place() -> int:
        return random.randrange(max(1, min(head, size) if random.random() < 0.5 else size))

    what = random.choice(
        ("flip", "flip", "cut", "insert", "remove", "swap", "count", "count", "zeros", "repeat", "edge")
    )
    at = place()
    if what == "flip" and size:
        changed = bytearray(data)
        for _ in range(random.choice((1, 1, 4, 32))):
            changed[place()] ^= 1 << random.randrange(8)
        return bytes(changed), f"flip near {at}"
    if what == "cut":
        return data[:at], f"cut at {at}"
    if what == "insert":
        return data[:at] + random.randbytes(random.choice((1, 2, 8, 100))) + data[at:], f"insert at {at}"
    if what == "remove":
        return data[:at] + data[at + random.choice((1, 2, 8, 100)) :], f"remove at {at}"
    if what == "swap":
        first, second = sorted((place(), place()))
        length = min(random.choice((4, 8, 64)), second - first, size - second)
        return (
            data[:first] + data[second : second + length] + data[first + length : second] + data[first : first + length]
            + data[second + length :]
        ), f"swap {first} and {second}"  # fmt: skip
    if what == "count":
        form = random.choice(("<I", ">I", "<Q", "<H", ">H", "<d", "<f"))
        number = random.choice(COUNTS) if form[1] in "IQH" else random.choice((float("nan"), float("inf"), 1e30, -1.0))
        bits = 8 * struct.calcsize(form)
        packed = struct.pack(form, number % 2**bits if isinstance(number, int) else number)
        return data[:at] + packed + data[at + len(packed) :], f"{form} {number} at {at}"
    if what == "zeros":
        length = random.choice((1, 8, 64))
        return data[:at] + bytes(length) + data[at + length :], f"zeros at {at}"
    if what == "repeat":
        return data[:at] + data[at:] * 2, f"repeat from {at}"
    return random.choice((b"", b"\0", data + b"\0" * 9, data * 2, b"\xef\xbb\xbf" + data, b"\x07" * 64)), "edge"


def spoilt_lines(text: str, random: Random) -> tuple[bytes, str]:
    """Lines of words: a word replaced, dropped or doubled; a line likewise; another encoding; or bytes changed."""
    if random.random() < 0.2:
        return spoilt_bytes(text.encode(), random)
    lines, said = text.split("\n"), []
    for _ in range(random.choice((1, 1, 2, 3))):
        row = random.randrange(len(lines))
        words = lines[row].split(" ")
        at = random.randrange(len(words))
        what = random.choice(
            ("word", "word", "word", "word", "drop word", "add word", "drop", "double", "swap", "blank")
        )
        if what == "word":
            words[at] = str(random.choice((*NUMBERS, *TEXTS, *PATHS)))
        elif what == "drop word":
            del words[at]
        elif what == "add word":
            words.insert(at, str(random.choice(NUMBERS)))
        lines[row] = " ".join(words)
        if what == "drop" and len(lines) > 1:
            del lines[row]
        elif what == "double":
            lines.insert(row, lines[row])
        elif what == "swap":
            other = random.randrange(len(lines))
            lines[row], lines[other] = lines[other], lines[row]
        elif what == "blank":
            lines.insert(row, random.choice(("", "#", " \t ", "\0")))
        said.append(f"{what} in line {row + 1}")
    joined = random.choice(("\n", "\n", "\n", "\r\n", "\r")).join(lines)
    if random.random() < 0.1:
        return joined.encode(random.choice(ENCODINGS), "replace"), "; ".join([*said, "encoding"])
    return joined.encode("utf-8", "surrogatepass"), "; ".join(said)
