"""What a page may send: the types of its messages, their fields, and bounds on every number and text.

A browser's page sends nothing else. A message of another form comes from something that is no page, and ends the
connection. What a page can send by accident (the size of a window that is hidden, a number that is none, a text that is
too long, a control that has gone) is left out or cut.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec

from lerf.viewer.prompt import MOST_LETTERS

MESSAGES_A_SECOND, MESSAGES_AT_ONCE = 100.0, 200.0
"""Of one page; more must wait. A page sends some 70 a second while somebody drags in it."""
MOST_WAITED_SECONDS = 5.0
"""How long messages of one page may have had to wait, all together, before it counts as none."""
COSTLY_BYTES, MOST_COST = 16_384, 50.0
"""A message counts as one more for so many bytes, but never as more than so many."""
MOST_BYTES = 1 << 20
"""Of a message, but for a screenshot."""
MOST_SCREENSHOT_BYTES = 48 << 20
MOST_SIDE, MOST_PICTURE_PIXELS = 16_384, 40_000_000
"""Of a window and of a screenshot."""
MOST_ASPECT = 32.0
"""Longer over shorter side of a window."""
FARTHEST = 1e6
"""Of anything from the middle of the scene, normalised units."""
ANGLES = (0.01, 3.1)
"""Vertical fields of view, radians."""

Vector = tuple[float, float, float]
Name = Annotated[str, msgspec.Meta(max_length=300)]
Value = bool | int | float | str


class RefusedMessageError(Exception):
    """No page sends such a message."""


class Camera(msgspec.Struct, tag="ViewerCameraMessage", forbid_unknown_fields=True):
    """Where a page's camera stands and how large its picture is."""

    wxyz: tuple[float, float, float, float]
    position: Vector
    fov: float
    near: float
    far: float
    image_height: int
    image_width: int
    look_at: Vector
    up_direction: Vector


class Update(msgspec.Struct, tag="GuiUpdateMessage", forbid_unknown_fields=True):
    """A control was used. Its value is all that a page may set."""

    uuid: Name
    updates: Annotated[dict[Literal["value"], Value], msgspec.Meta(min_length=1)]


class Submit(msgspec.Struct, tag="GuiFormSubmitMessage", forbid_unknown_fields=True):
    """Enter was pressed."""

    uuid: Name


class Dirty(msgspec.Struct, tag="GuiFormDirtyMessage", forbid_unknown_fields=True):
    """Something was typed and not submitted. viser tells all pages, also those who come later, and never forgets."""

    uuid: Name


class Click(msgspec.Struct, tag="ScenePointerMessage", forbid_unknown_fields=True):
    """The picture was clicked, along a ray."""

    event_type: Literal["click"]
    ray_origin: Vector
    ray_direction: Vector
    screen_pos: Annotated[list[tuple[float, float]], msgspec.Meta(min_length=1, max_length=1)]
    modifier: Name | None


class NodeClick(msgspec.Struct, tag="SceneNodeClickMessage", forbid_unknown_fields=True):
    """Something in the scene was clicked."""

    name: Name
    instance_index: int | None
    ray_origin: Vector
    ray_direction: Vector
    screen_pos: tuple[float, float]
    modifier: Name | None
    owner: Name = ""


class Screenshot(msgspec.Struct, tag="GetRenderResponseMessage", forbid_unknown_fields=True):
    """A picture that the page was asked for, PNG."""

    payload: Annotated[bytes, msgspec.Meta(max_length=MOST_SCREENSHOT_BYTES)]
    render_uuid: Name


Message = Camera | Update | Submit | Dirty | Click | NodeClick | Screenshot
_decoder = msgspec.msgpack.Decoder(Message)


