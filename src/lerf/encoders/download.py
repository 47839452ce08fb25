"""Fetching a model from the Hugging Face hub into its local cache.

A download goes on where it broke off, in this process or a later one. What has come is compared with the checksum that
the hub lists. A file appears under its name when it is whole, and a revision when all of its files are there. The
layout is that of the hub's own tools, which find what lies there: `blobs/CHECKSUM`, links to them as
`snapshots/COMMIT/FILE`, and the commit in `refs/REVISION`.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import shutil
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import msgspec

from lerf.documents import parse_document
from lerf.errors import EncoderError, StorageError
from lerf.files import is_file, read_bytes, sha256_of, write_atomically

HUB = "https://huggingface.co"
TIMEOUT = 20.0
"""Seconds without an answer, or without a byte of one, after which the hub counts as not reachable."""
PAUSE = 1.0
"""Seconds before a download that broke off is taken up again."""
BLOCK = 1 << 20
"""Bytes read at a time at most."""
LARGEST_LISTING = 16_000_000
"""Bytes of what the hub says about a model."""
LARGEST_TOKEN = 10_000

Progress = Callable[[int, int], None]
"""Told the bytes that are there, and those of all files together."""
Size = Annotated[int, msgspec.Meta(ge=0, le=10**13)]


class FetchError(Exception):
    """Why something cannot be fetched, in a few words."""


class BrokenError(FetchError):
    """The hub does not answer, or no longer."""


class _Large(msgspec.Struct):
    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    size: Size


class _Sibling(msgspec.Struct):
    rfilename: str
    size: Size | None = None
    blob: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{40}$")] | None = msgspec.field(default=None, name="blobId")
    lfs: _Large | None = None


class _Model(msgspec.Struct):
    sha: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{40}$")]
    siblings: list[_Sibling]


@dataclass(frozen=True)
class RemoteFile:
    """A file of a model."""

    name: str
    size: int
    digest: str
    """SHA-256 of its bytes; SHA-1 as git counts it, of a small file that lies in the repository itself."""


@dataclass(frozen=True)
class Listing:
    """What the hub has of a model, without what lies in folders."""

    model: str
    commit: str
    files: dict[str, RemoteFile]


def list_model(model: str, revision: str) -> Listing:
    """Files of a model at a branch, tag or commit.

    Raises:
        FetchError: the hub cannot be reached, or knows no such model.
    """
    path = f"/api/models/{urllib.parse.quote(model)}/revision/{urllib.parse.quote(revision, safe='')}?blobs=true"
    data = bytearray()
    with _opened(path) as answer:
        while len(data) <= LARGEST_LISTING and (block := _read(answer)):
            data += block
    if len(data) > LARGEST_LISTING:
        raise FetchError(f"{hub_name()} sends a list of files that is larger than any can be")
    try:
        about = parse_document(bytes(data), _Model, f"what {hub_name()} sends", error=EncoderError, remedy="try later")
    except EncoderError as problem:
        raise FetchError(str(problem).rpartition(":")[0]) from problem
    return Listing(model, about.sha, dict(filter(None, map(_remote, about.siblings))))


def fetch_files(
    listing: Listing, names: Sequence[str], cache: Path, revision: str, progress: Progress | None = None
) -> None:
    """Bring files of a model into the cache; what is there already is not fetched again.

    Args:
        listing: from `list_model`.
        names: of files, in the order in which they are to come.
        cache: the hub's local cache.
        revision: branch, tag or commit that the cache shall know them by.
        progress: is told how far it is.

    Raises:
        FetchError: the hub cannot be reached, what it sends is not what it lists, or the disk has no room.
        StorageError: the cache cannot be written.
    """
    root = model_folder(cache, listing.model)
    blobs, snapshot = root / "blobs", root / "snapshots" / listing.commit
    files = [listing.files[name] for name in names]
    try:
        for folder in (blobs, snapshot):
            folder.mkdir(parents=True, exist_ok=True)
        lacking = sum(file.size - _at_hand(snapshot, blobs, file) for file in files)
        if lacking > shutil.disk_usage(blobs).free:
            raise FetchError(f"{lacking / 1e6:.0f} MB do not fit on the disk of {cache}")
        total, done = sum(file.size for file in files), 0
        for file in files:
            if not _is_whole(snapshot / file.name, file):
                _fetch_blob(listing, file, blobs, partial(_tell, progress, done, total))
                _show(blobs / file.digest, snapshot / file.name)
            done += file.size
            _tell(progress, done, total, 0)
    except OSError as problem:
        raise StorageError(
            f"Cannot write into {root} ({problem.strerror or problem}): free space, or set HF_HUB_CACHE to another one."
        ) from problem
    if revision != listing.commit:
        write_atomically(root / "refs" / revision, lambda out: out.write(listing.commit.encode()))


def model_folder(cache: Path, model: str) -> Path:
    """Where the cache keeps a model."""
    return cache / f"models--{model.replace('/', '--')}"


def hub_address() -> str:
    """The hub, or the mirror of it that `HF_ENDPOINT` names."""
    return (os.environ.get("HF_ENDPOINT") or HUB).rstrip("/")


def hub_name() -> str:
    """The hub's host, as sentences name it."""
    return urllib.parse.urlsplit(hub_address()).netloc or hub_address()


