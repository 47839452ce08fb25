"""Where photos saw the points of a COLMAP model: the observations of its images, binary and text."""

import struct

import numpy as np
import pytest
from pose_tools import loaded, points_of, sample, write_photos
from scene_files import colmap_images, write_colmap_binary, write_colmap_text

from lerf.scenes.inspection.fit import fit_of
from lerf.scenes.inspection.projection import Projector, project_tracks
from lerf.scenes.inspection.tracks import tracks_of

CAMERAS = {1: ("PINHOLE", 12, 8, [10.0, 11.0, 5.5, 4.5])}
NAMES = [f"{number:04d}.png" for number in range(4)]
TRACK = ((1, 0), (3, 1), (1, 1), (3, 5), (9, 0), (2, 0))
"""Image 1 sees it at two places, the first of which counts; image 3 has no observation 5 but has 1; 9 was removed; 2
has none."""


@pytest.mark.parametrize("form", ["binary", "text"])
def test_places_are_those_of_the_observations(tmp_path, form):
    """The images that `scene_files` writes have two observations, at (1.5, 2.5) and (3.5, 4.5), or none."""
    model = tmp_path / "sparse/0"
    (write_colmap_text if form == "text" else write_colmap_binary)(model, CAMERAS, colmap_images(4, NAMES))
    write_photos(tmp_path / "images", NAMES, (12, 8))
    if form == "text":
        track = " ".join(f"{image} {observation}" for image, observation in TRACK)
        (model / "points3D.txt").write_text(f"7 0.1 0.2 0.3 1 2 3 0.5 {track}\n")
    else:
        head = struct.pack("<QQ3d3BdQ", 1, 7, 0.1, 0.2, 0.3, 1, 2, 3, 0.5, len(TRACK))
        (model / "points3D.bin").write_bytes(head + struct.pack("<12i", *np.ravel(TRACK)))
    found = points_of(loaded(tmp_path, "colmap"))
    seen = {found.names[photo]: place for (_, photo), place in zip(found.observations, found.places, strict=True)}
    assert set(seen) == {"0000.png", "0001.png", "0002.png"}
    assert seen["0000.png"].tolist() == [1.5 / 12, 2.5 / 8]
    assert seen["0002.png"].tolist() == [3.5 / 12, 4.5 / 8]
    assert np.isnan(seen["0001.png"]).all()


@pytest.mark.parametrize("folder", ["room_real/sparse/0", "room_real/text", "flower_real/sparse/0"])
def test_points_of_real_captures_land_where_they_were_seen(folder):
    """Within what COLMAP itself says of its points' errors."""
    scene = loaded(sample(folder), "colmap")
    points = points_of(scene)
    tracks = tracks_of(scene, points)
    fit = fit_of(tracks, project_tracks(scene, Projector(scene), tracks))
    assert fit.inside == 1.0
    assert fit.error == pytest.approx(np.median(points.errors), abs=0.3)
