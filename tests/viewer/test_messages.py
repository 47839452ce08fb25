"""Bounds on what a page may send, apart from any connection."""

from types import SimpleNamespace

import pytest

from lerf.viewer import messages
from lerf.viewer.messages import Allowance, RefusedMessageError, has_png_size, settled


def png(width, height):
    return b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"\x08\x06"


@pytest.mark.parametrize(
    ("payload", "fine"),
    [
        (png(1920, 1080), True), (png(3840, 2160), True), (png(50_000, 50_000), False), (png(16_000, 16_000), False),
        (png(0, 10), False), (png(2**32 - 1, 1), False), (b"", False), (b"GIF89a" + b"\0" * 40, False),
    ],
)  # fmt: skip
def test_a_screenshot_says_how_large_it_is(payload, fine):
    assert has_png_size(payload) is fine


def widget(value, **props):
    return SimpleNamespace(value=value, disabled=props.pop("disabled", False), **props)


@pytest.mark.parametrize(
    ("held", "sent", "taken"),
    [
        (widget(False), True, True), (widget(480, min=16, max=4320), 10**9, 4320),
        (widget(480, min=16, max=4320), -1.5, 16),
        (widget(2.0, min=0.1, max=600.0), 1, 1.0), (widget(2.0, min=None, max=None), 5, 5.0),
        (widget(2.0, min=0.1, max=600.0), float("nan"), None), (widget(2.0, min=0.1, max=600.0), True, None),
        (widget("a"), "b" * 3000, "b" * 2001), (widget("a", options=("a", "b")), "b", "b"),
        (widget("a", options=("a", "b")), "c", None), (widget(False, disabled=True), True, None),
    ],
)  # fmt: skip
def test_what_a_control_takes(held, sent, taken):
    assert settled(held, sent) == taken
    assert type(settled(held, sent)) is type(taken)


@pytest.mark.parametrize(("held", "sent"), [(False, 1), (False, "x"), ("a", 1), ("a", True), (1.0, "x"), ((1, 2), 1)])
def test_what_is_of_another_kind_is_refused(held, sent):
    with pytest.raises(RefusedMessageError):
        settled(widget(held), sent)


def test_somebody_who_drags_never_waits():
    allowance = Allowance(0.0)
    assert all(allowance.wait_for(300, step / 70) == 0.0 for step in range(7000))


def test_a_burst_waits_and_is_forgiven():
    allowance, now, waited = Allowance(0.0), 0.0, 0.0
    for _ in range(600):
        wait = allowance.wait_for(300, now)
        now, waited = now + wait, waited + wait
    assert waited == pytest.approx((600 * (1 + 300 / messages.COSTLY_BYTES) - 200) / 100, rel=1e-6)
    assert allowance.wait_for(300, now + 60.0) == 0.0


def flood(allowance, count):
    now = 0.0
    for _ in range(count):
        now += allowance.wait_for(300, now)


def test_a_flood_is_refused():
    allowance = Allowance(0.0)
    flood(allowance, 600)
    with pytest.raises(RefusedMessageError):
        flood(allowance, 200)


def test_a_large_message_costs_more_but_a_screenshot_is_no_flood():
    allowance = Allowance(0.0)
    assert allowance.wait_for(40_000_000, 0.0) == 0.0
    assert allowance._left == messages.MESSAGES_AT_ONCE - messages.MOST_COST
