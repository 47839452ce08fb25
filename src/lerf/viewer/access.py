"""Who may open a page: whoever has the token in its address, from a page of the same address.

A browser sends what any page of any site asks it to send, also to addresses of this machine. So every request must name
the server by a name that no stranger can point here (`Host`, against DNS rebinding), a page that makes it must be ours
(`Origin`), and its path must begin with the token that the terminal printed.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import ipaddress
import os
import re
import secrets
import socket
import warnings
from collections.abc import Sequence
from pathlib import Path

from lerf.errors import LerfError, LerfWarning
from lerf.files import read_bytes
from lerf.pyramids.manifest import cache_root

KEY_FILE = "page-key"
KEY_BYTES = 32
TOKEN_LETTERS = 22
"""Of six bits each."""
_HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253})(?P<port>:[0-9]{1,5})?")
_process_key = secrets.token_bytes(KEY_BYTES)


class Access:
    """The rules of one served page."""

    def __init__(self, token: str, host: str) -> None:
        """
        Args:
            token: first part of every path.
            host: what is listened on, an address or a name.
        """
        self.token = token
        self._names = {"localhost", host.lower(), *machine_names()}

    def allow(self, name: str) -> None:
        """Let the page also be reached by this name."""
        self._names.add(name.lower())

    def refusal(self, path: str, hosts: Sequence[str], origins: Sequence[str]) -> str | None:
        """Why a request is refused, in a sentence; None for one that may pass.

        Args:
            path: of the request, with its query.
            hosts: its `Host` headers.
            origins: its `Origin` headers; none where no page of a browser makes it.
        """
        if len(hosts) != 1 or not self._is_ours(hosts[0]):
            return "The page is not served under this name; open the address that lerf printed."
        if len(origins) > 1 or any(not _same_host(origin, hosts[0]) for origin in origins):
            return "Pages of other addresses may not use this one; open the address that lerf printed."
        if self.path_behind_token(path) is None:
            return "The token is missing or wrong; open the whole address that lerf printed."
        return None

    def path_behind_token(self, path: str) -> str | None:
        """What of a path follows the token, with its query; None without the token."""
        first, slash, rest = path.removeprefix("/").partition("/")
        given, mark, query = first.partition("?")
        given_bytes = given.encode(errors="surrogateescape")
        if not path.startswith("/") or not hmac.compare_digest(given_bytes, self.token.encode()):
            return None
        return f"/{rest}" if slash and not mark else f"/{mark}{query}{slash}{rest}"

    def _is_ours(self, host: str) -> bool:
        found = _HOST.fullmatch(host)
        if found is None:
            return False
        name = found["name"].lower()
        if name in self._names:
            return True
        # An address cannot be pointed elsewhere, as a name can.
        with contextlib.suppress(ValueError):
            ipaddress.ip_address(name.strip("[]"))
            return True
        return False


def _same_host(origin: str, host: str) -> bool:
    return origin.lower() in (f"http://{host.lower()}", f"https://{host.lower()}")


def machine_names() -> set[str]:
    """What this machine calls itself, and its name in the local network."""
    name = socket.gethostname().lower()
    short = name.partition(".")[0]
    return {name, short, f"{short}.local"} - {"", ".local"}


def page_token(title: str, port: int) -> str:
    """The token of a page: the same each time that this user serves this title at this port.

    So a page that was open while its server was restarted finds it again. Nobody can compute it who cannot read
    `$LERF_CACHE/page-key`; without that file all tokens are new.
    """
    digest = hmac.new(_user_key(), f"{port} {title}".encode(errors="surrogatepass"), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).decode()[:TOKEN_LETTERS]


def _user_key() -> bytes:
    """Random bytes that only this user can read, drawn once."""
    path = cache_root() / KEY_FILE
    try:
        if not os.path.lexists(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileExistsError):
                _write_private(path, secrets.token_bytes(KEY_BYTES))
        key = read_bytes(path, error=LerfError, remedy="delete it", largest=KEY_BYTES)
        if len(key) == KEY_BYTES and _is_private(path):
            return key
        problem = f"{path} is not a key that only you can read; delete it, a new one will be made"
    except LerfError as error:
        problem = str(error).rstrip(".")
    except OSError as error:
        problem = f"Cannot write {path} ({error.strerror or error})"
    warnings.warn(f"{problem}. Until then the page has another address at every start.", LerfWarning, stacklevel=4)
    return _process_key


def _write_private(path: Path, data: bytes) -> None:
    """Make a file that its owner alone can read, whole or not at all; one that exists is kept.

    Raises:
        FileExistsError: there is one already.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with open(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
            file.write(data)
        os.link(temporary, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()


def _is_private(path: Path) -> bool:
    """Whether the file is ours and no other user may read it; always where files have no such rights."""
    if not hasattr(os, "getuid"):
        return True
    status = os.stat(path)
    return status.st_uid == os.getuid() and not status.st_mode & 0o077
