"""JSON files of captures and camera paths."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lerf.errors import SceneError


def read_document(path: Path, expected: str, remedy: str) -> dict[str, Any]:
    """The JSON object in a file.

    Args:
        path: the file.
        expected: what it should hold, in words: "JSON object with frames".
        remedy: what to do where it does not.

    Raises:
        SceneError: when the file is missing or is not a JSON object.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise SceneError(f"{path} cannot be read ({error.strerror}): check the path and its permissions.") from error
    except (ValueError, RecursionError) as error:
        raise SceneError(f"{path} is not valid JSON: {remedy}.") from error
    if not isinstance(document, dict):
        raise SceneError(f"{path} holds no {expected}: {remedy}.")
    return document
