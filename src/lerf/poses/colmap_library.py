"""pycolmap, the structure-from-motion library, imported on use and kept quiet."""

from __future__ import annotations

from typing import Any

from lerf.errors import ConfigError

ERRORS_ALONE = 2
"""Level of its log: errors."""


def library() -> Any:
    """The module `pycolmap`.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import pycolmap
    except ImportError:
        raise ConfigError("Solving poses needs pycolmap; install it with: pip install 'lerf[poses]'.") from None
    pycolmap.logging.minloglevel = ERRORS_ALONE
    return pycolmap
