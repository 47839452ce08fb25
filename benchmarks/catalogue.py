"""A large catalogue made by jittering the cells of real runs: memory, time to add, latency and recall as it grows.

    python benchmarks/catalogue.py RUN [RUN ...] --place DIR --scenes 200 2000 --rows 10000

Every synthetic scene has cells of one of the runs, from a part of it that is chosen at random, with noise on their
embeddings and a shift that all of them share. Latency is that of one phrase after another in a process that has
answered others; recall is the share of the scenes of the exact top 20 that a search finds.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import replace
from pathlib import Path

# Before torch, whose threads would otherwise spin while they wait, as they do not for who uses lerf.
import lerf  # isort: skip
import numpy as np
import torch

from lerf.catalogue import catalogue as catalogue_module
from lerf.catalogue.catalogue import Catalogue
from lerf.catalogue.record import AnsweringScene
from lerf.catalogue.rows import supervised
from lerf.catalogue.search import Searcher, exact_presence
from lerf.language.cell_language import CellLanguage
from lerf.language.cells import SHORTEST, Compressed
from lerf.queries.phrases import embed_phrases
from lerf.queries.surface import surface_of_cells
from lerf.run.clock import peak_memory
from lerf.scenes.scene import Scene

VARIANTS = 4
"""Parts of each run whose graphs are made."""
NOISE, SHIFT = 0.1, 0.15
"""Lengths of what is added to unit codes: of each cell by itself, and of all cells of a scene together."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("runs", nargs="+")
    parser.add_argument("--place", required=True)
    parser.add_argument("--scenes", nargs="+", type=int, default=[200, 2000])
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--only-add", action="store_true", help="leave index and measuring to a later call")
    parser.add_argument("--phrases", nargs="+", default=["banana", "mug", "book", "bowl", "toy car", "lamp"])
    options = parser.parse_args()
    # Photos are the same in all scenes of a run: they are not decoded again and again.
    known: dict[tuple[str, ...], dict[int, bytes]] = {}
    small = catalogue_module.thumbnails

    def thumbnails(scene: Scene, photos: list[int]) -> dict[int, bytes]:
        key = tuple(photo.name for photo in scene.photos)
        if key not in known:
            known[key] = small(scene, list(scene.train))
        return {photo: known[key][photo] for photo in photos if photo in known[key]}

    catalogue_module.thumbnails = thumbnails
    generator = torch.Generator().manual_seed(0)
    models = [lerf.load(run, device="cpu", offline=True) for run in options.runs]
    whole = [AnsweringScene.of(model) for model in models]
    catalogue = Catalogue(options.place)
    if not catalogue.exists:
        catalogue.create(whole, models[0].encoder)
    parts = [part_of(scene, options.rows, generator) for scene in whole for _ in range(VARIANTS)]
    for count in options.scenes:
        start, before = time.perf_counter(), len(catalogue.entries())
        for number in range(before, count):
            scene = jittered(parts[number % len(parts)], generator.manual_seed(1 + number))
            catalogue.write(f"/synthetic/{number:06d}", scene, f"{number:06d}", {})
        added = time.perf_counter() - start
        if options.only_add:
            print(json.dumps({"scenes": count, "add_s": added, "peak_memory": peak_memory()}), flush=True)
            continue
        start = time.perf_counter()
        catalogue.store.tidy()
        tidied = time.perf_counter() - start
        report = {"scenes": count, "rows": catalogue.store.count("cells"), "add_s": added, "index_s": tidied}
        report |= {"peak_memory": peak_memory(), "disk": folder_bytes(Path(options.place))}
        report |= {"cpu_s": time.process_time()}
        report |= measured(options.place, models[0].encoder, options.phrases)
        print(json.dumps(report), flush=True)


def part_of(scene: AnsweringScene, rows: int, generator: torch.Generator) -> AnsweringScene:
    """About so many rows of a scene: the cells on one side of a plane in a random direction."""
    index = scene.language.index
    direction = torch.randn(3, generator=generator)
    order = (index.positions @ direction).argsort()
    ends = supervised(index).sum(0)[order].cumsum(0)
    chosen = order[: max(64, int((ends < rows).sum()))].sort().values
    own = index.compressed
    names = ("keys", "positions", "weights", "low", "high")
    kept = {name: getattr(index, name)[chosen] for name in names}
    index = replace(
        index, **kept, compressed=Compressed(own.basis, own.codes[:, chosen], own.norms[:, chosen]), dense=None
    )
    surface = surface_of_cells(CellLanguage(index, scene.language.samples), scene.surface.depth_maps)
    return AnsweringScene(surface, scene.cameras, scene.defaults)


def jittered(scene: AnsweringScene, generator: torch.Generator) -> AnsweringScene:
    """The scene with other embeddings."""
    index = scene.language.index
    shape = index.compressed.codes.shape
    codes = index.unit_codes.view(shape)
    spread = shape[-1] ** -0.5
    noise = torch.randn(shape[1:], generator=generator) * NOISE * spread
    shift = torch.randn(shape[-1], generator=generator) * SHIFT * spread
    moved = torch.nn.functional.normalize(codes + noise + shift, dim=-1).half()
    norms = torch.linalg.vector_norm(moved.float(), dim=-1).clamp(min=SHORTEST)
    language = CellLanguage(
        replace(index, compressed=Compressed(index.compressed.basis, moved, norms)), scene.language.samples
    )
    return AnsweringScene(replace(scene.surface, language=language), scene.cameras, scene.defaults)


def measured(place: str, encoder, phrases: list[str]) -> dict[str, object]:
    """Latency of searches and of their parts, and the recall of the best 20 scenes."""
    searcher = Searcher(Catalogue(place), encoder)
    searcher.search("cup")
    seconds, cpus, again, found = [], [], [], {}
    for phrase in phrases:
        start, cpu = time.perf_counter(), time.process_time()
        result = searcher.search(phrase).phrases[0]
        seconds.append(time.perf_counter() - start)
        cpus.append(time.process_time() - cpu)
        found[phrase] = {scene.addition for scene in result.scenes}
        start = time.perf_counter()
        searcher.search(phrase)
        again.append(time.perf_counter() - start)
    recalls, held = [], []
    scores: dict[str, list[tuple[float, int]]] = {phrase: [] for phrase in phrases}
    defaults = encoder.defaults
    asked = {one: embed_phrases(encoder, one, defaults.canonical, defaults.temperature) for one in phrases}
    for entry in searcher.catalogue.entries():
        scene = searcher.catalogue.scene(entry)
        for phrase in phrases:
            relevancy = exact_presence(scene, asked[phrase])[1]
            if relevancy >= scene.defaults.threshold:
                scores[phrase].append((relevancy, entry.addition))
    for phrase in phrases:
        best = {addition for _, addition in sorted(scores[phrase], reverse=True)[:20]}
        held.append(len(scores[phrase]))
        if best:
            recalls.append(len(best & found[phrase]) / len(best))
    return {
        **{
            name: np.round(sorted(values), 3).tolist()
            for name, values in (("search_cpu_s", cpus), ("search_s", seconds), ("same_again_s", again))
        },
        "recall": round(float(np.mean(recalls)), 4) if recalls else None, "holding": held,
    }  # fmt: skip


def folder_bytes(folder: Path) -> int:
    """All files under a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


if __name__ == "__main__":
    sys.exit(main())