class Allowance:
    """How many messages a page may still send without waiting."""

    def __init__(self, now: float) -> None:
        self._left, self._at, self._waited = MESSAGES_AT_ONCE, now, 0.0

    def wait_for(self, size: int, now: float) -> float:
        """Seconds until a message of so many bytes may be read; `now` is in seconds too.

        Raises:
            RefusedMessageError: messages have come too fast for long.
        """
        self._left = min(MESSAGES_AT_ONCE, self._left + (now - self._at) * MESSAGES_A_SECOND)
        if self._left == MESSAGES_AT_ONCE:
            self._waited = 0.0
        self._left -= min(1.0 + size / COSTLY_BYTES, MOST_COST)
        self._at = now
        wait = max(0.0, -self._left / MESSAGES_A_SECOND)
        self._waited += wait
        if self._waited > MOST_WAITED_SECONDS:
            raise RefusedMessageError("No page sends so much.")
        return wait


def decode(data: bytes) -> Message:
    """A message of one of the types that a page may send, with fields of the right types.

    Raises:
        RefusedMessageError: it is of another type, has other fields, or is no message at all.
    """
    try:
        return _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as problem:
        raise RefusedMessageError(str(problem)) from None


def encode(message: Message) -> bytes:
    """A message as viser reads it."""
    return msgspec.msgpack.encode(message)


def is_usable(message: Message) -> bool:
    """Whether there is something to do for a message: its camera can take pictures, its ray goes somewhere."""
    if isinstance(message, Camera):
        return _is_usable_camera(message)
    if isinstance(message, Click | NodeClick):
        return _is_near(message.ray_origin) and 1e-6 <= math.hypot(*message.ray_direction) <= FARTHEST
    return not isinstance(message, Dirty)


def _is_usable_camera(camera: Camera) -> bool:
    """Not in a window that is hidden or a line. No comparison holds for NaN."""
    width, height = camera.image_width, camera.image_height
    if not (1 <= width <= MOST_SIDE and 1 <= height <= MOST_SIDE):
        return False
    return (
        max(width, height) <= MOST_ASPECT * min(width, height)
        and ANGLES[0] <= camera.fov <= ANGLES[1]
        and 0.5 <= math.hypot(*camera.wxyz) <= 2.0
        and _is_near(camera.position)
        and _is_near(camera.look_at)
        and 1e-6 <= math.hypot(*camera.up_direction) <= FARTHEST
        and 0 < camera.near < camera.far <= FARTHEST
    )


def _is_near(point: Sequence[float]) -> bool:
    return all(abs(value) <= FARTHEST for value in point)


def settled(widget: Any, value: Value) -> Value | None:
    """The value that a control takes when a page sets it: within its bounds, of its options, no longer than a text may
    be; None when there is none, or when the control cannot be used now.

    Args:
        widget: viser's handle of the control.
        value: as sent.

    Raises:
        RefusedMessageError: the control holds something of another kind.
    """
    current = widget.value
    if widget.disabled:
        return None
    if isinstance(current, bool) and isinstance(value, bool):
        return value
    if isinstance(current, str) and isinstance(value, str):
        options = getattr(widget, "options", None)
        if options is None:
            # One more than may be asked, so that it can be told that it was too long.
            return value[: MOST_LETTERS + 1]
        return value if value in options else None
    numbers = (int, float)
    if isinstance(current, numbers) and isinstance(value, numbers) and not isinstance(current, bool):
        if isinstance(value, bool) or not math.isfinite(value):
            return None
        low, high = getattr(widget, "min", None), getattr(widget, "max", None)
        value = value if low is None else max(value, low)
        value = value if high is None else min(value, high)
        return int(value) if isinstance(current, int) else float(value)
    raise RefusedMessageError("The control holds something of another kind.")


def has_png_size(payload: bytes) -> bool:
    """Whether a picture says itself that it is a PNG that may be decoded: a small file can hold a huge one."""
    if len(payload) < 24 or payload[:8] != b"\x89PNG\r\n\x1a\n" or payload[12:16] != b"IHDR":
        return False
    width, height = int.from_bytes(payload[16:20], "big"), int.from_bytes(payload[20:24], "big")
    return 0 < width <= MOST_SIDE and 0 < height <= MOST_SIDE and width * height <= MOST_PICTURE_PIXELS
