"""The pictures of docs/viewer.md, taken from the running page in a headless Chromium: recipes/viewer_pictures.py RUN"""

from __future__ import annotations

import argparse
import io
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from lerf.files import resolved, write_atomically
from lerf.viewer.scene_state import open_scene_state
from lerf.viewer.server import Viewer

IMAGES = Path(__file__).parents[1] / "docs" / "images"
FLAGS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"]
PATIENCE = 300.0
WINDOW, WIDEST, MOST_BYTES = (1100, 690), 780, 300_000


def wait_for_rest(viewer: Viewer) -> None:
    """Until the picture is as sharp as it gets, and the browser has drawn it."""
    end = time.monotonic() + PATIENCE
    while not viewer.sessions or not viewer.sessions[0].idle or viewer.scene.preparing:
        if time.monotonic() > end:
            sys.exit("The page did not come to rest.")
        time.sleep(0.1)
    time.sleep(3.0)


@contextmanager
def page_of(run: Path) -> Iterator[tuple[Viewer, Page]]:
    """The page of a run in a headless Chromium, at rest and without the notice that it begins with."""
    viewer = Viewer(open_scene_state(run, device="cpu"), title=resolved(run).name, port=0, limit=300)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        page = browser.new_page(viewport={"width": WINDOW[0], "height": WINDOW[1]})
        page.goto(viewer.url)
        page.get_by_text("LERF Positives").wait_for(timeout=1000 * PATIENCE)
        close = page.locator(".mantine-Notification-closeButton")
        if close.count():
            close.first.click()
        wait_for_rest(viewer)
        yield viewer, page
        browser.close()
    viewer.close()


def save(page: Page, name: str) -> None:
    """A screenshot, reduced until it is small enough for the repository."""
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    width = WIDEST
    while True:
        data = io.BytesIO()
        shown = picture.resize((width, round(width * WINDOW[1] / WINDOW[0])), Image.Resampling.LANCZOS)
        shown.save(data, format="PNG", optimize=True)
        if data.tell() <= MOST_BYTES:
            break
        width -= 20
    write_atomically(IMAGES / name, lambda file: file.write(data.getvalue()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--prompt", default="hat")
    options = parser.parse_args()
    with page_of(options.run) as (viewer, page):
        box = page.locator("form input").first
        box.press_sequentially(options.prompt)
        box.press("Enter")
        page.get_by_text("Fly to 1").first.wait_for(timeout=1000 * PATIENCE)
        wait_for_rest(viewer)
        save(page, "viewer.png")
        page.locator("input.mantine-Select-input:visible").nth(1).click()
        page.get_by_role("option", name="points", exact=True).click()
        page.locator("input[type=checkbox]:visible").first.click()
        page.mouse.move(500, 400)
        for _ in range(5):
            page.mouse.wheel(0, 200)
            time.sleep(0.3)
        page.mouse.move(400, 300)
        page.mouse.down()
        page.mouse.move(460, 380, steps=5)
        page.mouse.up()
        wait_for_rest(viewer)
        save(page, "viewer_points.png")


if __name__ == "__main__":
    main()
