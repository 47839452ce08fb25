"""Which photos of a transforms.json are held out: by lists in it, or by the files of each side beside it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

import msgspec

from lerf.documents import read_document
from lerf.errors import SceneError
from lerf.files import is_file
from lerf.scenes.finder import as_written, name_in, some_of
from lerf.scenes.listing import Split

SPLIT_FILES = "split_files"
"""Entry of a listing's metadata: names of the files beside transforms.json that its split is from."""
SIDES = ("train", "val", "test")


class _NamedFrame(msgspec.Struct):
    file_path: str = ""


class _NamedFrames(msgspec.Struct):
    frames: list[_NamedFrame]


def listed_split(train: Sequence[str], test: Sequence[str], names: Sequence[str], path: Path) -> Split | None:
    """The split that a file's own lists make; None where both are empty.

    Args:
        train: the photos to train on; empty: all that are not held out.
        test: the photos held out; empty: all others.
        names: of the file's photos, in its order.
        path: of the file.

    Raises:
        SceneError: a list has what is no photo of the file.
    """
    return _split(_listed(train, names, path), _listed(test, names, path), len(names))


def split_beside(path: Path, stated: Sequence[str]) -> tuple[Split | None, list[str], list[str]]:
    """The split that transforms_train.json, transforms_val.json and transforms_test.json beside a file make.

    It holds what these say of the photos that the file itself lists: validation photos are held out together with test
    photos, a photo on both sides is held out, and one on neither is not used; with one side only, the other is the
    rest.

    Args:
        path: of a transforms.json.
        stated: the `file_path` of its frames, in its order.

    Returns:
        The split, None where these files make none; the names of those it is from; what there is to tell.

    Raises:
        SceneError: one of these files cannot be read.
    """
    files = {side: path.parent / f"{path.stem}_{side}.json" for side in SIDES}
    files = {side: file for side, file in files.items() if is_file(file)}
    index = {as_written(name): number for number, name in enumerate(stated)}
    sides: dict[str, set[int]] = {}
    strangers: dict[str, list[str]] = {}
    for side, file in files.items():
        entries = read_document(file, _NamedFrames, error=SceneError, remedy="export it again or move it away").frames
        places = [as_written(entry.file_path) for entry in entries]
        sides[side] = {index[place] for place in places if place in index}
        strangers[file.name] = [str(place) for place in places if place not in index]
    used = [files[side].name for side, photos in sides.items() if photos]
    if not used:
        return None, [], []
    train = sides.get("train") or None
    test = (sides.get("val", set()) | sides.get("test", set())) or None
    split = _split(train, test, len(stated))
    assert split is not None
    named = " and ".join(used)
    if not split[0]:
        return None, [], [f"{named} beside {path.name} leave no photo to train on: every 8th photo is held out."]
    unused = len(stated) - len(split[0]) - len(split[1])
    notes = [
        f"The split is that of {named} beside {path.name}: {len(split[0])} photos to train on, {len(split[1])} held "
        f"out{f', {unused} on neither side' if unused else ''}."
    ]
    notes += [
        f"{len(names)} photos of {file} are not in {path.name} and not used: {some_of(names)}."
        for file, names in strangers.items()
        if names
    ]
    return split, used, notes


def _split(train: set[int] | None, test: set[int] | None, count: int) -> Split | None:
    if train is None and test is None:
        return None
    every = set(range(count))
    if test is None:
        assert train is not None
        test = every - train
    train = every - test if train is None else train - test
    return tuple(sorted(train)), tuple(sorted(test))


def _listed(entries: Iterable[str], names: Sequence[str], path: Path) -> set[int] | None:
    """Indices of the photos listed, None when there are none."""
    index = {name: number for number, name in enumerate(names)}
    # A list may leave the extension out, as frames may; a stem that two photos share stays ambiguous.
    stems: dict[str, list[int]] = {}
    for number, name in enumerate(names):
        stems.setdefault(_stem(name), []).append(number)
    found = set()
    for entry in entries:
        name = name_in(path.parent, path.parent / as_written(entry))
        near = stems.get(name) or stems.get(_stem(name), [])
        if name in index:
            found.add(index[name])
        elif len(near) == 1:
            found.add(near[0])
        else:
            raise SceneError(f"The split in {path} lists {entry!r}, which is not a frame: remove it or add its pose.")
    return found or None


def _stem(name: str) -> str:
    folder, _, last = name.rpartition("/")
    stem = PurePosixPath(last).stem
    return f"{folder}/{stem}" if folder else stem
