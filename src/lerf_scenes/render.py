"""Photographs of compositions: path-traced colour, and labels and depth at pixel centres."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from jaxtyping import Float, Int, UInt8
from scipy.ndimage import uniform_filter

from lerf.errors import ConfigError
from lerf_scenes.composition import Composition, LabelledSurface, Light, PlacedThing, light_axes
from lerf_scenes.furniture import box_coordinates
from lerf_scenes.looks import painted
from lerf_scenes.mesh import rotation
from lerf_scenes.path import capture_cameras
from lerf_scenes.visible import seen_through

DEPTH = 3
"""Longest light path, in segments: direct light and one reflection. Longer paths would add a twentieth of the light."""


@dataclass(frozen=True)
class Picture:
    """A photograph with what is known of its pixels."""

    colour: UInt8[np.ndarray, "height width 3"]
    labels: UInt8[np.ndarray, "height width"]
    """Label of the part seen through the pixel's centre, 0 for none."""
    depth: Float[np.ndarray, "height width"]
    """Metres along the optical axis, 0 for none; float32."""


def renderer() -> Any:
    """The module `mitsuba`, set to the variant that is used here.

    Raises:
        ConfigError: when it is not installed.
    """
    try:
        import mitsuba
    except ImportError as error:
        raise ConfigError("Scenes are photographed with mitsuba: pip install 'lerf[scenes]'.") from error
    if mitsuba.variant() != "scalar_rgb":
        mitsuba.set_variant("scalar_rgb")
    return mitsuba


