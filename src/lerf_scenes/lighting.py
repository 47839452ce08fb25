"""Lights of a scene, and the exposure that suits them."""

from __future__ import annotations

import numpy as np

from lerf_scenes.composition import Light, Setting, light_axes, triple


def drawn_lights(setting: Setting, rng: np.random.Generator) -> tuple[tuple[Light, ...], tuple[float, float, float]]:
    """A wide lamp above and a window to one side, and the linear RGB radiance from everywhere."""
    warm, cool = rng.uniform(0.0, 1.0, 2)
    lamp = triple(np.array([1.0, 0.96 - 0.08 * warm, 0.90 - 0.20 * warm]) * rng.uniform(0.5, 1.0))
    window = triple(np.array([0.93 - 0.06 * cool, 0.97, 1.0]) * rng.uniform(1.2, 3.0))
    if setting == "table":
        turn = rng.uniform(0, 2 * np.pi)
        side = (1.85 * np.cos(turn), 1.85 * np.sin(turn), rng.uniform(1.0, 1.5))
        above = (*rng.uniform(-0.5, 0.5, 2), 1.9)
    else:
        side = (rng.choice([-1, 1]) * rng.uniform(1.0, 2.0), -rng.uniform(1.4, 2.0), rng.uniform(0.8, 1.4))
        above = (rng.uniform(-0.6, 0.6), -rng.uniform(0.7, 1.3), 1.8)
    middle = (0.0, 0.0, 0.0)
    lights = (
        Light(triple(np.array(above)), middle, 2.2, 1.8, lamp),
        Light(triple(np.array(side)), middle, 1.2, 1.0, window),
    )
    return lights, triple(np.array([0.92, 0.96, 1.0]) * rng.uniform(0.18, 0.32))


def exposure_factor(setting: Setting, lights: tuple[Light, ...], ambient: tuple[float, float, float]) -> float:
    """Factor that makes an unshaded white thing in the middle a linear 0.75; the lights are sampled on 8 x 8 points."""
    normal = np.array([0.0, 0.0, 1.0]) if setting != "shelf" else np.array([0.0, -0.8, 0.6])
    received = np.pi * float(np.mean(ambient)) * 0.8
    for light in lights:
        centre, target = np.array(light.centre), np.array(light.target)
        across, up = light_axes(light)
        u, v = np.meshgrid(np.linspace(-0.45, 0.45, 8), np.linspace(-0.45, 0.45, 8))
        points = centre + light.width * u[..., None] * across + light.height * v[..., None] * up
        distance = np.linalg.norm(points, axis=-1)
        towards = points / distance[..., None]
        facing = (target - centre) / np.linalg.norm(target - centre)
        cosines = np.maximum(towards @ normal, 0.0) * np.maximum(-(towards @ facing), 0.0)
        received += float(np.mean(light.radiance)) * light.width * light.height * float((cosines / distance**2).mean())
    indirect = 1.2
    return 0.75 / (0.8 * indirect * received / np.pi)
