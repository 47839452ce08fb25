"""XML of pose tools, read so that a file cannot do harm: no document type, no entities of its own, bounded in size."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree
from xml.parsers import expat

from lerf.errors import SceneError
from lerf.files import read_bytes
from lerf.scenes.readers.text_lines import AGAIN

LARGEST = 256_000_000
"""Bytes of a file: 100,000 photos take some 60 million."""
MOST_ELEMENTS = 4_000_000
DEEPEST = 64
"""Levels of elements in each other."""


def read_xml(path: Path) -> ElementTree.Element:
    """The root element of an XML file.

    Raises:
        SceneError: it cannot be read, is no XML, declares a document type or entities, which could unfold without end,
            or has more or deeper elements than can be.
    """
    data = read_bytes(path, error=SceneError, remedy=AGAIN, largest=LARGEST)
    builder = ElementTree.TreeBuilder()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    depth = count = 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth, count
        depth, count = depth + 1, count + 1
        if depth > DEEPEST or count > MOST_ELEMENTS:
            raise SceneError(f"{path} has more elements, or deeper ones, than a pose file can have: {AGAIN}.")
        builder.start(name, attributes)

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(name)

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = _refusing(path)
    try:
        parser.Parse(data, True)
        return builder.close()
    except (expat.ExpatError, LookupError, ValueError, AssertionError) as error:
        raise SceneError(f"{path} is not valid XML ({str(error)[:80]}): {AGAIN}.") from None


def _refusing(path: Path) -> Callable[..., None]:
    def refuse(*_: object) -> None:
        raise SceneError(f"{path} declares a document type, which pose files do not: {AGAIN}.")

    return refuse
