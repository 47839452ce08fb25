"""HTTP answers of a page's server, as `websockets` sends them."""

from __future__ import annotations

import http
from typing import Any


def sentence(status: http.HTTPStatus, text: str) -> Any:
    from websockets.datastructures import Headers
    from websockets.http11 import Response

    body = f"{text}\n".encode()
    headers = Headers({"Content-Type": "text/plain; charset=utf-8", "Content-Length": str(len(body))})
    put(headers, {"Connection": "close", **rules("")})
    return Response(status, status.phrase, headers, body)


def rules(host: str) -> dict[str, str]:
    """What the browser is told of a page: to load and connect to nothing else, not to show it inside other pages, and
    not to tell its address, which holds the token."""
    own = f"'self' ws://{host} wss://{host}" if host else "'none'"
    return {
        "Content-Security-Policy": "default-src 'self' 'unsafe-inline' 'unsafe-eval' blob: data:; "
        f"connect-src {own} blob: data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Cross-Origin-Resource-Policy": "same-origin",
    }


def put(headers: Any, values: dict[str, str]) -> None:
    for name, value in values.items():
        if name in headers:
            del headers[name]
        headers[name] = value
