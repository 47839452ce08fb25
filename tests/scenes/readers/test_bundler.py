"""Bundler's bundle.out: the manual's projection, lists of photos in every place, damaged files."""

import numpy as np
import pytest
from pose_tools import (
    POINTS,
    camera_of,
    loaded,
    points_of,
    poses,
    project,
    refused,
    same,
    sample,
    write_photos,
    write_samples_photos,
)
from scene_files import picture, save

from lerf.scenes.readers.bundler import points

F, K1, K2 = 55.0, -0.11, 0.03
NAMES = [f"img {number}.jpg" for number in range(6)]


def manual(pose, world, f=F, k1=K1, k2=K2):
    """Bundler's manual, word for word; pixels from the middle of the photo, y up."""
    rotation = pose[:3, :3].T
    translation = -rotation @ pose[:3, 3]
    p = world @ rotation.T + translation
    p = -p[:, :2] / p[:, 2:]
    radius = (p**2).sum(1, keepdims=True)
    return f * (1 + k1 * radius + k2 * radius**2) * p


def bundle(cameras=None, f=F, k1=K1, k2=K2, version="0.3"):
    """The text of a bundle file; a camera None was not placed."""
    cameras = poses() if cameras is None else cameras
    lines = [f"# Bundle file v{version}", f"{len(cameras)} {len(POINTS)}"]
    for pose in cameras:
        if pose is None:
            lines += ["0 0 0"] * 5
            continue
        rotation = pose[:3, :3].T
        lines.append(f"{f!r} {k1!r} {k2!r}")
        lines += [" ".join(map(repr, row.tolist())) for row in (*rotation, -rotation @ pose[:3, 3])]
    for number, point in enumerate(POINTS):
        seen = [index for index, pose in enumerate(cameras) if pose is not None and (index + number) % 3]
        lines += [" ".join(map(repr, point.tolist())), f"{number} 20 {255 - number}"]
        spots = [manual(cameras[index], point[None], f, k1, k2)[0].tolist() for index in seen]
        entries = [f"{index} {number} {x!r} {y!r}" for index, (x, y) in zip(seen, spots, strict=True)]
        lines.append(" ".join([str(len(seen)), *entries]))
    return "\n".join(lines) + "\n"


def write(folder, text, listing="list.txt", photos="images"):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "bundle.out").write_text(text)
    if listing:
        (folder / listing).write_text("".join(f"{photos}/{name}\n" for name in NAMES))
    write_photos(folder / photos, NAMES)
    return folder


def formula_error(folder):
    """Pixels between this project's projection and the manual's of a capture written into a folder, at most."""
    scene = loaded(write(folder, bundle()), "bundler")
    return max(
        same(project(camera_of(scene, name), POINTS), manual(pose, POINTS) * [1, -1] + [30, 20])
        for name, pose in zip(NAMES, poses(), strict=True)
    )


def test_points_land_where_the_manual_says(tmp_path):
    formula_error(tmp_path)


def test_points_and_what_sees_them(tmp_path):
    found = points_of(loaded(write(tmp_path, bundle()), "bundler"))
    np.testing.assert_allclose(found.positions, POINTS, rtol=0, atol=0)
    assert found.names == tuple(f"images/{name}" for name in NAMES)
    assert found.colours[3].tolist() == [3, 20, 252]
    expected = [(point, photo) for point in range(len(POINTS)) for photo in range(6) if (photo + point) % 3]
    assert found.observations.tolist() == [list(pair) for pair in expected]
    assert found.errors is None


def test_photos_that_were_not_placed_are_not_listed(tmp_path):
    cameras = [None if number in (1, 4) else pose for number, pose in enumerate(poses())]
    scene = loaded(write(tmp_path, bundle(cameras)), "bundler")
    assert [photo.name for photo in scene.photos] == [f"images/{NAMES[number]}" for number in (0, 2, 3, 5)]
    assert any("2 of 6 photos have no pose" in note for note in scene.notes)


@pytest.mark.parametrize("listing", ["list.txt", "bundle.out.list.txt", "bundle.list.txt", "image_list.txt"])
def test_lists_of_photos(tmp_path, listing):
    assert len(loaded(write(tmp_path, bundle(), listing), "bundler").photos) == 6


def test_focal_lengths_in_the_list_are_no_part_of_names(tmp_path):
    write(tmp_path, bundle())
    (tmp_path / "list.txt").write_text("".join(f"./images/{name} 0 660.80306\r\n" for name in NAMES))
    assert [photo.name for photo in loaded(tmp_path, "bundler").photos] == [f"images/{name}" for name in NAMES]


def test_the_folder_that_bundler_makes(tmp_path):
    write(tmp_path, bundle())
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle.out").rename(tmp_path / "bundle/bundle.out")
    assert len(loaded(tmp_path, "bundler").photos) == 6
    scene = loaded(tmp_path / "bundle/bundle.out", "bundler")
    assert scene.root == tmp_path
    assert scene.photos[0].name == f"images/{NAMES[0]}"