def _remote(sibling: _Sibling) -> tuple[str, RemoteFile] | None:
    """A file of the repository's top folder that carries a checksum, by its name."""
    name, digest = sibling.rfilename, sibling.lfs.sha256 if sibling.lfs else sibling.blob
    size = sibling.lfs.size if sibling.lfs else sibling.size
    plain = bool(name) and name == os.path.basename(name) and not name.startswith(".") and "\\" not in name
    return (name, RemoteFile(name, size, digest)) if plain and digest and size is not None else None


def _fetch_blob(listing: Listing, file: RemoteFile, blobs: Path, progress: Callable[[int], None]) -> None:
    """Bring one file to `blobs/CHECKSUM`, going on with what is there of it."""
    blob, unfinished = blobs / file.digest, blobs / f"{file.digest}.incomplete"
    path = f"/{urllib.parse.quote(listing.model)}/resolve/{listing.commit}/{urllib.parse.quote(file.name)}"
    while not _is_whole(blob, file):
        unfinished.touch()
        began = unfinished.stat().st_size
        if began <= file.size:
            _complete(path, unfinished, file, progress)
        if unfinished.stat().st_size == file.size and _digest(unfinished, file) == file.digest:
            with open(unfinished, "r+b") as written:
                os.fsync(written.fileno())
            os.replace(unfinished, blob)
            continue
        unfinished.unlink()
        # What was there before may have been wrong; what came now is what the hub sends.
        if not began:
            raise FetchError(f"what {hub_name()} sends as {file.name} has another checksum than it lists")


def _complete(path: str, unfinished: Path, file: RemoteFile, progress: Callable[[int], None]) -> None:
    """Append to a file until it is as long as it should be, however often the hub breaks off.

    Raises:
        BrokenError: the hub sends nothing more.
    """
    while (before := unfinished.stat().st_size) < file.size:
        try:
            _append(path, unfinished, file.size, progress)
            problem = BrokenError(f"{hub_name()} ends {file.name} after {before} of {file.size} bytes")
        except BrokenError as error:
            problem = error
        if unfinished.stat().st_size <= before:
            raise problem
        if unfinished.stat().st_size < file.size:
            time.sleep(PAUSE)


def _append(path: str, unfinished: Path, size: int, progress: Callable[[int], None]) -> None:
    """Write what the hub sends of a file from where it ends; from the start where the hub cannot begin there."""
    have = unfinished.stat().st_size
    with _opened(path, {"Range": f"bytes={have}-"} if have else {}) as answer:
        begins = answer.headers.get("Content-Range", "").partition("-")[0] == f"bytes {have}"
        with open(unfinished, "ab" if have and answer.status == 206 and begins else "wb") as out:
            # One byte more than there should be is enough to know.
            while out.tell() <= size and (block := _read(answer)):
                out.write(block)
                progress(min(out.tell(), size))


