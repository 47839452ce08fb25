"""The tables as they grow: an index with as many partitions as belong to its cells, in few parts."""

import numpy as np
import pytest

from lerf.catalogue import store as store_module
from lerf.catalogue.rows import CellRows
from lerf.catalogue.store import Store, cells_content

pytest.importorskip("lancedb", reason="lancedb is not installed: pip install 'lerf[catalogue]'")
RANK = 16


@pytest.fixture
def store(tmp_path, monkeypatch):
    """A store whose index begins at 2,000 cells, 100 in a partition."""
    monkeypatch.setattr(store_module, "INDEX_ROWS", 2000)
    monkeypatch.setattr(store_module, "ROWS_A_PARTITION", 100)
    made = Store(str(tmp_path / "catalogue"))
    made.create({}, b"", RANK)
    return made


def add(store, addition, count):
    random = np.random.default_rng(addition)
    rows = CellRows(
        np.zeros((count, 3), np.float32),
        np.ones(count, np.float32),
        random.normal(size=(count, RANK)).astype(np.float32),
        np.ones(count, np.float32),
        np.zeros(count, np.int32),
    )
    store.add("cells", cells_content(addition, rows))
    store.tidy()
    return rows.vectors


def index_of(store):
    """Name, cells and parts of its vector index."""
    return [(one.name, one.num_indexed_rows, one.num_segments) for one in store.table("cells").list_indices()]


def test_the_index_grows_with_its_cells_and_stays_in_few_parts(store):
    add(store, 1, 1500)
    assert index_of(store) == []
    add(store, 2, 1000)
    assert index_of(store) == [("vector_25", 2500, 1)]
    add(store, 3, 200)
    assert index_of(store) == [("vector_25", 2500, 1)], "fewer than a tenth are searched without it"
    add(store, 4, 200)
    ((name, indexed, _),) = index_of(store)
    assert (name, indexed) == ("vector_25", 2900)
    vectors = add(store, 5, 3000)
    assert index_of(store) == [("vector_59", 5900, 1)], "of twice as many cells it is made anew"
    # LanceDB's distance is one less the dot product, here by the index and here exactly.
    by_index, exact = (1 - store.nearest(vectors[7], 50, 59, one)["_distance"].to_numpy() for one in (False, True))
    every = np.array([cell["vector"] for cell in store.read("cells", ["vector"])])
    assert exact.max() == pytest.approx((every @ vectors[7]).max(), rel=1e-4)
    assert by_index.max() == pytest.approx(exact.max(), rel=0.4)


def test_an_index_that_a_killed_process_left_beside_another_goes(store):
    add(store, 1, 2500)
    store._make_index(7)
    assert len(index_of(store)) == 2
    store.tidy()
    assert [name for name, *_ in index_of(store)] == ["vector_25"]


def test_what_answers_is_written_anew_only_after_many_additions(store, monkeypatch):
    monkeypatch.setattr(store_module, "PIECES", 3)
    pieces = []
    for number in range(6):
        store.add(
            "scenes",
            store_module.scene_content({
                "name": str(number), "addition": number, "key": "", "files": "{}", "added": "", "rows": 0, "kept": 1.0,
                "content_bytes": 4, "photos": [], "content": b"room", "thumbnails": [],
            }),
        )  # fmt: skip
        store.tidy()
        pieces.append(store.table("scenes").stats()["fragment_stats"]["num_fragments"])
    assert pieces == [1, 2, 3, 1, 2, 3]
    assert [row["name"] for row in store.read("scenes", ["name"])] == [*"012345"]
