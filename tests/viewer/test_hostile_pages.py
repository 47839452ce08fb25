"""A page of a run asked for too much by what has its address: others are served, and memory stays."""

import json
import threading

import numpy as np
import psutil
import pytest
from page_client import RawPage, camera
from page_support import wait_for

from lerf.errors import ConfigError
from lerf.rendering.outputs import Display
from lerf.viewer.drawing import MOST_PIXELS, Drawer
from lerf.viewer.geometry import Pose
from lerf.viewer.recording import MOST_FRAMES, MOST_KEYFRAMES, Recording


@pytest.fixture
def pages(viewer):
    """Opens raw pages: each call gives one, and the server's session for it."""
    opened = []

    def open_page():
        before = {id(session) for session in viewer.sessions}
        raw = RawPage(viewer.url).open()
        opened.append(raw)
        session = wait_for(lambda: next((s for s in viewer.sessions if id(s) not in before), None), "the session")
        return raw, session

    yield open_page
    for raw in opened:
        raw.cut()
        raw.__exit__()
    wait_for(lambda: not viewer.sessions, "the end of the sessions")


def resident():
    return psutil.Process().memory_info().rss


def test_one_camera_message_takes_no_memory_and_no_time_of_others(pages):
    (hostile, session), (other, _) = pages(), pages()
    other.seconds_to_answer("red")
    before = resident()
    for change in (
        {"image_width": 10**6}, {"image_width": 16_000, "image_height": 501},
        {"image_width": 600, "image_height": 16_384},
    ):  # fmt: skip
        hostile.send(**camera(**change))
        assert other.seconds_to_answer(f"blue {change['image_width']}") < 5.0
    wait_for(lambda: session.idle, "its picture")
    assert resident() - before < 500e6
    assert np.isfinite(session.pose.matrix).all()


@pytest.mark.parametrize("aspect", [1 / 32, 1.0, 32.0])
def test_pictures_are_bounded_whatever_the_shape_of_the_window(viewer, aspect):
    drawer, pose = Drawer(viewer.scene, 1080), Pose(np.zeros(3), np.eye(3), 1.0, aspect)
    for height in drawer._heights(pose, 16_384, Display()):
        made = pose.camera(height)
        assert made.width * made.height <= 1.05 * MOST_PIXELS


def test_a_text_that_is_too_long_is_told_in_words(pages):
    raw, session = pages()
    raw.ask("a" * 900_000)
    wait_for(lambda: raw.says("more than 2,000 characters"), "the complaint")
    assert session.asked is None
    raw.seconds_to_answer("red")
    raw.set("Canonical", "b" * 5000)
    raw.send(type="GuiFormSubmitMessage", uuid=raw.forms[1])
    wait_for(lambda: session.message.startswith("This has more than 2,000"), "the second complaint")
    assert session.asked.phrases.texts == ("red",)


def test_a_prompt_of_48_megabytes_ends_its_page_and_blocks_nobody(pages):
    (hostile, _), (other, _) = pages(), pages()
    other.seconds_to_answer("red")
    before, sending = resident(), threading.Thread(target=hostile.ask_and_be_gone, args=("mug " * 11_000_000,))
    sending.start()
    assert other.seconds_to_answer("blue") < 10.0
    wait_for(lambda: hostile.closed is not None, "the end of the other one")
    sending.join(20)
    assert other.seconds_to_answer("green") < 5.0
    # The test itself sends from this process.
    assert resident() - before < 400e6


def test_controls_take_no_number_beyond_their_bounds(pages):
    raw, session = pages()
    for label, value in (
        ("Refine up to", 10**9), ("Frames a second", 1e300), ("Seconds a leg", 1e300), ("Rows", 10**12),
        ("Temperature", 1e300), ("Point size", 1e9), ("Threshold", -1e9), ("Field of view", 1e9), ("Opacity", 1e9),
    ):  # fmt: skip
        raw.set(label, value)
    raw.set("Threshold", 0.25)
    wait_for(lambda: session.panel.threshold.value == 0.25, "the last")
    panel = session.panel
    assert (panel.limit.value, panel.rate.value, panel.seconds.value, panel.path_height.value) == (1080, 240, 600, 4320)
    assert (panel.temperature.value, panel.point_size.value, panel.opacity.value) == (1e4, 0.05, 1.0)
    wait_for(lambda: session.drawer.limit == 1080, "the limit")
    wait_for(lambda: session.panel.angle.value == 120, "the angle")


def test_a_page_that_asks_without_end_leaves_others_their_turn(pages):
    (hostile, _), (other, session) = pages(), pages()
    stop = threading.Event()

    def ask():
        number = 0
        while not stop.wait(0.03):
            number += 1
            hostile.ask(f"mug {number}; red; blue; green; cup; hat; lamp; bowl")

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        for number in range(3):
            assert other.seconds_to_answer(f"red {number}") < 10.0
            wait_for(lambda: session.idle, "the sharpest picture", 30)
    finally:
        stop.set()
        asking.join(10)


def pose_at(number):
    return Pose(np.array([float(number), 0.0, 0.0]), np.eye(3), 1.0, 1.5)


def test_a_path_has_bounds(viewer):
    recording = Recording(viewer.scene.scene)
    for number in range(MOST_KEYFRAMES):
        recording.add(pose_at(number))
    with pytest.raises(ConfigError, match="remove some"):
        recording.add(pose_at(0))
    with pytest.raises(ConfigError, match=f"{MOST_FRAMES:,} are the most"):
        recording.path(600.0, 240.0, False, 480)
    recording.remove(True)
    for number in range(3):
        recording.add(pose_at(number))
    assert len(json.loads(recording.file(1.0, 10.0, False, 480))["camera_path"]) == 20


def test_what_a_page_has_not_taken_in_is_not_sent_again(pages, monkeypatch):
    raw, session = pages()
    monkeypatch.setattr("lerf.viewer.navigation.waits_for_file", lambda client: True)
    session.navigation._send("lerf.png", b"x")
    wait_for(lambda: raw.says("has not arrived yet"), "the complaint")


def test_no_screenshot_is_taken_that_was_not_asked_for(pages):
    raw, session = pages()
    raw.send(type="GetRenderResponseMessage", payload=b"\x89PNG" * 1000, render_uuid="x")
    raw.seconds_to_answer("red")
    raw.set("Screenshot", True)
    wait_for(lambda: any(one["type"] == "GetRenderRequestMessage" for one in raw.received), "the request")
    asked = next(one for one in raw.received if one["type"] == "GetRenderRequestMessage")
    bomb = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + 2 * (60_000).to_bytes(4, "big") + b"\x08\x06\0\0\0" + b"\0" * 100
    raw.send(type="GetRenderResponseMessage", payload=bomb, render_uuid=asked["render_uuid"])
    wait_for(lambda: raw.says("The browser gave no screenshot"), "the complaint")
    assert session.asked.phrases.texts == ("red",)
