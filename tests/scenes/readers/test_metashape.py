"""Metashape's XML: the manual's projections, chunks, components, rigs, references, and XML that means harm."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest
from pose_tools import (
    POINTS,
    camera_of,
    loaded,
    poses,
    project,
    refused,
    same,
    sample,
    write_photos,
    write_samples_photos,
)
from scipy.spatial.transform import Rotation

from lerf.scenes.readers.metashape import ORIGIN

NAMES = [f"DSC_{number:04d}" for number in range(6)]
W, H, F = 60, 40, 70.0
TERMS = {"cx": 1.5, "cy": -1.75, "b1": 2.0, "k1": 0.05, "k2": -0.02, "k3": 0.01, "k4": 0.004, "p1": 0.003, "p2": -0.004}
TURN = Rotation.from_euler("xyz", [20, -35, 50], degrees=True).as_matrix()


def calibration(terms=None, kind="frame", name="adjusted", f=F, size=(W, H)):
    terms = TERMS if terms is None else terms
    values = "".join(f"<{key}>{value!r}</{key}>" for key, value in ({"f": f} | terms).items() if value is not None)
    resolution = f'<resolution width="{size[0]}" height="{size[1]}"/>'
    return f'<calibration type="{kind}" class="{name}">{resolution}{values}</calibration>'


def sensor(number=0, inner="", kind="frame", more=""):
    return (
        f'<sensor id="{number}" label="a camera" type="{kind}"{more}><resolution width="{W}" height="{H}"/>'
        f'<property name="focal_length" value="35"/>{inner or calibration()}</sensor>'
    )


def to_chunk(pose):
    """Camera to chunk, x right, y down, z forwards."""
    return pose @ np.diag([1.0, -1.0, -1.0, 1.0])


def camera(number, pose=None, sensor_id=0, more=""):
    values = " ".join(f"{value:.16e}" for value in to_chunk(pose).ravel()) if pose is not None else ""
    inner = f"<transform>{values}</transform><orientation>1</orientation>" if pose is not None else ""
    name = NAMES[number] if number < len(NAMES) else f"more_{number}"
    return f'<camera id="{number}" sensor_id="{sensor_id}" label="{name}"{more}>{inner}</camera>'


def transform(rotation, translation, scale):
    rows, place = (" ".join(f"{value:.16e}" for value in np.ravel(part)) for part in (rotation, translation))
    return (
        f'<transform><rotation locked="true">{rows}</rotation><translation locked="true">{place}</translation>'
        f'<scale locked="true">{scale:.16e}</scale></transform>'
    )


def chunk(cameras=None, sensors=None, inner="", label="Chunk 1"):
    cameras = [camera(number, pose) for number, pose in enumerate(poses())] if cameras is None else cameras
    sensors = [sensor()] if sensors is None else sensors
    return (
        f'<chunk label="{label}" enabled="true"><sensors next_id="1">{"".join(sensors)}</sensors>'
        f'<cameras next_id="6" next_group_id="0">{"".join(cameras)}</cameras>{inner}</chunk>'
    )


def write(folder, *chunks, name="cameras.xml", head='<?xml version="1.0" encoding="UTF-8"?>'):
    (folder / name).write_text(f'{head}\n<document version="1.5.0">{"".join(chunks or (chunk(),))}</document>')
    write_photos(folder / "images", [f"{name}.JPG" for name in NAMES], (W, H))
    return folder


def manual(local, terms=None, kind="frame", f=F, size=(W, H)):
    """The manual's projection of points in the camera's axes, x right, y down, z forwards; first pixel at 0.5."""
    terms = {**dict.fromkeys(("cx", "cy", "b1", "b2", "k1", "k2", "k3", "k4", "p1", "p2", "p3", "p4"), 0.0),
             **(TERMS if terms is None else terms)}  # fmt: skip
    x, y = local[:, 0] / local[:, 2], local[:, 1] / local[:, 2]
    if kind == "fisheye":
        r0 = np.sqrt(x**2 + y**2)
        x, y = x * np.arctan(r0) / r0, y * np.arctan(r0) / r0
    r = np.sqrt(x**2 + y**2)
    radial = 1 + terms["k1"] * r**2 + terms["k2"] * r**4 + terms["k3"] * r**6 + terms["k4"] * r**8
    higher = 1 + terms["p3"] * r**2 + terms["p4"] * r**4
    xd = x * radial + (terms["p1"] * (r**2 + 2 * x**2) + 2 * terms["p2"] * x * y) * higher
    yd = y * radial + (terms["p2"] * (r**2 + 2 * y**2) + 2 * terms["p1"] * x * y) * higher
    u = size[0] * 0.5 + terms["cx"] + xd * f + xd * terms["b1"] + yd * terms["b2"]
    v = size[1] * 0.5 + terms["cy"] + yd * f
    return np.stack([u, v], 1)


def local(pose, world):
    """Points of the chunk in a camera's axes, from its transform alone."""
    matrix = np.linalg.inv(to_chunk(pose))
    return world @ matrix[:3, :3].T + matrix[:3, 3]


