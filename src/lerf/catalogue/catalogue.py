"""A catalogue of runs: adding, removing, listing and checking them."""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import secrets
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import msgspec
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from lerf.catalogue.ahead import read_ahead
from lerf.catalogue.entry import Entry, Findings, by_size
from lerf.catalogue.quantised import QuantisedScene
from lerf.catalogue.record import LAYOUT, AnsweringScene
from lerf.catalogue.rows import basis_of, cell_rows, kept_share, thumbnails
from lerf.catalogue.run_files import (
    Files,
    fetched,
    files_of,
    files_text,
    key_of,
    name_of,
    parsed_files,
)
from lerf.catalogue.store import Store, cells_content, is_address, scene_content
from lerf.documents import parse_document
from lerf.encoders.protocols import ImageTextEncoder
from lerf.errors import CatalogueError, StorageError
from lerf.loading import load
from lerf.locks import BusyError, locked_file

FORMAT = 2
"""Version of the tables. A reader refuses others."""
OTHER = "make another catalogue with 'lerf catalogue add --to', or add runs of that encoder"
OLD = datetime.timedelta(hours=1)
"""After which cells of an addition that was not finished count as left over in an object store, which has no locks."""
LISTED = ("name", "addition", "key", "files", "added", "rows", "kept", "content_bytes", "quantised_bytes", "photos")
Added = Literal["added", "replaced", "present"]


READ_BYTES = 32_000_000
"""Of runs that are read at once."""

T = TypeVar("T")


class About(msgspec.Struct, frozen=True):
    """What a catalogue was made with."""

    format: int
    encoder: str
    fingerprint: str
    width: Annotated[int, msgspec.Meta(ge=1, le=1 << 16)]
    rank: Annotated[int, msgspec.Meta(ge=1, le=1 << 16)]


