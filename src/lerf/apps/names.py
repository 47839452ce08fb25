"""Names of files that photos and phrases give."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path


def file_stem(name: str) -> str:
    """A photo's name without its suffix, as a part of a file name."""
    return re.sub(r"[^\w.-]+", "_", str(Path(name).with_suffix("")))


def distinct(names: Sequence[str]) -> list[str]:
    """The names in order; one that was there before, in either case of letters, gets the first free number: c, c_2."""
    taken: set[str] = set()
    wanted = {name.casefold() for name in names}
    result = []
    for name in names:
        chosen, number = name, 1
        while chosen.casefold() in taken or (number > 1 and chosen.casefold() in wanted):
            number += 1
            chosen = f"{name}_{number}"
        taken.add(chosen.casefold())
        result.append(chosen)
    return result
