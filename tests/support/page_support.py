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
    """Wait until the page's picture is as sharp as it gets and its work is done."""
    session = opened.session
    wait_for(lambda: session.idle, "the sharpest picture")
    opened.page.wait_for_timeout(600)