def _opened(path: str, headers: dict[str, str] | None = None) -> Any:
    """The hub's answer to a request.

    Raises:
        FetchError: the hub refuses it.
        BrokenError: it cannot be reached.
    """
    token = _token()
    named = {"User-Agent": "lerf", **(headers or {}), **({"Authorization": f"Bearer {token}"} if token else {})}
    opener = urllib.request.build_opener(_Redirects)
    try:
        return opener.open(urllib.request.Request(hub_address() + path, headers=named), timeout=TIMEOUT)
    except urllib.error.HTTPError as answer:
        with answer:
            raise FetchError(_refusal(answer.code)) from None
    except (OSError, http.client.HTTPException) as problem:
        raise BrokenError(_reason(problem)) from problem
    except ValueError as problem:  # an address that is none
        raise FetchError(f"{hub_address()}: {problem}") from None


def _read(answer: Any) -> bytes:
    """The next bytes of an answer, as many as are there; none at its end.

    Raises:
        BrokenError: the connection broke, or nothing came in time.
    """
    try:
        return answer.read1(BLOCK)
    except (OSError, http.client.HTTPException) as problem:
        raise BrokenError(_reason(problem)) from problem


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows the hub to where its files lie, without the token: that is for the hub alone."""

    def redirect_request(self, req: Any, *others: Any) -> urllib.request.Request | None:
        followed = super().redirect_request(req, *others)
        if followed is not None and urllib.parse.urlsplit(followed.full_url).netloc != req.host:
            followed.headers.pop("Authorization", None)
        return followed


def _token() -> str:
    """The user's token of the hub, for models whose terms have to be accepted; empty without one."""
    if os.environ.get("HF_HUB_DISABLE_IMPLICIT_TOKEN", "").upper() in {"1", "ON", "YES", "TRUE"}:
        return ""
    home = os.environ.get("HF_HOME") or os.path.join(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "huggingface")
    path = Path(os.environ.get("HF_TOKEN_PATH") or os.path.join(home, "token")).expanduser()
    token = os.environ.get("HF_TOKEN", "")
    if not token and is_file(path):
        token = read_bytes(path, error=EncoderError, remedy="set HF_TOKEN", largest=LARGEST_TOKEN).decode("latin-1")
    return "".join(token.split())


def _refusal(code: int) -> str:
    if code in (401, 403):
        return f"{hub_name()} wants its terms accepted there, and HF_TOKEN set; or there is no such model"
    return f"{hub_name()} has no such model or revision" if code == 404 else f"{hub_name()} answers with code {code}"


def _reason(problem: BaseException) -> str:
    """Why the hub cannot be reached, in a few words."""
    cause = getattr(problem, "reason", problem)
    if isinstance(cause, TimeoutError):
        return f"{hub_name()} does not answer within {TIMEOUT:g} seconds"
    said = getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
    return f"{hub_name()}: {said.lower()[:60]}"


def _at_hand(snapshot: Path, blobs: Path, file: RemoteFile) -> int:
    """Bytes of a file that are on the disk."""
    if _is_whole(snapshot / file.name, file) or _is_whole(blobs / file.digest, file):
        return file.size
    with contextlib.suppress(OSError):
        return min(file.size, (blobs / f"{file.digest}.incomplete").stat().st_size)
    return 0


def _is_whole(path: Path, file: RemoteFile) -> bool:
    return is_file(path) and path.stat().st_size == file.size


def _digest(path: Path, file: RemoteFile) -> str:
    """The checksum of a file's bytes, of the kind that the hub lists of it."""
    if len(file.digest) == 64:
        return sha256_of(path)
    return hashlib.sha1(b"blob %d\0" % file.size + path.read_bytes()).hexdigest()


def _show(blob: Path, path: Path) -> None:
    """Give a file its name: a link, or, where the system allows none, the file itself."""
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    try:
        os.symlink(os.path.join("..", "..", "blobs", blob.name), path)
    except (OSError, NotImplementedError):
        os.replace(blob, path)


def _tell(progress: Progress | None, before: int, total: int, here: int) -> None:
    """Say how far a download is: what came before this file, of all, and of this file."""
    if progress is not None:
        progress(before + here, total)
