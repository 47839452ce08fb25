"""The flights of one page's camera: one at a time, a later one takes over."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from lerf.viewer.geometry import Viewpoint
from lerf.viewer.recording import PREVIEW_RATE

FLIGHT_SECONDS, FLIGHT_STEPS = 0.6, 15


class Flights:
    """Moves the camera of one page, through viser's handle of its client."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self._flight = 0
        self._flights = threading.Lock()

    def fly(self, to: Viewpoint, up: Float[np.ndarray, " 3"] | None = None, seconds: float = FLIGHT_SECONDS) -> None:
        """Move the page's camera to a viewpoint; a later flight takes over. Blocks its own thread while it lasts."""
        flight = self._begin()
        camera = self.client.camera
        start, looked = np.array(camera.position), np.array(camera.look_at)
        steps = FLIGHT_STEPS if seconds > 0 else 1
        for step in range(1, steps + 1):
            if not self._goes_on(flight):
                return
            share = step / steps
            share = share * share * (3.0 - 2.0 * share)
            with self.client.atomic():
                if up is not None:
                    camera.up_direction = tuple(np.asarray(up, np.float64).tolist())
                camera.position = tuple((start + (to.position - start) * share).tolist())
                camera.look_at = tuple((looked + (to.look_at - looked) * share).tolist())
                if step == steps:
                    camera.fov = to.angle
            self.client.flush()
            if step < steps:
                time.sleep(seconds / steps)

    def stop_flight(self) -> None:
        """Leave the camera where it is."""
        self._begin()

    def play(self, viewpoints: Sequence[Viewpoint], rate: float = PREVIEW_RATE) -> None:
        """Fly through viewpoints, so many a second; a later flight takes over. Blocks its own thread while it lasts."""
        flight = self._begin()
        camera = self.client.camera
        for to in viewpoints:
            if not self._goes_on(flight):
                return
            with self.client.atomic():
                camera.position = tuple(to.position.tolist())
                camera.look_at = tuple(to.look_at.tolist())
                camera.fov = to.angle
            self.client.flush()
            time.sleep(1.0 / rate)

    def _begin(self) -> int:
        with self._flights:
            self._flight += 1
            return self._flight

    def _goes_on(self, flight: int) -> bool:
        with self._flights:
            return self._flight == flight


def calling(chosen: Callable[[int], None], photo: int) -> Callable[[Any], Coroutine[Any, Any, None]]:
    """What viser calls when a photo's frustum is clicked."""

    async def click(_: Any) -> None:
        chosen(photo)

    return click
