"""Many people at one viewer: each sends prompts and camera moves over viser's own websocket, as a page would.

    python benchmarks/viewer_load.py RUN --clients 50 --prompts 20
    python benchmarks/viewer_load.py RUN --alone [--index ignore]

With --alone one client asks at rest: from Enter to the answer, the first picture, and the whole map of 320x240.

No browser takes part: a client here is a websocket that reads every message and decodes it, but draws nothing. It
prints latencies and the server's memory as JSON; exit code 1 when a client was not answered or the server died.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import random
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import Any

import msgspec
import psutil
import viser
import websockets
import zstandard

WORDS = (
    "mug", "cup", "banana", "apple", "book", "candle", "lamp", "bowl", "bottle", "plate", "shoe", "hat", "toy car",
    "keyboard", "clock", "vase", "spoon", "ball", "box", "plant", "towel", "pen", "phone", "camera", "basket",
)  # fmt: skip
COLOURS = ("red", "green", "blue", "yellow", "white", "black", "brown", "purple")
PATIENCE = 300.0
"""Seconds after which a client counts as not answered."""
WIDTH, HEIGHT = 640, 480
SHARPEST = "320 x 240."
"""What the page says of the sharpest picture of a client that is alone."""


@dataclass
class Latencies:
    """Seconds from sending to what came back."""

    answers: list[float] = field(default_factory=list)
    """A prompt to its folder in the panel."""
    pictures: list[float] = field(default_factory=list)
    """A prompt to the first picture after its answer."""
    moves: list[float] = field(default_factory=list)
    """A camera move to the next picture."""
    maps: list[float] = field(default_factory=list)
    """A prompt to the sharpest picture of a camera at rest."""
    failed: int = 0


class Client:
    """One page without a browser."""

    def __init__(self, url: str, seed: int) -> None:
        self.url, self.random = url.replace("http", "ws", 1), random.Random(seed)
        self.form = self.text = ""
        self.folder: str | None = None
        self.answered, self.pictured, self.sharpest = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.angle = self.random.uniform(0, 2 * math.pi)

    async def run(self, prompts: int, latencies: Latencies) -> None:
        """Open the page, ask and move in turns, close it."""
        protocol = websockets.Subprotocol(f"viser-v{viser.__version__}")
        async with websockets.connect(self.url, subprotocols=[protocol], max_size=None, compression=None) as socket:
            reader = asyncio.create_task(self._read(socket))
            try:
                await self._move(socket)
                await self._until(lambda: bool(self.form and self.text), latencies)
                for number in range(prompts):
                    await self._ask(socket, number, latencies)
                    sent = time.perf_counter()
                    self.pictured.clear()
                    await self._move(socket)
                    if await self._within(self.pictured, latencies):
                        latencies.moves.append(time.perf_counter() - sent)
            finally:
                reader.cancel()

    async def rest(self, prompts: int, latencies: Latencies) -> None:
        """Ask from one place, each prompt when the picture of the one before is as sharp as it gets."""
        protocol = websockets.Subprotocol(f"viser-v{viser.__version__}")
        async with websockets.connect(self.url, subprotocols=[protocol], max_size=None, compression=None) as socket:
            reader = asyncio.create_task(self._read(socket))
            try:
                await self._move(socket)
                await self._until(lambda: bool(self.form and self.text), latencies)
                await self._within(self.sharpest, latencies)
                for number in range(prompts):
                    self.sharpest.clear()
                    sent = time.perf_counter()
                    await self._ask(socket, number, latencies)
                    if await self._within(self.sharpest, latencies):
                        latencies.maps.append(time.perf_counter() - sent)
            finally:
                reader.cancel()

    async def _ask(self, socket: Any, number: int, latencies: Latencies) -> None:
        phrase = f"{self.random.choice(COLOURS)} {self.random.choice(WORDS)} {number}"
        self.folder = f"0: {phrase}"
        self.answered.clear()
        await _send(socket, type="GuiUpdateMessage", uuid=self.text, updates={"value": phrase})
        await _send(socket, type="GuiFormSubmitMessage", uuid=self.form)
        sent = time.perf_counter()
        if await self._within(self.answered, latencies):
            latencies.answers.append(time.perf_counter() - sent)
            if await self._within(self.pictured, latencies):
                latencies.pictures.append(time.perf_counter() - sent)

    async def _move(self, socket: Any) -> None:
        """One more step around the scene."""
        self.angle += 0.1
        x, y = math.cos(self.angle), math.sin(self.angle)
        length = math.sqrt(2.0)
        back = (x / length, y / length, 1.0 / length)
        right = (-y, x, 0.0)
        down = tuple(-value for value in _cross(back, right))
        await _send(
            socket, type="ViewerCameraMessage", wxyz=_quaternion(right, down, tuple(-value for value in back)),
            position=(x, y, 1.0), fov=0.9, near=0.01, far=1000.0, image_height=HEIGHT, image_width=WIDTH,
            look_at=(0.0, 0.0, 0.0), up_direction=(0.0, 0.0, 1.0),
        )  # fmt: skip

    async def _read(self, socket: Any) -> None:
        zstd = zstandard.ZstdDecompressor()
        async for data in socket:
            size = int.from_bytes(data[8:16], "little")
            for message in msgspec.msgpack.decode(zstd.decompress(data[16 : 16 + size]))["messages"]:
                self._take(message)

    def _take(self, message: dict[str, Any]) -> None:
        kind = message["type"]
        if kind == "GuiFormMessage" and not self.form:
            self.form = message["uuid"]
        elif kind == "GuiTextMessage" and message["props"]["label"] == "LERF Positives":
            self.text = message["uuid"]
        elif kind == "GuiFolderMessage" and self.folder and message["props"]["label"] == self.folder:
            self.answered.set()
            # What comes from now on shows this answer.
            self.pictured.clear()
        elif kind == "BackgroundImageMessage" and message["rgb_data"] is not None:
            self.pictured.set()
        elif kind == "GuiUpdateMessage" and SHARPEST in str(message["updates"].get("content", "")):
            self.sharpest.set()

    async def _until(self, true: Any, latencies: Latencies) -> None:
        end = time.perf_counter() + PATIENCE
        while not true():
            if time.perf_counter() > end:
                latencies.failed += 1
                return
            await asyncio.sleep(0.05)

    @staticmethod
    async def _within(event: asyncio.Event, latencies: Latencies) -> bool:
        try:
            await asyncio.wait_for(event.wait(), PATIENCE)
            return True
        except asyncio.TimeoutError:
            latencies.failed += 1
            return False


async def _send(socket: Any, **message: Any) -> None:
    await socket.send(msgspec.msgpack.encode(message))


def _cross(a: Any, b: Any) -> tuple[float, float, float]:
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]


def _quaternion(right: Any, down: Any, forwards: Any) -> tuple[float, float, float, float]:
    from scipy.spatial.transform import Rotation

    columns = [[right[row], down[row], forwards[row]] for row in range(3)]
    x, y, z, w = Rotation.from_matrix(columns).as_quat().tolist()
    return w, x, y, z


def quantiles(values: list[float]) -> dict[str, float]:
    """Median, 95th percentile and highest, seconds."""
    ordered = sorted(values)
    if not ordered:
        return {}
    return {
        "count": len(ordered),
        "median": round(ordered[len(ordered) // 2], 3),
        "p95": round(ordered[int(0.95 * (len(ordered) - 1))], 3),
        "highest": round(ordered[-1], 3),
    }


def describe(latencies: Latencies) -> dict[str, Any]:
    """Latencies as plain values."""
    seconds = {
        "answer_seconds": quantiles(latencies.answers),
        "picture_seconds": quantiles(latencies.pictures),
        "map_seconds": quantiles(latencies.maps),
        "move_seconds": quantiles(latencies.moves),
    }
    return {**{name: value for name, value in seconds.items() if value}, "not_answered": latencies.failed}


async def crowd(url: str, clients: int, prompts: int, seed: int) -> Latencies:
    """Let all clients work at once."""
    latencies = Latencies()
    results = await asyncio.gather(
        *(Client(url, 1000 * seed + number).run(prompts, latencies) for number in range(clients)),
        return_exceptions=True,
    )
    broken = [result for result in results if isinstance(result, BaseException)]
    for error in broken:
        print(f"a client broke: {error!r}", file=sys.stderr)
    latencies.failed += len(broken)
    return latencies


def main() -> int:
    """Serve, ask, measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run")
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--prompts", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=2, help="the crowd comes so often; memory must not grow")
    parser.add_argument("--alone", action="store_true", help="one client at rest instead of a crowd")
    parser.add_argument("--index", default="auto", choices=("auto", "require", "ignore"))
    options = parser.parse_args()
    command = [sys.executable, "-m", "lerf", "view", options.run, "--port", "0", "--json"]
    command += ["--index", options.index, *(["--refine", "240"] if options.alone else [])]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        url = json.loads(server.stdout.readline())["url"]  # type: ignore[union-attr]
        process = psutil.Process(server.pid)
        # The first to come waits for the preparation.
        asyncio.run(crowd(url, 1, 5, 99))
        if options.alone:
            latencies = Latencies()
            asyncio.run(Client(url, 7).rest(options.prompts, latencies))
            print(json.dumps(describe(latencies), indent=2))
            return int(latencies.failed > 0)
        # Threads, and what the C library keeps for each, belong to the server and not to those who come later.
        asyncio.run(crowd(url, options.clients, 2, 98))
        report: dict[str, Any] = {"clients": options.clients, "prompts": options.prompts, "rounds": []}
        time.sleep(5.0)
        report["megabytes_before"] = process.memory_info().rss >> 20
        for number in range(options.rounds):
            start = time.perf_counter()
            latencies = asyncio.run(crowd(url, options.clients, options.prompts, number))
            seconds = time.perf_counter() - start
            peak = process.memory_info().rss >> 20
            time.sleep(5.0)
            report["rounds"].append(
                {
                    "seconds": round(seconds, 1),
                    **describe(latencies),
                    "megabytes_at_the_end": peak,
                    "megabytes_after": process.memory_info().rss >> 20,
                }
            )
        report["alive"] = server.poll() is None
    finally:
        server.terminate()
        server.wait(20)
    print(json.dumps(report, indent=2))
    fine = report["alive"] and not any(found["not_answered"] for found in report["rounds"])
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
