"""The page of a catalogue: a phrase, a wall of the photos that show it best, and each scene at a click.

It is a plain page of this process, behind the same rules as the pages of scenes (`access.py`).
"""

from __future__ import annotations

import json
import threading
import warnings
from collections.abc import Callable
from functools import cached_property
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from lerf.catalogue.result import SceneAnswer, SearchResult
from lerf.catalogue.search import Searcher
from lerf.errors import LerfError, LerfWarning, QueryError
from lerf.viewer.access import Access, page_token
from lerf.viewer.address import announced_url, free_port
from lerf.viewer.catalogue_html import PAGE
from lerf.viewer.prompt import split_phrases
from lerf.viewer.responses import rules
from lerf.viewer.scene_state import open_scene_state
from lerf.viewer.server import Opening, Viewer
from lerf.viewer.words import in_words

MOST_SCENES = 4
"""That stay open; the one opened first is closed when there are more."""
LONGEST_PHRASE = 2000
"""Letters of a question."""


class CataloguePage:
    """A served catalogue."""

    def __init__(
        self, searcher: Searcher, *, title: str, host: str = "127.0.0.1", port: int = 7007, limit: int | None = None
    ) -> None:
        """Start serving.

        Args:
            searcher: asks.
            title: name of the catalogue, on the page.
            host, port: as in `Viewer`, which serves the scenes that are opened at ports of their own.
            limit: see `Viewer`.

        Raises:
            ConfigError: the address cannot be listened on.
        """
        self.searcher, self.title, self.host, self._limit = searcher, title, host, limit
        self.port = free_port(host, port)
        self.access = Access(page_token(f"catalogue {title}", self.port), host)
        # One search or opening at a time: compiled kernels must not run on two threads at once.
        self._work = threading.Lock()
        self._open: dict[tuple[int, str, int | None], Viewer] = {}
        self._server = ThreadingHTTPServer((host, self.port), type("Requests", (_Requests,), {"page": self}))
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where the page is; whoever has it can open it. It ends with a slash, which its links need."""
        return f"{announced_url(self.host, self.port)}/{self.access.token}/"

    @property
    def scenes(self) -> list[Viewer]:
        """The scenes that were opened from it."""
        return list(self._open.values())

    @cached_property
    def document(self) -> bytes:
        """The page itself."""
        return PAGE.encode()

    def close(self) -> None:
        """Stop serving, the scenes too."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        for viewer in self.scenes:
            viewer.close()

    def search(self, text: str) -> dict[str, Any]:
        """What the wall shows for a question.

        Raises:
            LerfError: it cannot be answered.
        """
        texts = split_phrases(text[:LONGEST_PHRASE])
        if not texts:
            raise QueryError('There is no phrase to look for; type one, for example "mug", and press Enter.')
        with self._work, warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always", LerfWarning)
            found = self.searcher.search(list(texts))
        told = [str(one.message) for one in said if issubclass(one.category, LerfWarning)]
        return {"title": self.title, "runs": found.runs, "warnings": told, "tiles": _tiles(found)}

    def thumbnail(self, addition: int, photo: int) -> bytes | None:
        """A small copy of a photo."""
        return self.searcher.catalogue.thumbnail(addition, photo)

    def open_scene(self, addition: int, phrase: str, photo: int | None) -> str:
        """Serve a scene, seen from a photo with a phrase asked; returns its address.

        Raises:
            LerfError: the run cannot be opened.
        """
        key = (addition, phrase, photo)
        with self._work:
            if key not in self._open:
                entries = {entry.addition: entry for entry in self.searcher.catalogue.entries()}
                if addition not in entries:
                    raise QueryError("This scene is not in the catalogue any more; search again.")
                name, count = entries[addition].name, len(entries[addition].photos)
                if photo is not None and not 0 <= photo < count:
                    raise QueryError(f"The scene has photos 0 to {count - 1}, not {photo}.")
                scene = open_scene_state(Path(name), device=self.searcher.device)
                opening = Opening(phrase[:LONGEST_PHRASE], photo)
                self._open[key] = Viewer(
                    scene, title=Path(name).name, host=self.host, port=self.port + 1, limit=self._limit, opening=opening
                )
                while len(self._open) > MOST_SCENES:
                    self._open.pop(next(iter(self._open))).close()
            return self._open[key].url


def _tiles(found: SearchResult) -> list[dict[str, Any]]:
    """A tile for each scene that holds a phrase."""
    return [_tile(phrase.text, scene) for phrase in found.phrases for scene in phrase.scenes]


def _tile(phrase: str, scene: SceneAnswer) -> dict[str, Any]:
    own = scene.answer.geometry
    assert own is not None
    return {
        "phrase": phrase, "run": scene.run, "name": Path(scene.run).name, "addition": str(scene.addition),
        "state": scene.state, "relevancy": scene.answer.relevancy, "instances": len(scene.answer.instances),
        "point": list(own.point), "view": own.view, "photo": scene.photo, "mark": scene.mark,
    }  # fmt: skip


class _Requests(BaseHTTPRequestHandler):
    """Requests to a page."""

    page: CataloguePage
    timeout = 30
    server_version, sys_version = "lerf", ""

    def do_GET(self) -> None:
        self._answer({"/": self._page, "/search": self._search, "/photo": self._photo})

    def do_POST(self) -> None:
        self._answer({"/open": self._open})

    def log_message(self, *_: Any) -> None:
        """What strangers can make it say stays unsaid."""

    def _answer(self, places: dict[str, Callable[[dict[str, str]], None]]) -> None:
        headers = self.headers
        refusal = self.page.access.refusal(self.path, headers.get_all("Host") or [], headers.get_all("Origin") or [])
        if refusal is not None:
            self._send(HTTPStatus.FORBIDDEN, "text/plain; charset=utf-8", refusal.encode())
            return
        parts = urlsplit(self.page.access.path_behind_token(self.path) or "/")
        asked = {name: values[0] for name, values in parse_qs(parts.query, max_num_fields=8).items()}
        if parts.path not in places:
            self._send(HTTPStatus.NOT_FOUND, "text/plain; charset=utf-8", b"There is no such file.")
            return
        try:
            places[parts.path](asked)
        except (LerfError, ValueError, LookupError) as problem:
            told = in_words(problem) if isinstance(problem, LerfError) else "The question cannot be read."
            self._json({"error": told}, HTTPStatus.BAD_REQUEST)

    def _page(self, asked: dict[str, str]) -> None:
        self._send(HTTPStatus.OK, "text/html; charset=utf-8", self.page.document)

    def _search(self, asked: dict[str, str]) -> None:
        self._json(self.page.search(asked.get("q", "")))

    def _photo(self, asked: dict[str, str]) -> None:
        data = self.page.thumbnail(int(asked["addition"]), int(asked["photo"]))
        if data is None:
            self._send(HTTPStatus.NOT_FOUND, "text/plain; charset=utf-8", b"The photo was not there.")
        else:
            self._send(HTTPStatus.OK, "image/jpeg", data)

    def _open(self, asked: dict[str, str]) -> None:
        photo = int(asked["photo"]) if asked.get("photo") else None
        self._json({"url": self.page.open_scene(int(asked["addition"]), asked["phrase"], photo)})

    def _json(self, value: Any, status: HTTPStatus = HTTPStatus.OK) -> None:
        self._send(status, "application/json", json.dumps(value, allow_nan=False).encode())

    def _send(self, status: HTTPStatus, kind: str, data: bytes) -> None:
        self.send_response(status)
        told = {"Content-Type": kind, "Content-Length": str(len(data)), **rules(self.headers.get("Host") or "")}
        for name, value in told.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)