class Photographer:
    """Takes pictures of one composition; building it takes as long as one or two pictures."""

    def __init__(self, composition: Composition, depth: int = DEPTH) -> None:
        """`depth`: longest light path, in segments."""
        self._mi = renderer()
        self._exposure = composition.exposure
        self._materials: dict[str, Any] = {}
        scene: dict[str, Any] = {"type": "scene"}
        surfaces = [(thing, surface) for thing in composition.things for surface in thing.surfaces]
        for number, (thing, surface) in enumerate(surfaces):
            shape = self._textured(surface) if surface.look is None else self._painted(thing, surface)
            scene[f"s{number:04d}"] = shape
        for number, light in enumerate(composition.lights):
            scene[f"t{number}"] = self._light(light)
        scene["z"] = {"type": "constant", "radiance": _rgb(composition.ambient), "sampling_weight": 0.35}
        self._scene = self._mi.load_dict(scene, optimize=False)
        self._path = self._mi.load_dict({"type": "path", "max_depth": depth, "rr_depth": 4})
        self._triangles = np.concatenate([
            thing.in_scene(surface.mesh.vertices)[surface.mesh.faces] for thing, surface in surfaces
        ])  # fmt: skip
        self._owners = np.repeat([s.label for _, s in surfaces], [len(s.mesh.faces) for _, s in surfaces])
        self._exposure *= self._metered(composition)

    def picture(
        self, pose: Float[np.ndarray, "4 4"], fov: float, width: int, height: int, spp: int, seed: int
    ) -> Picture:
        """A photograph.

        Args:
            pose: camera to scene; x right, y up, looking along -z.
            fov: horizontal field of view in degrees; the principal point is the middle.
            width: in pixels.
            height: in pixels.
            spp: light paths a pixel: less noise for more time.
            seed: of the noise.
        """
        # The difference of two halves measures the noise.
        halves = [
            self._render(pose, fov, width, height, paths, 2 * seed + k)[..., :3] * self._exposure
            for k, paths in enumerate(((spp + 1) // 2, max(spp // 2, 1)))
        ]
        focal = 0.5 * width / np.tan(np.deg2rad(fov) / 2)
        labels, depth = seen_through(self._triangles, self._owners, np.asarray(pose, float), focal, width, height)
        return Picture(
            developed(denoised(halves[0], halves[1], labels)),
            np.maximum(labels, 0).astype(np.uint8),
            depth.astype(np.float32),
        )

    def _metered(self, composition: Composition) -> float:
        """Correction of the exposure: in three small test pictures the 95th percentile of brightness becomes 0.72."""
        values = []
        for camera in capture_cameras(composition, 3, 0)[0]:
            values.append(self._render(camera.pose, camera.fov, 40, 30, 8, 0)[..., :3].mean(-1).ravel())
        bright = float(np.quantile(np.concatenate(values), 0.95))
        return float(np.clip(0.72 / max(bright * self._exposure, 1e-6), 0.6, 3.0))

    def _render(self, pose: np.ndarray, fov: float, width: int, height: int, spp: int, seed: int) -> np.ndarray:
        # Mitsuba's cameras look along +z with x to the left.
        matrix = np.asarray(pose, dtype=float) @ np.diag([-1.0, 1.0, -1.0, 1.0])
        film = {"type": "hdrfilm", "width": width, "height": height, "pixel_format": "rgb", "rfilter": {"type": "box"}}
        sensor = self._mi.load_dict({
            "type": "perspective", "fov": float(fov), "fov_axis": "x", "near_clip": 0.01, "far_clip": 100.0,
            "to_world": self._mi.ScalarTransform4f(matrix),
            "film": {**film, "component_format": "float32"}, "sampler": {"type": "independent", "sample_count": spp},
        })  # fmt: skip
        return np.array(self._path.render(self._scene, sensor, seed=seed, spp=spp))

    def _painted(self, thing: PlacedThing, surface: LabelledSurface) -> Any:
        assert surface.look is not None
        paint = painted(surface.mesh, surface.look, thing.extent, list(surface.paint))
        normals = None if paint.normals is None else paint.normals @ rotation("z", thing.yaw).T
        finish = surface.look.finish
        vertices = thing.in_scene(paint.vertices)
        shape = self._mesh(vertices, paint.faces, self._finish(finish), normals, glowing=finish)
        shape.add_attribute("vertex_color", 3, np.ascontiguousarray(paint.colours, np.float32).ravel())
        return shape

    def _textured(self, surface: LabelledSurface) -> Any:
        vertices, faces, coordinates = box_coordinates(surface.mesh, surface.tile)
        picture = {
            "type": "bitmap", "bitmap": self._mi.Bitmap(np.ascontiguousarray(surface.texture)), "raw": False
        }  # fmt: skip
        material: dict[str, Any] = {"type": "diffuse", "reflectance": picture}
        if surface.gloss:
            material = {"type": "principled", "base_color": picture, "roughness": 0.35, "specular": 0.4}
        return self._mesh(vertices, faces, self._mi.load_dict(material), coordinates=coordinates)

    def _mesh(
        self,
        vertices: np.ndarray,
        faces: np.ndarray,
        material: Any,
        normals: np.ndarray | None = None,
        coordinates: np.ndarray | None = None,
        glowing: str = "",
    ) -> Any:
        properties = self._mi.Properties()
        properties["bsdf"] = material
        if glowing in ("glow", "screen"):
            # Weight 0: too small to be worth shadow rays; seen directly, and by the paths that meet them.
            colour = {"type": "mesh_attribute", "name": "vertex_color"}
            scale = (1.6 if glowing == "glow" else 0.55) / self._exposure
            lamp = {"type": "area", "radiance": {**colour, "scale": scale}, "sampling_weight": 0.0}
            properties["emitter"] = self._mi.load_dict(lamp)
        shape = self._mi.Mesh(
            "part", len(vertices), len(faces), has_vertex_normals=normals is not None,
            has_vertex_texcoords=coordinates is not None, props=properties,
        )  # fmt: skip
        values = self._mi.traverse(shape)
        values["vertex_positions"] = np.ascontiguousarray(vertices, np.float32).ravel()
        values["faces"] = np.ascontiguousarray(faces, np.uint32).ravel()
        if normals is not None:
            values["vertex_normals"] = np.ascontiguousarray(normals, np.float32).ravel()
        if coordinates is not None:
            values["vertex_texcoords"] = np.ascontiguousarray(coordinates, np.float32).ravel()
        values.update()
        return shape

    def _finish(self, finish: str) -> Any:
        """The material of a finish, shared by all parts: colours are stored with the meshes."""
        if finish not in self._materials:
            self._materials[finish] = self._mi.load_dict(_material(finish))
        return self._materials[finish]

    def _light(self, light: Light) -> dict[str, Any]:
        across, up = light_axes(light)
        matrix = np.eye(4)
        facing = np.cross(across, up)
        # The rectangle's normal is its +z; `cross(across, up)` points back, so one axis is mirrored.
        matrix[:3, 0], matrix[:3, 1] = -across * light.width / 2, up * light.height / 2
        matrix[:3, 2], matrix[:3, 3] = -facing, light.centre
        return {
            "type": "rectangle",
            "to_world": self._mi.ScalarTransform4f(matrix),
            "emitter": {"type": "area", "radiance": _rgb(light.radiance)},
        }


def _rgb(values: tuple[float, float, float]) -> dict[str, Any]:
    return {"type": "rgb", "value": list(values)}


def _material(finish: str) -> dict[str, Any]:
    colour = {"type": "mesh_attribute", "name": "vertex_color"}
    rough = {
        "wooden": (0.45, 0.35), "plastic": (0.30, 0.5), "ceramic": (0.12, 0.65), "glass": (0.06, 0.9),
        "wax": (0.40, 0.4), "leather": (0.40, 0.5),
    }  # fmt: skip
    if finish == "metal":
        material: dict[str, Any] = {"type": "principled", "base_color": colour, "roughness": 0.32, "metallic": 0.85}
    elif finish in rough:
        roughness, specular = rough[finish]
        material = {"type": "principled", "base_color": colour, "roughness": roughness, "specular": specular}
    else:
        material = {"type": "diffuse", "reflectance": colour}
    sided = {"type": "twosided", "nested": material}
    return {"type": "mask", "opacity": 0.72, "nested": sided} if finish == "glass" else sided


def developed(values: Float[np.ndarray, "height width 3"]) -> UInt8[np.ndarray, "height width 3"]:
    """Linear values as 8-bit sRGB; highlights above 0.7 roll off, as in photos, in place of clipping."""
    knee = 0.7
    excess = np.maximum(values - knee, 0.0)
    rolled = np.minimum(values, knee) + (1 - knee) * (1 - np.exp(-excess / (1 - knee)))
    curve = np.where(rolled <= 0.0031308, 12.92 * rolled, 1.055 * np.maximum(rolled, 0.0) ** (1 / 2.4) - 0.055)
    return np.clip(curve * 255 + 0.5, 0, 255).astype(np.uint8)


def denoised(
    first: Float[np.ndarray, "height width 3"],
    second: Float[np.ndarray, "height width 3"],
    labels: Int[np.ndarray, "height width"],
) -> Float[np.ndarray, "height width 3"]:
    """The mean of two linear pictures with equal noise, averaged over near pixels that differ by noise only.

    Pixels are averaged within a part, and where their surroundings are alike in view of how the two pictures differ.
    """
    # On a logarithmic scale the noise is about as strong in shadow as in light.
    offset = 0.03
    a, b = (np.log(np.maximum(half, 0.0) + offset) for half in (first, second))
    variance = uniform_filter(((a - b).mean(-1) / 2) ** 2, 9)
    smooth = np.empty(a.shape)
    values = _without_specks((a + b) / 2, labels)
    # What patches are compared by: brightness and tint.
    features = np.stack([values.sum(-1) / 3, values[..., 0] - values[..., 2]], -1)
    features = np.pad(features, ((1, 1), (1, 1), (0, 0)), mode="edge").astype(np.float32)
    _average_alike(values, features, labels, variance + 1e-6, smooth)
    return np.exp(smooth) - offset


def _without_specks(
    values: Float[np.ndarray, "height width 3"], labels: Int[np.ndarray, "height width"]
) -> Float[np.ndarray, "height width 3"]:
    """Pixels that are brighter or darker than all neighbours of their part get the nearest neighbour's value."""
    padded = np.pad(values, ((1, 1), (1, 1), (0, 0)), mode="edge")
    parts = np.pad(labels, 1, constant_values=-2)
    height, width = labels.shape
    low, high = np.full(values.shape, np.inf), np.full(values.shape, -np.inf)
    for i in range(3):
        for j in range(3):
            if (i, j) == (1, 1):
                continue
            same = (parts[i : i + height, j : j + width] == labels)[..., None]
            near = padded[i : i + height, j : j + width]
            low, high = np.where(same, np.minimum(low, near), low), np.where(same, np.maximum(high, near), high)
    return np.where(high >= low, np.clip(values, low, high), values)


@numba.njit(cache=True, fastmath=True)
def _average_alike(
    values: np.ndarray, features: np.ndarray, labels: np.ndarray, variances: np.ndarray, out: np.ndarray
) -> None:
    """Non-local means: 3 x 3 patches, within 3 pixels; `features` have a border of one pixel."""
    height, width, _ = values.shape
    for i in range(height):
        for j in range(width):
            variance = variances[i, j]
            scale = 1.0 / (0.6 * variance)
            total = 0.0
            r = g = b = 0.0
            for k in range(max(0, i - 3), min(height, i + 4)):
                for m in range(max(0, j - 3), min(width, j + 4)):
                    if labels[k, m] != labels[i, j]:
                        continue
                    distance = 0.0
                    for u in range(3):
                        for v in range(3):
                            d = features[i + u, j + v, 0] - features[k + u, m + v, 0]
                            e = features[i + u, j + v, 1] - features[k + u, m + v, 1]
                            distance += d * d + e * e
                    # Two patches of one surface differ by twice the variance.
                    excess = (distance / 9.0 - 2.0 * variance) * scale
                    if excess > 6.0:
                        continue
                    weight = np.exp(-max(excess, 0.0))
                    total += weight
                    r += weight * values[k, m, 0]
                    g += weight * values[k, m, 1]
                    b += weight * values[k, m, 2]
            # A pixel is always alike to itself, so that the sum of weights is 1 at least.
            out[i, j, 0] = r / total
            out[i, j, 1] = g / total
            out[i, j, 2] = b / total