class Catalogue:
    """Runs at a place, to be searched together."""

    def __init__(self, place: str | Path) -> None:
        """Open a catalogue, or a place where one is to be made by `add`.

        Raises:
            CatalogueError: it was made with another version, or cannot be read.
        """
        self.store = Store(str(place))
        self._about: About | None = None
        self._basis: Float[Tensor, "rank width"] | None = None
        self._listed: tuple[int, list[Entry]] | None = None
        """The version of the table of scenes that was read last, and its entries."""

    @property
    def exists(self) -> bool:
        """Whether there is one."""
        return "about" in self.store.names

    @property
    def about(self) -> About:
        """What it was made with.

        Raises:
            CatalogueError: there is no catalogue, or of another version.
        """
        if self._about is None:
            self._read_about()
        assert self._about is not None
        return self._about

    @property
    def basis(self) -> Float[Tensor, "rank width"]:
        """On which the embeddings of all its runs are found."""
        if self._basis is None:
            self._read_about()
        assert self._basis is not None
        return self._basis

    def _read_about(self) -> None:
        place = self.store.place
        if not self.exists:
            raise CatalogueError(
                f"There is no catalogue at {place}; make one with 'lerf catalogue add RUN --to {place}'."
            )
        text, basis = self.store.about()
        where = f"What the catalogue {place} says of itself"
        version = parse_document(text, dict, where, error=CatalogueError, remedy="make it again").get("format")
        if version != FORMAT:
            raise CatalogueError(
                f"The catalogue {place} is of another version of lerf (format {version}, this one uses {FORMAT}); make "
                "it again with 'lerf catalogue add' in another place."
            )
        about = parse_document(text, About, where, error=CatalogueError, remedy="make it again")
        values = np.frombuffer(basis, np.float32)
        if values.size != about.rank * about.width or not np.isfinite(values).all():
            raise CatalogueError(f"The catalogue {place} is damaged (its basis is none); make it again.")
        self._about, self._basis = about, torch.from_numpy(values.reshape(about.rank, about.width).copy())

    def refuse_other_encoder(self, encoder: ImageTextEncoder, what: str) -> None:
        """Make sure that a run or a search uses the encoder of the catalogue.

        Raises:
            CatalogueError: it does not.
        """
        about = self.about
        if (about.encoder, about.fingerprint) != (encoder.name, encoder.fingerprint):
            same = "other weights of " if about.encoder == encoder.name else ""
            raise CatalogueError(
                f"{what} has {same}'{encoder.name}', and the catalogue {self.store.place} was made with "
                f"'{about.encoder}' ({about.fingerprint[:8]}); {OTHER}."
            )

    def add(self, run: str | Path, *, weights: Path | None = None, offline: bool = False, device: str = "cpu") -> Added:
        """Add a run, or bring it up to date; one that is there as it is now is left alone.

        Args:
            run: folder, or address of a folder in an object store.
            weights, offline, device: as in `lerf.load`.

        Raises:
            CatalogueError: of another encoder, or without an index; the catalogue cannot be written.
            BusyError: another process adds the same run.
            LerfError: the run cannot be opened.
        """
        name = name_of(str(run))
        with self._held(name), fetched(str(run)) as folder:
            before = self._named(name) if self.exists else []
            files = files_of(folder)
            key = key_of(files, LAYOUT)
            if any(entry.key == key for entry in before):
                return "present"
            model = load(folder, weights=weights, offline=offline, device=device)
            scene = AnsweringScene.of(model)
            if not self.exists:
                self.create([scene], model.encoder)
            self.refuse_other_encoder(model.encoder, name)
            self.write(name, scene, key, files)
            self._drop(before)
        return "replaced" if before else "added"

    def write(self, name: str, scene: AnsweringScene, key: str, files: Files) -> None:
        """Write a run's cells, and then its row, which makes it a part of the catalogue."""
        rows = cell_rows(scene, self.basis)
        now = datetime.datetime.now(datetime.timezone.utc)
        # In the order of time, so that of two additions of one run all agree which is the later.
        addition = (int(now.timestamp() * 1000) << 20) + secrets.randbits(20)
        self.store.add("cells", cells_content(addition, rows))
        content, quantised, plain = scene.packed(), QuantisedScene.of(scene).packed(), scene.cameras.scene
        best = sorted({int(photo) for photo in rows.photos if photo >= 0})
        self.store.add(
            "scenes",
            scene_content({
                "name": name, "addition": addition, "key": key, "files": files_text(files),
                "added": now.isoformat(timespec="seconds"), "rows": len(rows), "kept": kept_share(scene, self.basis),
                "content_bytes": len(content), "quantised_bytes": len(quantised), "content": content,
                "quantised": quantised, "photos": [photo.name for photo in plain.photos],
                "thumbnails": [
                    {"photo": photo, "jpeg": jpeg} for photo, jpeg in thumbnails(plain, best).items()
                ],
            }),
        )  # fmt: skip

    def create(self, scenes: Sequence[AnsweringScene], encoder: ImageTextEncoder) -> None:
        """Make the tables, with the basis that keeps the most of some scenes' embeddings."""
        basis = basis_of(list(scenes))
        about = About(FORMAT, encoder.name, encoder.fingerprint, basis.shape[1], len(basis))
        self.store.create(msgspec.to_builtins(about), basis.numpy().tobytes(), len(basis))

    def remove(self, run: str | Path) -> bool:
        """Take a run and all that belongs to it away; whether it was there.

        Raises:
            CatalogueError: the catalogue cannot be written.
        """
        self.about  # noqa: B018  refuses where there is none
        name = name_of(str(run))
        with self._held(name):
            found = self._named(name)
            self._drop(found)
        return bool(found)

    def _drop(self, entries: Sequence[Entry]) -> None:
        # The row first: what has no row is not searched.
        for entry in entries:
            self.store.delete("scenes", f"addition = {entry.addition}")
            self.store.delete("cells", f"addition = {entry.addition}")

    def entries(self) -> list[Entry]:
        """Its runs by name; of a run that two processes added at once, the later addition.

        Raises:
            CatalogueError: there is no catalogue.
        """
        self.about  # noqa: B018  refuses where there is none
        self.store.refresh()
        version = self.store.version("scenes")
        if self._listed is None or self._listed[0] != version:
            latest = {entry.name: entry for entry in self._read_entries(None)}
            self._listed = version, [latest[name] for name in sorted(latest)]
        return list(self._listed[1])

    def _named(self, name: str) -> list[Entry]:
        quoted = name.replace("'", "''")
        return self._read_entries(f"name = '{quoted}'")

    def _read_entries(self, where: str | None) -> list[Entry]:
        """In the order of time."""
        self.store.refresh()
        found = []
        for row in self.store.read("scenes", LISTED, where):
            files = parsed_files(row["files"], f"What the catalogue holds of {row['name']}")
            found.append(Entry(**{**row, "files": files, "photos": tuple(row["photos"])}))
        return sorted(found, key=lambda entry: entry.addition)

    def scene(self, entry: Entry, device: str = "cpu") -> AnsweringScene:
        """What answers phrases as a run does.

        Raises:
            CatalogueError: it is damaged, or was removed meanwhile.
        """
        return next(self.scenes([entry], device))

    def scenes(self, entries: Sequence[Entry], device: str = "cpu") -> Iterator[AnsweringScene]:
        """`scene` of several runs, which are read some at a time: one by one each would wait for the disk."""
        sizes = [entry.content_bytes for entry in entries]
        return self._read(
            entries, "content", sizes, lambda entry, content: AnsweringScene.unpacked(content, entry.name, device)
        )

    def quantised(self, entries: Sequence[Entry]) -> Iterator[QuantisedScene]:
        """What relevancy is estimated from, of several runs.

        Raises:
            CatalogueError: as `scene`.
        """
        sizes = [entry.quantised_bytes for entry in entries]
        return self._read(
            entries, "quantised", sizes, lambda entry, content: QuantisedScene.unpacked(content, entry.name)
        )

    def _read(
        self, entries: Sequence[Entry], column: str, sizes: Sequence[int], unpack: Callable[[Entry, bytes], T]
    ) -> Iterator[T]:
        def read(part: list[Entry]) -> dict[int, bytes]:
            numbers = ", ".join(str(entry.addition) for entry in part)
            rows = self.store.read("scenes", ["addition", column], f"addition IN ({numbers})")
            return {row["addition"]: row[column] for row in rows}

        for part, contents in read_ahead(list(by_size(entries, sizes, READ_BYTES)), read):
            for entry in part:
                if entry.addition not in contents:
                    raise CatalogueError(f"{entry.name} was removed from the catalogue meanwhile; search again.")
                yield unpack(entry, contents.pop(entry.addition))

    def thumbnail(self, addition: int, photo: int) -> bytes | None:
        """The small JPEG copy of a photo; None where there is none."""
        rows = self.store.read("scenes", ["thumbnails"], f"addition = {int(addition)}")
        return next((one["jpeg"] for row in rows for one in row["thumbnails"] if one["photo"] == photo), None)

    def check(self) -> Findings:
        """Look at all that a catalogue holds, and take away what additions that were cut off have left.

        Raises:
            CatalogueError: there is no catalogue, or it cannot be read.
        """
        entries, damaged = self.entries(), []
        doubled = {entry.addition for entry in self._read_entries(None)} - {entry.addition for entry in entries}
        for entry in entries:
            try:
                self.scene(entry)
                next(self.quantised([entry]))
            except CatalogueError as problem:
                damaged.append(str(problem))
            count = self.store.count("cells", f"addition = {entry.addition}")
            if count != entry.rows:
                damaged.append(f"{entry.name} has {count} of its {entry.rows} cells; remove it and add it again.")
        left_over = self._remove_left_over({entry.addition for entry in entries}, doubled)
        states = {entry.name: entry.state for entry in entries}
        return Findings(
            len(entries), tuple(damaged), tuple(name for name, state in states.items() if state == "stale"),
            tuple(name for name, state in states.items() if state == "gone"), left_over,
        )  # fmt: skip

    def _remove_left_over(self, known: set[int], doubled: set[int]) -> int:
        now = datetime.datetime.now(datetime.timezone.utc).timestamp() * 1000
        old = set(doubled)
        for addition in self.store.additions_of_cells() - known - doubled:
            if self.store.folder is not None or now - (addition >> 20) > 1000 * OLD.total_seconds():
                old.add(addition)
        if not old or self._somebody_adds():
            return 0
        for addition in old:
            self.store.delete("scenes", f"addition = {addition}")
            self.store.delete("cells", f"addition = {addition}")
        return len(old)

    def _somebody_adds(self) -> bool:
        """Whether another process of this machine is adding a run, as far as can be told."""
        if self.store.folder is None:
            return False
        for lock in self.store.folder.glob(".adding-*.lock"):
            try:
                with locked_file(lock.with_name(lock.name[1:].removesuffix(".lock")), "wait"):
                    pass
            except BusyError:
                return True
            except StorageError:
                continue
        return False

    @contextlib.contextmanager
    def _held(self, name: str) -> Iterator[None]:
        """One process at a time adds or removes a run; in an object store, which has no locks, the later one wins."""
        if is_address(self.store.place) or self.store.folder is None:
            yield
            return
        short = hashlib.sha256(name.encode()).hexdigest()[:16]
        with locked_file(self.store.folder / f"adding-{short}", "add other runs"):
            yield
