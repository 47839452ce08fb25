"""Sizes for people."""

from __future__ import annotations


def size_text(count: int | float) -> str:
    """Bytes in words."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
