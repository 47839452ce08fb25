"""The cache of features: manifests, journals and arrays of pyramids."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from fuzzing.kinds.spoiling import data, document
from fuzzing.mutation.places import spoilt_place
from fuzzing.oracle import Case, Fault, Kind, check_finite, command

PHOTOS = 3


def kinds() -> dict[str, Kind]:
    """By name."""
    return {"pyramid-store": Kind("cache", _spoil, _use, ("*",), weight=4)}


def _spoil(case: Case) -> str:
    """A manifest, or one photo's record or array; the record as a build that was killed leaves it."""
    folder = next(path for path in sorted((case.input / "pyramids").iterdir()) if path.is_dir())
    if case.random.random() < 0.3:
        _unfold(folder)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    records = [path for path in files if path.suffix == ".json"]
    path = case.random.choice(records if case.random.random() < 0.75 else files)
    if case.random.random() < 0.1:
        return f"{path.name}: {spoilt_place(path, case.random)}"
    return f"{path.name}: {(document if path.suffix == '.json' else data)(path, case)}"


def _unfold(folder: Path) -> None:
    """Records in the journal in place of the manifest."""
    manifest = json.loads((folder / "manifest.json").read_text())
    for photo, (height, width, place, size, digest, check) in manifest["photos"].items():
        record = {
            "height": height,
            "width": width,
            "levels": manifest["layouts"][place],
            "bytes": size,
            "sha256": digest,
            "check": check,
        }
        (folder / photo[:2] / f"{photo}.json").write_text(json.dumps(record))
    (folder / "manifest.json").write_text(json.dumps({**manifest, "photos": {}, "layouts": []}))


def _use(case: Case) -> None:
    """List, fill and read, prune: whatever is wrong with a store is made again, and its numbers are right."""
    import torch
    from colour_words import ColourWords

    from lerf.pyramids.lookup import PyramidTable
    from lerf.pyramids.store import build_pyramids

    before = os.environ["LERF_CACHE"]
    os.environ["LERF_CACHE"] = str(case.input)
    try:
        command("cache", "ls", json_too=case.random.random() < 0.7)
        if case.random.random() < 0.5:
            command("cache", "prune")
        store = build_pyramids(_photos(), ColourWords())
        table = PyramidTable.from_store(store)
        check_finite(table.cells, "cells")
        right = torch.load(case.material / "cells.pt", weights_only=True)
        if table.cells.shape != right.shape or not torch.equal(table.cells, right):
            raise Fault("not finite", "the embeddings that were read are not those of the photos")
        store.use.close()
        command("cache", "prune", "--all")
    finally:
        os.environ["LERF_CACHE"] = before


def _photos() -> list[Any]:
    import numpy as np

    photos = [np.random.default_rng(number).integers(0, 256, (24, 32, 3), np.uint8) for number in range(PHOTOS)]
    return [lambda photo=photo: photo for photo in photos]


def make(folder: Path) -> None:
    """A store of three photos, and what it must give."""
    import torch
    from colour_words import ColourWords

    from lerf.pyramids.lookup import PyramidTable
    from lerf.pyramids.store import build_pyramids

    store = build_pyramids(_photos(), ColourWords(), root=folder / "cache")
    torch.save(PyramidTable.from_store(store).cells, folder / "cells.pt")
