"""Time of a process without that in which others had its processor: on a busy machine only this tells that it hangs."""

from __future__ import annotations

from pathlib import Path


def waited(process: int) -> float:
    """Seconds in which a process could run and had to wait; 0 where the system does not count them, or it has ended."""
    try:
        words = Path(f"/proc/{process}/schedstat").read_text().split()
    except OSError:
        return 0.0
    return int(words[1]) * 1e-9 if len(words) == 3 else 0.0
