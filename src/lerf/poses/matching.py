"""Points of every photo and their matches, into COLMAP's database; what it holds is not computed again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from lerf.errors import SceneError
from lerf.poses.colmap_library import library
from lerf.poses.inputs import SourcePhoto
from lerf.poses.pairs import Pair
from lerf.poses.settings import COLMAP_MODELS, PosesSettings
from lerf.poses.workspace import Workspace

FEW = 12
"""Photos of a camera under which its lens is given one coefficient alone."""
PAIRS_AT_ONCE = 50
"""Between two looks at the clock and at Ctrl-C."""


def find_points(
    workspace: Workspace,
    photos: Sequence[SourcePhoto],
    names: Sequence[str],
    settings: PosesSettings,
    report: Callable[[int], object],
) -> None:
    """SIFT points of every photo (Lowe 2004), and one camera for all photos that one physical camera took.

    Raises:
        ConfigError: pycolmap is not installed.
        SceneError: a photo cannot be read.
    """
    colmap = library()
    colmap.set_random_seed(settings.seed)
    cameras = _cameras(colmap, workspace, photos, names, settings)
    options, single = colmap.FeatureExtractionOptions(), colmap.CameraMode.SINGLE
    options.use_gpu, options.max_image_size = False, settings.longest_side
    options.sift.max_num_features = settings.features
    with colmap.Database.open(workspace.database) as database:
        known = {image.name for image in database.read_all_images() if database.exists_descriptors(image.image_id)}
    for done, (photo, name) in enumerate(zip(photos, names, strict=True), start=1):
        if name not in known:
            reader = colmap.ImageReaderOptions()
            reader.existing_camera_id = cameras[photo.camera]
            try:
                colmap.extract_features(
                    workspace.database, workspace.numbered, [name], single, reader, options, colmap.Device.cpu
                )
            except (RuntimeError, ValueError) as error:
                raise SceneError(f"Photo {photo.name} cannot be read ({error}): save it again.") from None
        report(done)


def _cameras(
    colmap: Any, workspace: Workspace, photos: Sequence[SourcePhoto], names: Sequence[str], settings: PosesSettings
) -> dict[str, int]:
    """COLMAP's number of each camera, made where the database does not have it; numbers follow the photos' order."""
    groups: dict[str, list[int]] = {}
    for index, photo in enumerate(photos):
        groups.setdefault(photo.camera, []).append(index)
    found = {}
    with colmap.Database.open(workspace.database) as database:
        for number, (group, members) in enumerate(groups.items(), start=1):
            if not database.exists_camera(number):
                guess = colmap.infer_camera_from_image(workspace.numbered / names[members[0]])
                default = "simple-radial" if len(members) < FEW else "opencv"
                model = COLMAP_MODELS[settings.camera_model or default]
                focal = float(guess.mean_focal_length())
                camera = colmap.Camera.create_from_model_name(number, model, focal, guess.width, guess.height)
                camera.has_prior_focal_length = guess.has_prior_focal_length
                database.write_camera(camera, use_camera_id=True)
            found[group] = number
    return found


def descriptors_of(workspace: Workspace, names: Sequence[str]) -> list[Float[np.ndarray, "_points 128"]]:
    """Root-normalised descriptors of the points of photos."""
    colmap = library()
    with colmap.Database.open(workspace.database) as database:
        numbers = {image.name: image.image_id for image in database.read_all_images()}
        return [np.asarray(database.read_descriptors(numbers[name]).data, np.float64) / 512.0 for name in names]


def match_pairs(
    workspace: Workspace,
    names: Sequence[str],
    pairs: Sequence[Pair],
    settings: PosesSettings,
    report: Callable[[int], object],
) -> None:
    """Points that two photos share, checked by the geometry between the two (RANSAC)."""
    colmap = library()
    matching, verification = colmap.FeatureMatchingOptions(), colmap.TwoViewGeometryOptions()
    matching.use_gpu = False
    verification.ransac.random_seed = settings.seed
    listed = colmap.ImportedPairingOptions()
    listed.match_list_path = str(workspace.path / "pairs.txt")
    with colmap.Database.open(workspace.database) as database:
        numbers = {image.name: image.image_id for image in database.read_all_images()}
        left = [
            pair
            for pair in pairs
            if not database.exists_two_view_geometry(numbers[names[pair[0]]], numbers[names[pair[1]]])
        ]
    done = len(pairs) - len(left)
    report(done)
    for start in range(0, len(left), PAIRS_AT_ONCE):
        part = left[start : start + PAIRS_AT_ONCE]
        lines = "".join(f"{names[first]} {names[second]}\n" for first, second in part)
        Path(listed.match_list_path).write_text(lines)
        colmap.match_image_pairs(workspace.database, matching, listed, verification, colmap.Device.cpu)
        done += len(part)
        report(done)


def inliers_between(workspace: Workspace, names: Sequence[str]) -> dict[Pair, int]:
    """Verified matches of the pairs that have any, by the photos' indices."""
    colmap = library()
    with colmap.Database.open(workspace.database) as database:
        index = {image.image_id: names.index(image.name) for image in database.read_all_images()}
        pairs, counts = database.read_two_view_geometry_num_inliers()
    found = {}
    for pair, count in zip(pairs, counts, strict=True):
        if count:
            first, second = sorted(index[number] for number in colmap.pair_id_to_image_pair(pair))
            found[first, second] = int(count)
    return found
