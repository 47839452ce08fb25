"""What went wrong, in words for the page."""

from __future__ import annotations

from lerf.errors import LerfError, is_out_of_memory


def in_words(error: Exception) -> str:
    """One or two sentences: what happened and, where that is known, what to do."""
    if isinstance(error, LerfError):
        return str(error)
    if is_out_of_memory(error):
        return "There is not enough memory for this; lower 'Refine up to', or ask fewer phrases at once."
    return f"Something went wrong here ({type(error).__name__}: {error}); the terminal says where."
