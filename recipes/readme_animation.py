"""The moving picture of README.md, recorded from the running page in a headless Chromium.

recipes/readme_animation.py RUN [--prompts PHRASE ...]
"""

from __future__ import annotations

import argparse
import io
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page
from viewer_pictures import IMAGES, PATIENCE, WINDOW, page_of, wait_for_rest

from lerf.files import write_atomically
from lerf.viewer.server import Viewer

WIDTH, MOST_BYTES = 780, 1_900_000
BEGUN = 4.0
"""Seconds after which the page works on what was asked for."""
LETTERS, ANSWER = 120, 2600
"""Milliseconds that a picture of typing and one of an answer are shown."""


@dataclass
class Recording:
    """Pictures of the page and how long each is shown."""

    page: Page
    pictures: list[Image.Image] = field(default_factory=list)
    milliseconds: list[int] = field(default_factory=list)

    def take(self, milliseconds: int) -> None:
        """The page as it is."""
        picture = Image.open(io.BytesIO(self.page.screenshot())).convert("RGB")
        size = (WIDTH, round(WIDTH * WINDOW[1] / WINDOW[0]))
        self.pictures.append(picture.resize(size, Image.Resampling.LANCZOS))
        self.milliseconds.append(milliseconds)

    def ask(self, viewer: Viewer, prompt: str) -> None:
        """Type a phrase, wait for its answer, fly to it."""
        box = self.page.locator("form input").first
        box.fill("")
        for place in range(0, len(prompt), 2):
            box.press_sequentially(prompt[place : place + 2])
            self.take(LETTERS)
        box.press("Enter")
        # The answers before this one are still there.
        self._rest(viewer)
        self.page.get_by_text("Fly to 1").first.wait_for(timeout=1000 * PATIENCE)
        self.take(ANSWER)
        self.page.get_by_text("Fly to 1").first.click()
        self._rest(viewer)
        self.take(ANSWER)

    def _rest(self, viewer: Viewer) -> None:
        """Until what was asked for has begun and is done: a flight takes its time."""
        time.sleep(BEGUN)
        wait_for_rest(viewer)

    def save(self, path: Path) -> None:
        """As a GIF, with as many colours as the size allows."""
        for colours in (256, 128, 64, 32):
            shown = [one.quantize(colours, dither=Image.Dither.NONE) for one in self.pictures]
            data = io.BytesIO()
            shown[0].save(
                data, format="GIF", save_all=True, append_images=shown[1:], duration=self.milliseconds, loop=0,
                optimize=True,
            )  # fmt: skip
            if data.tell() <= MOST_BYTES:
                write_atomically(path, lambda file, data=data: file.write(data.getvalue()))
                return
        sys.exit(f"The recording does not fit into {MOST_BYTES} bytes; ask less.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--prompts", nargs="+", default=["hat", "pink mug"])
    options = parser.parse_args()
    with page_of(options.run) as (viewer, page):
        recording = Recording(page)
        recording.take(ANSWER // 2)
        for prompt in options.prompts:
            recording.ask(viewer, prompt)
        recording.save(IMAGES / "answering.gif")


if __name__ == "__main__":
    main()
