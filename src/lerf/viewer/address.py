"""Where a page is served: a free port of an address of this machine, and how that is written."""

from __future__ import annotations

import errno
import socket
from typing import Any

from lerf.errors import ConfigError

PORTS = 100
"""How many ports are tried, from the one asked for."""


def require_viser() -> Any:
    """The viser package.

    Raises:
        ConfigError: when it is not installed.
    """
    try:
        import viser
    except ImportError:
        raise ConfigError("The viewer needs viser; install it with: pip install 'lerf[viewer]'.") from None
    return viser


def announced_url(host: str, port: int) -> str:
    """An address that opens the page on this machine."""
    name = {"0.0.0.0": "localhost", "::": "localhost"}.get(host, host)
    return f"http://{f'[{name}]' if ':' in name else name}:{port}"


def free_port(host: str, port: int) -> int:
    """The first port from `port` on that can be listened on; any free one for 0.

    Raises:
        ConfigError: when the address is not one of this machine's, or no port is free.
    """
    if not 0 <= port <= 65535:
        raise ConfigError(f"--port must lie in 0..65535, not {port}.")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError) as error:
        raise ConfigError(
            f"There is no address '{host}' ({error}); use --host 127.0.0.1, or 0.0.0.0 for all."
        ) from None
    for candidate in range(port, min(port + PORTS, 65536)):
        with socket.socket(family, kind, protocol) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                trial.bind((address[0], candidate))
            except OSError as error:
                if error.errno in (errno.EADDRINUSE, errno.EACCES):
                    continue
                raise ConfigError(
                    f"Cannot listen on '{host}' ({error.strerror}); use --host 127.0.0.1, or 0.0.0.0 for all."
                ) from None
            return int(trial.getsockname()[1])
    raise ConfigError(f"None of the {PORTS} ports from {port} on is free; choose another --port.")
