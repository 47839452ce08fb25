"""The tables of a catalogue, kept by LanceDB in a folder or an object store (extra `lerf[catalogue]`).

`about`    one row: the encoder, the version, the shared basis
`scenes`   a row a run: its name, its key, thumbnails, and what answers (`record.py`)
`cells`    a row for every cell and supervised scale (`rows.py`), with a vector index above a size

A run is in a catalogue when its row is in `scenes`, which is written last and in one move. Its cells are written before
it, in one move too, under the number of the addition; cells of a number that no row of `scenes` has are left over from
an addition that was cut off: nobody sees them, and `remove_left_over` takes them away.
"""

from __future__ import annotations

import datetime
import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lerf.errors import CatalogueError
from lerf.files import is_absent, is_folder

INDEX_ROWS = 200_000
"""Rows of `cells` from which a vector index is made; fewer are searched one by one."""
UNINDEXED = 0.1
"""Share of rows that may be outside the index before they are put into it."""
PIECES = 32
"""Files of `scenes`, of which each addition makes one, before they are joined. To join them writes all that answers
anew, and to list the runs of many files takes a millisecond a file."""
ROWS_A_PARTITION = 16_384
SUB_VECTOR = 4
"""Numbers of an embedding that a byte of the index stands for."""
KEEP_VERSIONS = datetime.timedelta(minutes=10)
"""For which readers may still look at a table as it was."""
TRIES = 8
"""Of a change that another process's change got in the way of."""
_INDEX = re.compile(r"vector_(\d+)")
"""Names of the vector index: how many partitions it has."""
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://")


def is_address(place: str) -> bool:
    """Whether a place is that of an object store, such as s3://bucket/folder, and not a folder."""
    return bool(_ADDRESS.match(place))


def require_lancedb() -> Any:
    """The package lancedb.

    Raises:
        CatalogueError: it is not installed.
    """
    # It would tell of parts of an index that are smaller than others.
    os.environ.setdefault("LANCEDB_LOG", "error")
    try:
        import lancedb
    except ImportError as error:
        raise CatalogueError("A catalogue needs the package lancedb; run: pip install 'lerf[catalogue]'") from error
    return lancedb


