"""From photos and videos without poses to a capture: the steps in order, each of which can be resumed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lerf.errors import SceneError
from lerf.files import write_json
from lerf.poses.capture import points_of, solved_photos, stand_upright, write_capture
from lerf.poses.colmap_library import library
from lerf.poses.inputs import Inputs, SourcePhoto, find_inputs, looked_at, notes_of
from lerf.poses.known_distances import Unit, named_photos, unit_of
from lerf.poses.mapping import adjust, solve_models
from lerf.poses.matching import descriptors_of, find_points, inliers_between, match_pairs
from lerf.poses.outcome import Outcome, reasons
from lerf.poses.pairs import choose_matching, choose_pairs, connected_photos
from lerf.poses.settings import PosesSettings
from lerf.poses.video import choose_frames, write_frames
from lerf.poses.workspace import Workspace, content_of
from lerf.run.report import Reporter

FORMAT = 1
"""Of poses.json."""


def solve(
    given: Sequence[Path], capture: Path, settings: PosesSettings, reporter: Reporter, *, copy: bool = False
) -> Outcome:
    """Solve the poses of photos and write a capture that `lerf train` reads.

    Called again with the same photos it goes on where it was interrupted; of a capture that is finished it returns
    what poses.json says only after solving again, from the points and matches that are kept.

    Args:
        given: photos, folders of photos (a subfolder is a camera of its own), and videos.
        capture: folder to write.
        settings: how.
        reporter: of progress.
        copy: copy the photos instead of linking them.

    Raises:
        ConfigError: pycolmap or PyAV is not installed.
        SceneError: too few photos, an unreadable one, or none that could be placed.
        RunError: the folder holds something else.
        StorageError: it cannot be written.
        KeyboardInterrupt: what was computed stays.
    """
    library()
    inputs = find_inputs(given)
    if unused := inputs.unused:
        reporter.note(f"{len(unused)} files are neither photos nor videos and not used, {unused[0]} first.")
    workspace = Workspace(capture)
    files = [*(path for path, _ in inputs.photos), *inputs.videos]
    workspace.start({"photos": content_of(files), **settings.deciding()})
    seconds: dict[str, float] = {}
    photos, films = _photos(inputs, workspace, settings, reporter, seconds)
    for note in notes_of(photos):
        reporter.note(note)
    measured = named_photos(settings.distance, photos)
    with _step(reporter, "photos", len(photos), seconds) as report:
        names = workspace.place(photos, copy, report)
    with _step(reporter, "points", len(photos), seconds) as report:
        find_points(workspace, photos, names, settings, report)
    chosen = choose_matching(len(photos), any(films)) if settings.matching == "auto" else settings.matching
    descriptors = [] if chosen == "exhaustive" else descriptors_of(workspace, names)
    pairs = choose_pairs(chosen, films, descriptors, settings.seed)
    with _step(reporter, "matches", len(pairs), seconds) as report:
        match_pairs(workspace, names, pairs, settings, report)
    inliers = inliers_between(workspace, names)
    with _step(reporter, "cameras", len(photos), seconds) as report:
        solved = solve_models(workspace, settings, connected_photos(inliers, len(photos)), report)
        model = solved.models[0]
        adjust(model)
    for sentence in solved.sentences():
        reporter.note(sentence)
    positions = {photo.index: photo.pose[:, 3] for photo in solved_photos(model)}
    unit = Unit(settings.scale) if settings.scale else unit_of(settings.distance, measured, photos, positions)
    stand_upright(model, photos, unit.factor)
    outcome = _outcome(solved.models, photos, inliers, unit)
    write_capture(capture, model, photos)
    about = {"format": FORMAT, "settings": settings.to_plain(), "matching": chosen, "pairs": len(pairs)}
    about |= {"mapper": solved.mapper, "tried": dict(solved.tried)}
    write_json(capture / "poses.json", {**about, **outcome.to_plain(), "seconds": seconds})
    return outcome


def _photos(
    inputs: Inputs, workspace: Workspace, settings: PosesSettings, reporter: Reporter, seconds: dict[str, float]
) -> tuple[list[SourcePhoto], list[str]]:
    """All photos, frames of videos included, and for each the film that it is of, "" for none."""
    listed = list(inputs.photos)
    films = [""] * len(listed)
    for number, video in enumerate(inputs.videos):
        film = f"{number:02d}_{video.stem}" if len(inputs.videos) > 1 or listed else video.stem
        with _step(reporter, f"looking at {video.name}", 0, seconds) as report:
            chosen = choose_frames(video, settings.frames, report)
        reporter.note(
            f"{video.name}: {len(chosen.numbers)} of {chosen.total} frames taken; of the other intervals "
            f"{chosen.blurred} are blurred and {chosen.repeated} show what the one before shows."
        )
        if len(chosen.numbers) < 2:
            raise SceneError(f"{video} shows one place from one view: move the camera through the scene.")
        with _step(reporter, f"frames of {video.name}", chosen.numbers[-1] + 1, seconds) as report:
            frames = write_frames(video, chosen.numbers, workspace.path / "frames" / film, report)
        listed += [(frame, f"{film}/{frame.name}") for frame in frames]
        films += [film] * len(frames)
    return looked_at(listed), films


def _outcome(
    models: Sequence[Any], photos: Sequence[SourcePhoto], inliers: dict[tuple[int, int], int], unit: Unit
) -> Outcome:
    model = models[0]
    placed = {photo.index for photo in solved_photos(model)}
    # Models may share photos: of each only those count that no larger one has.
    parts, elsewhere = [len(placed)], set[int]()
    for other in models[1:]:
        own = {photo.index for photo in solved_photos(other)} - placed - elsewhere
        parts += [len(own)] if own else []
        elsewhere |= own
    return Outcome(
        photos=len(photos),
        placed=len(placed),
        parts=tuple(parts),
        cameras=len({photo.camera for photo in solved_photos(model)}),
        reprojection_error=float(model.compute_mean_reprojection_error()),
        points=len(points_of(model)[0]),
        track_length=float(model.compute_mean_track_length()),
        left_out=reasons(photos, placed, elsewhere, inliers),
        unit=unit,
    )


@contextmanager
def _step(reporter: Reporter, name: str, total: int, seconds: dict[str, float]) -> Iterator[Callable[[int], None]]:
    """A step that is reported and timed."""
    reporter.begin(name, total)
    start = time.perf_counter()
    yield lambda done: reporter.advance(done)
    seconds[name] = round(time.perf_counter() - start, 2)
    reporter.end(seconds[name])
