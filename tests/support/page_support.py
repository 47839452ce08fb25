"""What tests do with a page of the viewer."""

from __future__ import annotations

import os
import time

PATIENCE = 60.0 * float(os.environ.get("LERF_TEST_PATIENCE", "1"))
"""Seconds until a page must have done what it was asked."""


def wait_for(condition, what, seconds=PATIENCE):
    """The first true value of `condition`, asked again and again."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError(f"{what} did not happen within {seconds:.0f} s")


def type_prompt(page, text):
    """Type into the prompt box, as fast as a person never could, and press Enter."""
    box = page.locator("form input").first
    box.fill("")
    box.type(text)
    box.press("Enter")


def at_rest(opened):
    """Wait until the page's picture is as sharp as it gets, and the browser has drawn it."""
    session, page = opened.session, opened.page
    wait_for(lambda: session.idle, "the sharpest picture")
    # Messages arrive in order: when the page says what the server said last, it has the picture too.
    wait_for(lambda: session.message in page.inner_text("body"), "its arrival")
    shots = []

    def still():
        shots.append(page.screenshot())
        page.wait_for_timeout(400)
        return len(shots) > 2 and shots[-1] == shots[-2] == shots[-3]

    wait_for(still, "a page that stands still")