def formula_error(folder):
    """Pixels between this project's projection and the manual's of a capture written into a folder, at most."""
    scene = loaded(write(folder), "metashape")
    assert [photo.name for photo in scene.photos] == [f"images/{name}.JPG" for name in NAMES]
    return max(
        same(project(camera_of(scene, f"{name}.JPG"), POINTS), manual(local(pose, POINTS)))
        for name, pose in zip(NAMES, poses(), strict=True)
    )


def test_points_land_where_the_manual_says(tmp_path):
    formula_error(tmp_path)


@pytest.mark.parametrize("kind", ["fisheye", "equidistant_fisheye"])
def test_a_fisheye(tmp_path, kind):
    terms = TERMS | {"p1": 0.0, "p2": 0.0}
    scene = loaded(write(tmp_path, chunk(sensors=[sensor(inner=calibration(terms, kind), kind=kind)])), "metashape")
    for name, pose in zip(NAMES, poses(), strict=True):
        same(project(camera_of(scene, f"{name}.JPG"), POINTS), manual(local(pose, POINTS), terms, "fisheye"))


def test_older_files_have_two_focal_lengths(tmp_path):
    """OpenCV's order of p1 and p2, and the principal point from the corner."""
    terms = {"fx": 72.0, "fy": 70.0, "cx": 31.5, "cy": 18.25, "k1": 0.05, "k2": -0.02, "p1": -0.004, "p2": 0.003}
    scene = loaded(write(tmp_path, chunk(sensors=[sensor(inner=calibration(terms, f=None))])), "metashape")
    now = {"cx": 1.5, "cy": -1.75, "b1": 2.0, "k1": 0.05, "k2": -0.02, "p1": 0.003, "p2": -0.004}
    for name, pose in zip(NAMES, poses(), strict=True):
        same(project(camera_of(scene, f"{name}.JPG"), POINTS), manual(local(pose, POINTS), now))


def test_the_adjusted_calibration_comes_before_the_initial_one(tmp_path):
    other = calibration({"k1": 0.2}, name="initial", f=60.0)
    scene = loaded(write(tmp_path, chunk(sensors=[sensor(inner=other + calibration())])), "metashape")
    assert scene.photos[0].camera.fy == F
    write(tmp_path, chunk(sensors=[sensor(inner=other + '<calibration type="frame" class="adjusted"/>')]))
    assert loaded(tmp_path, "metashape").photos[0].camera.fy == 60.0


def test_the_chunks_transform_leads_to_the_world(tmp_path):
    place, scale = np.array([3.0, -2.0, 7.0]), 2.5
    scene = loaded(write(tmp_path, chunk(inner=transform(TURN, place, scale))), "metashape")
    world = scale * POINTS @ TURN.T + place
    for name, pose in zip(NAMES, poses(), strict=True):
        camera = camera_of(scene, f"{name}.JPG")
        same(project(camera, world), manual(local(pose, POINTS)))
        np.testing.assert_allclose(camera.camera_to_world[:, 3], scale * TURN @ pose[:3, 3] + place, atol=1e-12)
    assert not scene.notes


def test_a_capture_referenced_on_the_earth_is_told_its_origin(tmp_path):
    place, scale = np.array([4027893.7, 306998.2, 4919498.6]), 3.25
    inner = f'<reference>GEOGCS["WGS 84",DATUM["WGS_1984"]]</reference>{transform(TURN, place, scale)}'
    scene = loaded(write(tmp_path, chunk(inner=inner)), "metashape")
    assert scene.metadata[ORIGIN] == place.tolist()
    (note,) = scene.notes
    assert "4027893.7, 306998.2, 4919498.6" in note
    for name, pose in zip(NAMES, poses(), strict=True):
        camera = camera_of(scene, f"{name}.JPG")
        same(project(camera, scale * POINTS @ TURN.T), manual(local(pose, POINTS)))


OFFSET = np.eye(4)
OFFSET[:3, :3] = Rotation.from_euler("xyz", [2, 5, -3], degrees=True).as_matrix()
OFFSET[:3, 3] = [0.25, -0.02, 0.01]