def test_without_a_list_the_photos_at_hand_are_taken_and_told(tmp_path):
    scene = loaded(write(tmp_path, bundle(), listing=None), "bundler")
    assert [photo.name for photo in scene.photos] == [f"images/{name}" for name in NAMES]
    assert any("No list.txt" in note and "order of names" in note for note in scene.notes)
    save(tmp_path / "images/another.png", picture(60, 40))
    assert "needs list.txt beside it" in refused(tmp_path)


def test_photos_are_used_as_stored(tmp_path):
    write(tmp_path, bundle())
    for number, name in enumerate(NAMES):
        save(tmp_path / "images" / name, picture(60, 40, number), orientation=6, format="PNG")
    photo = loaded(tmp_path, "bundler").photos[0]
    assert photo.original_size == (60, 40)
    assert photo.orientation == 1


def test_cameras_that_look_the_other_way_are_refused(tmp_path):
    """The form with z forwards that some programs offer beside Bundler's own."""
    lines = bundle().splitlines()
    for start in range(2, 32, 5):
        for row in (start + 2, start + 3):
            lines[row] = " ".join(repr(-float(word)) for word in lines[row].split())
        x, y, z = map(float, lines[start + 4].split())
        lines[start + 4] = f"{x!r} {-y!r} {-z!r}"
    assert "lie behind its cameras" in refused(write(tmp_path, "\n".join(lines)))


@pytest.mark.parametrize("keep", [0.005, 0.01, 0.02, 0.05, 0.08])
def test_a_file_that_is_cut_off(tmp_path, keep):
    text = bundle()
    write(tmp_path, text[: int(len(text) * keep)])
    if keep == 0.005:
        (tmp_path / "bundle.out").write_text("# Bundle file v0.3\n")
    assert "bundle.out" in refused(tmp_path)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("6 40", "7 40", "7 cameras, and its list of photos 6|damaged at camera 6"),
        ("6 40", "99999999999 40", "which cannot be"),
        ("6 40", "-1 40", "which cannot be"),
        (f"{F!r} ", "nan ", "damaged at camera 0"),
        (f"{F!r} ", "55,0 ", "damaged at camera 0"),
        (f"{F!r} ", "0.0 ", "focal length"),
    ],
)
def test_numbers_that_cannot_be(tmp_path, before, after, said):
    write(tmp_path, bundle().replace(before, after, 1))
    sentence = refused(tmp_path)
    assert any(part in sentence for part in said.split("|"))


@pytest.mark.parametrize("change", ["cut", "colour", "count", "photo", "word"])
def test_damaged_points_are_refused(tmp_path, change):
    text = bundle()
    write(tmp_path, text)
    scene = loaded(tmp_path, "bundler")
    lines = text.splitlines()
    if change == "cut":
        lines = lines[:-7]
    else:
        place, value = {"colour": (33, "300 0 0"), "count": (34, "1e9 1 1"), "photo": (34, "1 77 0 0 0"),
                        "word": (34, "two 1 1")}[change]  # fmt: skip
        lines[place] = value
    (tmp_path / "bundle.out").write_text("\n".join(lines))
    with pytest.raises(Exception, match=r"bundle\.out (is cut off|has )"):
        points_of(scene)


def test_the_public_sample(tmp_path):
    place = sample("poses/bundler_kermit/examples/kermit/results.example/bundle.out")
    names = [f"kermit{number:03d}.jpg" for number in range(11)]
    (tmp_path / "bundle.out").write_bytes(place.read_bytes())
    (tmp_path / "list.txt").write_text("\n".join(names))
    write_samples_photos(tmp_path, names, (640, 480))
    scene = loaded(tmp_path, "bundler")
    assert 8 <= len(scene.photos) < 11
    assert np.median(reprojection(scene, tmp_path / "bundle.out")) < 1.0


def reprojection(scene, path):
    """Distances in pixels of observations from this project's projection; the file is read here on its own."""
    words = [line.split() for line in path.read_text().splitlines()[1:]]
    cameras = int(words[0][0])
    rest = iter([float(word) for line in words[1 + 5 * cameras :] for word in line])
    distances = []
    names = (path.parent / "list.txt").read_text().split()
    for _ in range(int(words[0][1])):
        point = np.array([next(rest) for _ in range(6)])[:3]
        for _ in range(int(next(rest))):
            camera, _, x, y = (next(rest) for _ in range(4))
            found = camera_of(scene, names[int(camera)])
            spot = project(found, point[None])[0]
            distances.append(np.hypot(*(spot - [found.width / 2 + x, found.height / 2 - y])))
    assert len(points(path)) == int(words[0][1])
    return distances
