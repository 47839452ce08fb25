"""Which of the listed photos are used: those with a file and a pose; and which photos have no pose at all."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from lerf.errors import SceneError
from lerf.files import resolved, resolver
from lerf.scenes.finder import Misplaced, is_photo_key, name_in, normal_name, pictures_under, some_of, stem_of
from lerf.scenes.listing import Listing, Missing, Shot
from lerf.scenes.pose_checks import check_poses, repeated_notes

FEW = 1 / 3
"""A capture in which less than this share of the photos at hand has a pose is warned about before anything else."""
PHOTO_FOLDERS = ("images", "input")
"""Folders of photos, whose subfolders are other cameras' photos."""
SKIP = "--missing skip"
MISSING, UNUSABLE = "photos_missing", "photos_with_unusable_poses"
"""Entries of `Scene.metadata`: how many listed photos were left out for want of a file, and for a pose that is none."""

_BESIDE = re.compile(
    r"(.*[_.-])?(mask|depth|normal|albedo|alpha|semantic|segmentation|label|confidence|conf|disparity"
    r"|texture|textured_output|thumbnail|thumb)s?([_.-]?\d+)?"
)
"""Stems of pictures that stand beside photos and are none."""


def usable(listing: Listing, is_missing: Callable[[Shot], bool], missing: Missing) -> Listing:
    """The listing with exact poses, without what cannot be used where that is to be skipped.

    Args:
        listing: as a reader gives it.
        is_missing: whether there is no file for a shot.
        missing: what to do about shots without a file or with a pose that is none.

    Raises:
        SceneError: such a shot is to be refused, or none is left.
    """
    shots = listing.shots
    checked = check_poses([shot.pose for shot in shots], [shot.name for shot in shots])
    misplaced = {note.found: note for note in listing.notes if isinstance(note, Misplaced)}
    for path in set(misplaced) - {shot.path for shot in shots}:
        raise SceneError(misplaced[path])  # of a mask
    absent = [index for index, shot in enumerate(shots) if shot.path in misplaced or is_missing(shot)]
    names = [misplaced[shot.path].stated if shot.path in misplaced else shot.name for shot in shots]
    if missing == "refuse":
        for note in misplaced.values():
            raise SceneError(_with_way_out(note, 1, len(shots)))
        if checked.problems:
            raise SceneError(_with_way_out(checked.problems[min(checked.problems)], len(checked.problems), len(shots)))
        if absent:
            raise SceneError(_all_absent(listing, absent))
    gone = {*absent, *checked.problems}
    left = [index for index in range(len(shots)) if index not in gone]
    if len(left) < 2 and gone:
        raise SceneError(
            f"{len(left)} of the {len(shots)} photos of {listing.root} can be used: {len(absent)} are not there, "
            f"{len(checked.problems)} have no pose that can be used. Put the photos where the capture says."
        )
    place = {index: number for number, index in enumerate(left)}
    split = listing.split
    if split is not None:
        train, test = (tuple(place[index] for index in side if index in place) for side in split)
        split = train, test
    notes = [*(note for note in listing.notes if not isinstance(note, Misplaced)), *checked.notes]
    metadata = dict(listing.metadata)
    for indices, why, entry in (
        (absent, "whose file is not there", MISSING),
        (sorted(checked.problems), "whose pose cannot be used", UNUSABLE),
    ):
        if indices:
            metadata[entry] = len(indices)
            notes.append(
                f"{len(indices)} of {len(shots)} photos, {why}, are left out: {some_of([names[i] for i in indices])}."
            )
    notes += repeated_notes(checked.poses[left])
    kept = [replace(shots[index], pose=checked.poses[index]) for index in left]
    return replace(listing, shots=kept, split=split, notes=notes, metadata=metadata)


def without_pose(root: Path, shots: Sequence[Shot]) -> list[str]:
    """Names of photos that lie among the listed ones and are not listed themselves.

    Pictures named like masks, depths and the like, and other files of a listed photo's name, are not counted.

    Args:
        root: the capture's folder.
        shots: the photos that a reader lists, whether they are used or not.
    """
    follow = resolver()
    listed = {follow(shot.path) for shot in shots}
    stems = {(path.parent, stem_of(normal_name(path.name))) for path in listed}
    folders: dict[Path, None] = {}
    for parent in dict.fromkeys(path.parent for path in listed):
        above = [parent, *parent.parents]
        within = above[: above.index(resolved(root))] if resolved(root) in above else above[:1]
        folders[next((folder for folder in within[::-1] if folder.name in PHOTO_FOLDERS), parent)] = None
    found = []
    for folder in folders:
        deep = folder.name in PHOTO_FOLDERS
        for file in pictures_under(folder):
            stem = stem_of(file.key[-1])
            place = follow(file.path)
            if (len(file.parts) > 1 and not deep) or not is_photo_key(file.key) or _BESIDE.fullmatch(stem):
                continue
            if (place.parent, stem) not in stems and stem_of(stem) == stem:
                found.append(name_in(resolved(root), place))
    return sorted(set(found))


def poses_notes(strays: Sequence[str], placed: int, root: Path) -> list[str]:
    """What to tell of photos without a pose: that there are any, or that most are."""
    if not strays:
        return []
    at_hand = placed + len(strays)
    if placed < FEW * at_hand:
        return [
            f"Only {placed} of the {at_hand} photos in {root} have a pose: what is learnt is a small part of what was "
            f"taken. Estimate poses again, for example with lerf poses. Without a pose: {some_of(strays)}."
        ]
    return [f"{len(strays)} of {at_hand} photos have no pose and are not used: {some_of(strays)}."]


def _with_way_out(problem: str, problems: int, photos: int) -> str:
    if problems == photos:
        return problem
    which = "it" if problems == 1 else f"the {problems} photos with such poses"
    return f"{problem.removesuffix('.')}; {SKIP} leaves {which} out."


def _all_absent(listing: Listing, absent: Sequence[int]) -> str:
    """The error about photos that are neither where the capture says nor reduced in a folder such as images_4."""
    names, count = [listing.shots[index].name for index in absent], len(listing.shots)
    model = listing.metadata.get("format") == "colmap"
    remove = "remove {} from the model with `colmap image_deleter`" if model else "remove {} from the capture"
    if len(names) == 1:
        return f"Photo {names[0]} is missing: restore it or {remove.format('its entry')}; {SKIP} leaves it out."
    if len(names) < count:
        return (
            f"{len(names)} of the {count} photos are not where the capture {listing.root} says ({some_of(names)}): "
            f"restore them or {remove.format('their entries')}; {SKIP} leaves them out."
        )
    return (
        f"Each of the {count} photos is missing from where the capture {listing.root} says ({some_of(names)}): put "
        "them there, or correct the paths."
    )
