"""What the controls of one page ask for and takes a while: files, photos, flights, screenshots.

Every page has a few threads of its own for it, so that nobody's clicks wait for those of another page.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

THREADS, MOST_WAITING = 4, 16
"""At work at once, and how many more may wait; what is clicked beyond that is left out."""


class Errands:
    """Runs what a page asks for; `run` may be called from any thread and never waits."""

    def __init__(self, failed: Callable[[Exception], None]) -> None:
        """`failed` hears on the errand's thread of what it raised."""
        self._failed = failed
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="lerf-page")
        self._lock = threading.Lock()
        self._open, self._unfinished = True, 0

    def run(self, act: Callable[[], None]) -> None:
        """Do it soon, in no order; nothing once the page has gone, or while too much else is to be done for it."""
        with self._lock:
            if not self._open or self._unfinished >= THREADS + MOST_WAITING:
                return
            self._unfinished += 1
            self._pool.submit(self._do, act)

    def close(self) -> None:
        """Begin nothing more."""
        with self._lock:
            self._open = False
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _do(self, act: Callable[[], None]) -> None:
        try:
            if self._open:
                act()
        except Exception as error:
            if self._open:
                self._failed(error)
        finally:
            with self._lock:
                self._unfinished -= 1
