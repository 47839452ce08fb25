"""A capture that stands elsewhere than when its run was begun: with the same content it is the same capture."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from lerf.errors import RunError
from lerf.files import write_json
from lerf.run.capture_record import changes, read_capture_record, record_of_scene, write_capture_record
from lerf.run.differences import value_text
from lerf.scenes.record import scene_to_plain
from lerf.scenes.scene import Scene
from lerf.stages.stage import Context


def refuse_other_capture(context: Context, before: str, remedy: str) -> None:
    """Make sure that the capture, which has another path than when the run was begun, has the same content.

    Args:
        context: of a run whose other settings are the same.
        before: the path of the capture in the run's settings.
        remedy: what to do where it has not, in the imperative and without a full stop.

    Raises:
        RunError: it has another content, or the run recorded none.
    """
    recorded, now = read_capture_record(context.run.path), value_text(context.settings.data)
    begun = f"{context.run.path} was begun with {value_text(before)}"
    if recorded is None:
        raise RunError(
            f"{begun} by an older lerf, which did not write down what its photos were: whether {now} is the same "
            f"capture cannot be checked. {remedy}."
        )
    # Names, cameras and split first: where they differ no photo need be read.
    found = changes(recorded, record_of_scene(context.scene, poses=True)) or changes(recorded, context.record)
    if found:
        raise RunError(f"{begun}, and {now} is another capture: {'; '.join(found)}. {remedy}.")


def note_move(context: Context) -> bool:
    """Whether the capture moved since the run was begun, which is told."""
    before = _path_before(context)
    if before is None:
        return False
    context.reporter.note(
        f"The capture has moved from {before} to {context.settings.data}; its content is the same, and the run goes on."
    )
    return True


def follow_move(context: Context) -> None:
    """Enter where the capture is now into the run; nothing is done where that is known.

    Raises:
        RunError: a file of the run is damaged.
        StorageError: the folder cannot be written.
    """
    if _path_before(context) is None:
        return
    run = context.run
    if run.has_checkpoints:
        write_json(run.path / "scene.json", scene_to_plain(_relocated(run.read_scene(), context.scene)))
    write_capture_record(run.path, context.record)
    # Last: a move that was interrupted is one that is still to be followed.
    run.write_config(context.settings, _facts(run.read_config()))


def _path_before(context: Context) -> str | None:
    if not context.run.exists:
        return None
    before = context.run.read_config()["settings"].data
    return None if before == context.settings.data else before


def _facts(config: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in config.items() if name not in ("format", "settings")}


def _relocated(saved: Scene, now: Scene) -> Scene:
    """A run's scene, whose cameras may be corrected ones, with the files of the capture as it is now."""
    photos = tuple(
        replace(photo, path=other.path, mask_path=other.mask_path)
        for photo, other in zip(saved.photos, now.photos, strict=True)
    )
    return replace(saved, root=now.root, photos=photos, points_path=now.points_path)