class Store:
    """The tables at a place."""

    def __init__(self, place: str) -> None:
        """
        Args:
            place: a folder, or an address of an object store; its keys are read from the environment, as AWS_ENDPOINT,
                AWS_ACCESS_KEY_ID and others.

        Raises:
            CatalogueError: lancedb is not installed, or the place cannot be used.
        """
        lancedb = require_lancedb()
        self.place = place
        self.folder = None if is_address(place) else Path(place)
        try:
            if self.folder is not None and not is_absent(self.folder) and not is_folder(self.folder):
                raise CatalogueError(f"{place} is not a folder; give another place for the catalogue.")
            self._connection = lancedb.connect(place)
            self.names = set(self._connection.list_tables().tables)
        except (OSError, ValueError, RuntimeError) as problem:
            raise self.failed(problem) from None
        self._tables: dict[str, Any] = {}

    def failed(self, problem: Exception) -> CatalogueError:
        """What is said of a problem of the storage's."""
        said = (str(problem).splitlines() or [type(problem).__name__])[0]
        return CatalogueError(f"The catalogue {self.place} cannot be used ({said}); check its place and the disk.")

    def table(self, name: str) -> Any:
        """One of the tables, as it is now."""
        if name not in self._tables:
            try:
                self._tables[name] = self._connection.open_table(name)
            except (OSError, ValueError, RuntimeError) as problem:
                raise self.failed(problem) from None
        return self._tables[name]

    def create(self, about: dict[str, Any], basis: bytes, rank: int) -> None:
        """Make the tables; where another process has made them meanwhile, its own are kept.

        Raises:
            CatalogueError: they cannot be written.
        """
        import pyarrow as pa

        content = pa.table({"about": [json.dumps(about)], "basis": pa.array([basis], pa.large_binary())})
        try:
            # That of `about` comes last: a catalogue without it is none, and is begun again.
            self._connection.create_table("cells", schema=_cells_schema(rank), exist_ok=True)
            self._connection.create_table("scenes", schema=_scenes_schema(), exist_ok=True)
            if "about" not in self._connection.list_tables().tables:
                self._connection.create_table("about", content, exist_ok=True)
        except (OSError, ValueError, RuntimeError) as problem:
            raise self.failed(problem) from None
        self.names, self._tables = set(self._connection.list_tables().tables), {}

    def about(self) -> tuple[Any, bytes]:
        """What `create` was given."""
        rows = self.read("about", ["about", "basis"])
        if not rows:
            raise CatalogueError(f"The catalogue {self.place} is empty; make it again with 'lerf catalogue add'.")
        return rows[0]["about"], rows[0]["basis"]

    def read(self, name: str, columns: Sequence[str], where: str | None = None) -> list[dict[str, Any]]:
        """Some columns of a table's rows."""
        table = self.table(name)
        try:
            query = table.search().select(list(columns))
            rows = query.where(where) if where else query
            found: list[dict[str, Any]] = rows.limit(None).to_arrow().to_pylist()
            return found
        except (OSError, ValueError, RuntimeError) as problem:
            raise self.failed(problem) from None

    def additions_of_cells(self) -> set[int]:
        """Numbers under which there are cells."""
        import pyarrow.compute as pc

        try:
            column = self.table("cells").search().select(["addition"]).limit(None).to_arrow()["addition"]
        except (OSError, ValueError, RuntimeError) as problem:
            raise self.failed(problem) from None
        return set(pc.unique(column).to_pylist())

    def refresh(self) -> None:
        """See what other processes have written since."""
        for table in self._tables.values():
            table.checkout_latest()

    def version(self, name: str) -> int:
        """Of a table, which every change makes another."""
        return int(self.table(name).version)

    def count(self, name: str, where: str | None = None) -> int:
        """Rows of a table."""
        return int(self.table(name).count_rows(where))

    def nearest(self, vector: Any, count: int, probes: int, exact: bool) -> Any:
        """The rows of `cells` with the largest dot products with a vector, `addition` and `_distance` of each."""
        query = self.table("cells").search(vector).distance_type("dot").limit(count)
        query = query.bypass_vector_index() if exact else query.nprobes(probes)
        try:
            return query.select(["addition", "_distance"]).to_arrow()
        except (OSError, ValueError, RuntimeError) as problem:
            raise self.failed(problem) from None

    def add(self, name: str, content: Any) -> None:
        """Add rows, which are all there when this returns, and none before."""
        self._changed(lambda: self.table(name).add(content))

    def delete(self, name: str, where: str) -> None:
        """Take rows away."""
        self._changed(lambda: self.table(name).delete(where))

    def tidy(self, removed: bool = False) -> None:
        """Join small files, drop old versions, and make or bring up to date the vector index, where it is worth it.

        Cells come into the index when enough are outside it: LanceDB searches those outside one by
        one, and keeps what is brought in at a time as a part of its own, all of which it searches. When they have
        doubled, the index is made anew, with as many partitions as belong to so many cells.

        Args:
            removed: rows were taken away, whose place on the disk is to be free.
        """
        pieces = self.table("scenes").stats()["fragment_stats"]["num_fragments"]
        if removed or pieces > PIECES:
            self._changed(lambda: self.table("scenes").optimize(cleanup_older_than=KEEP_VERSIONS))
        cells = self.table("cells")
        count, partitions = int(cells.count_rows()), self._partitions()
        stats = cells.index_stats(_index_name(partitions)) if partitions else None
        outside = stats.num_unindexed_rows if stats else count
        if removed or outside > UNINDEXED * count:
            self._changed(lambda: self.table("cells").optimize(cleanup_older_than=KEEP_VERSIONS))
        if count >= max(INDEX_ROWS, 2 * ROWS_A_PARTITION * partitions):
            partitions = max(1, count // ROWS_A_PARTITION)
            self._changed(lambda: self._make_index(partitions))
        for index in self.table("cells").list_indices():
            if index.name != _index_name(partitions):
                self._changed(lambda name=index.name: self.table("cells").drop_index(name))

    def _partitions(self) -> int:
        """Of the vector index, which its name tells; 0 where there is none."""
        names = (_INDEX.fullmatch(index.name) for index in self.table("cells").list_indices())
        return max((int(match[1]) for match in names if match), default=0)

    def _make_index(self, partitions: int) -> None:
        from lancedb.index import IvfPq

        cells = self.table("cells")
        rank = cells.schema.field("vector").type.list_size
        cells.create_index(
            "vector",
            config=IvfPq(
                distance_type="dot", num_partitions=partitions, num_sub_vectors=max(1, rank // SUB_VECTOR),
                max_iterations=15, sample_rate=64,
            ),
            name=_index_name(partitions),
        )  # fmt: skip

    def _changed(self, change: Any) -> None:
        """Make a change, again where another process's got in its way.

        Raises:
            CatalogueError: it cannot be made.
        """
        for attempt in range(TRIES):
            try:
                change()
                return
            except (OSError, ValueError, RuntimeError) as problem:
                conflict = "conflict" in str(problem).lower() or "concurrent" in str(problem).lower()
                if not conflict or attempt == TRIES - 1:
                    raise self.failed(problem) from None
                for table in self._tables.values():
                    table.checkout_latest()


def _index_name(partitions: int) -> str:
    return f"vector_{partitions}"


def cells_content(addition: int, rows: Any) -> Any:
    """`rows.CellRows` as a table of `cells`."""
    import numpy as np
    import pyarrow as pa

    rank = rows.vectors.shape[1]

    def lists(values: Any, size: int) -> Any:
        return pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(values).reshape(-1)), size)

    columns = {
        "addition": np.full(len(rows), addition, np.int64), "point": lists(rows.points, 3), "scale": rows.scales,
        "vector": lists(rows.vectors, rank), "weight": rows.weights, "photo": rows.photos,
    }  # fmt: skip
    return pa.table(columns, schema=_cells_schema(rank))


def scene_content(values: dict[str, Any]) -> Any:
    """A row of `scenes`."""
    import pyarrow as pa

    return pa.Table.from_pylist([values], schema=_scenes_schema())


def _cells_schema(rank: int) -> Any:
    import pyarrow as pa

    return pa.schema([
        ("addition", pa.int64()), ("point", pa.list_(pa.float32(), 3)), ("scale", pa.float32()),
        # In single precision: LanceDB makes an index of halves ten times slower.
        ("vector", pa.list_(pa.float32(), rank)), ("weight", pa.float32()), ("photo", pa.int32()),
    ])  # fmt: skip


def _scenes_schema() -> Any:
    import pyarrow as pa

    thumbnail = pa.struct([("photo", pa.int32()), ("jpeg", pa.binary())])
    return pa.schema([
        ("name", pa.string()), ("addition", pa.int64()), ("key", pa.string()), ("files", pa.string()),
        ("added", pa.string()), ("rows", pa.int64()), ("kept", pa.float32()), ("content_bytes", pa.int64()),
        ("photos", pa.list_(pa.string())), ("thumbnails", pa.list_(thumbnail)), ("content", pa.large_binary()),
        ("quantised", pa.large_binary()), ("quantised_bytes", pa.int64()),
    ])  # fmt: skip