def rig(scale=1.5):
    """A chunk of two cameras at each of three moments, the second at `OFFSET` from the first."""
    rows, place = (" ".join(map(repr, part.ravel().tolist())) for part in (OFFSET[:3, :3], OFFSET[:3, 3]))
    inner = f"{calibration()}<rotation>{rows}</rotation><location>{place}</location>"
    cameras = []
    for number in range(3):
        cameras += [camera(2 * number, poses()[number]),
                    camera(2 * number + 1, None, 1, more=f' master_id="{2 * number}"')]  # fmt: skip
    sensors = [sensor(), sensor(1, inner, more=' master_id="0"')]
    return chunk(cameras, sensors, transform(np.eye(3), np.zeros(3), scale))


def test_a_rig(tmp_path):
    """Slave sensors stand at their offset from the master's camera, whose transform theirs is."""
    scene = loaded(write(tmp_path, rig(1.5)), "metashape")
    assert len(scene.photos) == 6
    for number, name in enumerate(NAMES):
        spot = local(poses()[number // 2], POINTS)
        if number % 2:
            inverse = np.linalg.inv(OFFSET)
            spot = spot @ inverse[:3, :3].T + inverse[:3, 3]
        same(project(camera_of(scene, f"{name}.JPG"), POINTS * 1.5), manual(spot))


def test_cameras_that_are_off_or_not_aligned(tmp_path):
    cameras = [
        camera(number, None if number == 1 else pose, more=' enabled="false"' if number == 2 else ' enabled="1"')
        for number, pose in enumerate(poses())
    ]
    scene = loaded(write(tmp_path, chunk([f'<group id="0">{"".join(cameras)}</group>'])), "metashape")
    assert [photo.name for photo in scene.photos] == [f"images/{NAMES[number]}.JPG" for number in (0, 3, 4, 5)]
    assert any("1 cameras in" in note and "switched off" in note for note in scene.notes)
    assert any("2 of 6 photos have no pose" in note for note in scene.notes)


def test_the_largest_chunk_is_used_and_told(tmp_path):
    cameras = [camera(number, pose) for number, pose in enumerate(poses())]
    scene = loaded(write(tmp_path, chunk(cameras[:2]), chunk(cameras[2:]), chunk([])), "metashape")
    assert len(scene.photos) == 4
    assert any("has 3 chunks: that with 4 cameras is used, not 2, 0." in note for note in scene.notes)


def test_the_largest_component_is_used_with_its_transform(tmp_path):
    cameras = [camera(number, pose, more=f' component_id="{int(number > 1)}"') for number, pose in enumerate(poses())]
    parts = "".join(
        f'<component id="{number}" label="Component">{transform(TURN, np.zeros(3), 2.0 + number)}</component>'
        for number in range(2)
    )
    scene = loaded(write(tmp_path, chunk(cameras, inner=f"<components>{parts}</components>")), "metashape")
    assert any("2 components" in note and "with 4 cameras is used, not 2." in note for note in scene.notes)
    for number in range(2, 6):
        same(
            project(camera_of(scene, f"{NAMES[number]}.JPG"), 3.0 * POINTS @ TURN.T),
            manual(local(poses()[number], POINTS)),
        )


@pytest.mark.parametrize(("terms", "pixels"), [({"b2": 0.2}, 0.06), ({"p3": 2.0, "p4": 0.1}, 0.03)])
def test_small_terms_that_the_lenses_lack_are_left_out_and_told(tmp_path, terms, pixels):
    terms = {"k1": 0.05, "p1": 0.003 if "p3" in terms else 0.0, **terms}
    scene = loaded(write(tmp_path, chunk(sensors=[sensor(inner=calibration(terms))])), "metashape")
    (note,) = scene.notes
    assert ", ".join(key for key in terms if key in ("p3", "p4", "b2")) in note
    said = float(re.search(r"by up to ([\d.]+) of 60 pixels", note)[1])
    ideal = np.array([[x, y, 1.0] for x in (-0.42, 0.0, 0.42) for y in (-0.28, 0.0, 0.28)])
    without = {key: value for key, value in terms.items() if key not in ("p3", "p4", "b2")}
    off = np.abs(manual(ideal, terms) - manual(ideal, without)).max()
    assert pixels / 3 < off <= said < 0.12


@pytest.mark.parametrize(
    ("inner", "kind", "said"),
    [
        (calibration({"b2": 3.0}), "frame", r"has b2 = 3, which is not supported: export the cameras"),
        (calibration({"p1": 0.05}, "fisheye"), "fisheye", r"has p1 = 0.05, which is not supported"),
        (calibration(kind="spherical"), "spherical", r"is of type spherical, which is not supported"),
        ('<calibration type="frame" class="adjusted"/>', "frame", r"has no calibration"),
        (calibration({"k1": "x"}), "frame", r"calibration that is not numbers"),
        (calibration(f=-3.0), "frame", r"focal length"),
        (calibration(size=("a", "b")), "frame", r"not numbers"),
    ],
)
def test_lenses_that_cannot_be_expressed(tmp_path, inner, kind, said):
    assert re.search(said, refused(write(tmp_path, chunk(sensors=[sensor(inner=inner, kind=kind)]))))


def test_damaged_files_are_refused(tmp_path):
    write(tmp_path, chunk([camera(0, poses()[0]).replace(" ", " 1 ", 9), camera(1, poses()[1])]))
    assert "is not" in refused(tmp_path)
    write(tmp_path, chunk([camera(number, pose, sensor_id=8) for number, pose in enumerate(poses())]))
    assert "has the sensor 8, which is not there" in refused(tmp_path)
    write(tmp_path, chunk(inner="<transform><rotation>1 2 3</rotation></transform>"))
    assert "is not 9 numbers" in refused(tmp_path)
    write(tmp_path, chunk(inner=transform(-np.eye(3), np.zeros(3), 1.0)))
    assert "is not a rotation with a positive scale" in refused(tmp_path)
    broken = camera(2, poses()[2]).replace("<transform>", "<transform>nan ").replace("e+00 ", "e+00 ", 1)
    write(tmp_path, chunk([broken, camera(3, poses()[3])]))
    assert "is not 16 numbers" in refused(tmp_path)
    (tmp_path / "cameras.xml").write_text((tmp_path / "cameras.xml").read_text()[:-40])
    assert "is not valid XML" in refused(tmp_path)


BOMB = (
    '<?xml version="1.0"?><!DOCTYPE document [<!ENTITY a "ha">'
    + "".join(f'<!ENTITY {after} "{f"&{before};" * 10}">' for before, after in zip("abcdefgh", "bcdefghi", strict=True))
    + "]>"
)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("inner", ["&i;", ""])
def test_entities_are_refused_before_they_unfold(tmp_path, encoding, inner):
    text = f"{BOMB.replace('1.0', f'1.0{chr(34)} encoding={chr(34)}{encoding}')}<document>{inner}{chunk()}</document>"
    (tmp_path / "cameras.xml").write_bytes(text.encode(encoding))
    write_photos(tmp_path, [f"{NAMES[0]}.JPG", f"{NAMES[1]}.JPG"])
    if encoding == "utf-8":  # in UTF-16 the file is not even taken for one of Metashape's
        assert "declares a document type" in refused(tmp_path)
    else:
        assert refused(tmp_path)


def test_elements_without_end_are_refused(tmp_path):
    write(tmp_path, chunk(inner="<a>" * 100 + "</a>" * 100))
    assert "deeper ones" in refused(tmp_path)


def test_the_public_sample_of_a_turntable(tmp_path):
    """94 photos of 94 cameras, with skew, which is told."""
    place = sample("poses/metashape_xml_turntable/cameras.xml")
    (tmp_path / "cameras.xml").write_bytes(place.read_bytes())
    tree = ElementTree.parse(place)
    cameras = {camera.get("label"): camera for camera in tree.iter("camera")}
    write_samples_photos(tmp_path / "photos", [f"{label}.jpg" for label in cameras], (324, 216))
    scene = loaded(tmp_path, "metashape")
    assert len(scene.photos) == 94
    assert any("b2 of" in note and "of 5184 pixels" in note for note in scene.notes)
    sensors = {one.get("id"): one.find("calibration") for one in tree.iter("sensor")}
    grid = np.array([[x, y, 1.0] for x in (-0.2, 0.0, 0.25) for y in (-0.1, 0.15)])
    for label, camera in cameras.items():
        matrix = np.array([float(word) for word in camera.findtext("transform").split()]).reshape(4, 4)
        world = grid @ matrix[:3, :3].T + matrix[:3, 3]
        terms = {one.tag: float(one.text) for one in sensors[camera.get("sensor_id")] if one.tag != "resolution"}
        expected = manual(grid, terms | {"b2": 0.0}, f=terms["f"], size=(5184, 3456)) / 16
        np.testing.assert_allclose(project(camera_of(scene, f"/{label}.jpg"), world), expected, atol=1e-6)


def test_public_samples_without_aligned_cameras(tmp_path):
    for place in (
        "poses/metashape_xml_stereo_rig/cameras.xml",
        "poses/metashape_template/template/cameras_template.xml",
    ):
        (tmp_path / "cameras.xml").write_bytes(sample(place).read_bytes())
        assert "has no camera that is aligned: run Align Photos" in refused(tmp_path)
