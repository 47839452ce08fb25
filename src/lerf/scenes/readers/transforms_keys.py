"""Every key of transforms.json that is known, in one place: what is used, what is harmless, what is told.

Keys of nerfstudio 1.1.5 (its parsers and what ns-process-data writes) and of instant-ngp's loader and colmap2nerf. A
key that stands nowhere here is told as not used. What would change the pictures and cannot be used is refused by name
in `lerf.scenes.readers.transforms_lens`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

CARRIED = ("applied_transform", "applied_scale", "orientation_override", "aabb_scale")
"""What the file says about its own coordinates: kept in `Scene.metadata`, and so in the run."""

FOCAL = ("fl_x", "fl_y", "camera_angle_x", "camera_angle_y", "x_fov", "y_fov")
SIZE = ("w", "h")
CENTRE = ("cx", "cy")
DISTORTION = (
    *("k1", "k2", "k3", "k4", "k5", "k6", "p1", "p2", "s1", "s2", "s3", "s4", "distortion_params"),
    *(f"ftheta_p{number}" for number in range(5)),
)
MODEL = ("camera_model", "is_fisheye", "latlong", "equirectangular", "orthographic")
SHUTTER = ("rolling_shutter",)
GROUPS = (FOCAL, SIZE, CENTRE, DISTORTION, MODEL, SHUTTER)
"""Keys that belong together: a frame that states one of a group states the group, and nothing of it is the top's."""
LENS = frozenset(key for group in GROUPS for key in group)

USED_ON_TOP = LENS | {
    *(*CARRIED, "frames", "train_filenames", "val_filenames", "test_filenames", "ply_file_path"),
    *("from_mitsuba", "normal_mts_args"),
}
USED_IN_FRAMES = LENS | {"file_path", "transform_matrix", "transform_matrix_start", "transform_matrix_end", "mask_path"}

HARMLESS_ON_TOP = frozenset(
    {
        *("scale", "offset", "aabb", "render_aabb", "up"),  # where instant-ngp's cube lies and how its viewer turns
        *("n_extra_learnable_dims", "importance_sampling", "enable_ray_loading"),  # its training
        *("enable_depth_loading", "integer_depth_scale", "depth_unit_scale_factor"),  # of depths, told by their frames
        *("fovx", "fovy"),  # said again beside the focal length
    }
)
HARMLESS_IN_FRAMES = frozenset(
    {
        *("colmap_im_id", "sharpness", "fovx", "fovy"),
        "rotation",  # of Blender's turntable between two frames
    }
)
WHY_NOT = {
    "mask_filename": "rename it to mask_path if white marks what takes part",
    "depth_file_path": "depths are not learnt from",
    "depth_path": "depths are not learnt from",
    "time": "the scene is taken to stand still",
    "fisheye_crop_radius": "mask the border with mask_path",
    "n_frames": "all frames are used",
    "sharpness_discard_threshold": "all frames are used",
    "rolling_shutter_time": "each photo is taken at one moment",
    "exposure_time": "each photo is taken at one moment",
    "camera_linear_velocity": "each photo is taken at one moment",
    "camera_angular_velocity": "each photo is taken at one moment",
    "envmap": "the background is learnt",
    "driver_parameters": "the light is taken to stay the same",
    "sharpen": "photos are learnt as they are",
    "fix_premult": "photos are learnt as they are",
    "white_transparent": "transparency comes from alpha channels",
    "black_transparent": "transparency comes from alpha channels",
    "mask_color": "masks come from mask_path",
}
"""Keys that say something which is not used, and why, or what to do."""
SHOWN = 8
"""Keys that a note names."""


def unused_notes(name: str, on_top: Iterable[str], in_frames: Iterable[str]) -> list[str]:
    """What to tell of the keys of a file called `name` that are neither used nor harmless."""
    top = sorted(set(on_top) - USED_ON_TOP - HARMLESS_ON_TOP)
    frame = sorted(set(in_frames) - USED_IN_FRAMES - HARMLESS_IN_FRAMES)
    keys = list(dict.fromkeys([*top, *frame]))
    reasons: dict[str, list[str]] = {}
    for key in keys:
        if key in WHY_NOT:
            reasons.setdefault(WHY_NOT[key], []).append(key)
    notes = [f"Keys of {name} not used: {', '.join(named)} ({why})." for why, named in reasons.items()]
    for where, found in (("", top), (" in its frames", frame)):
        unknown = [key for key in found if key not in WHY_NOT]
        if unknown:
            notes.append(f"Keys of {name} not used{where}, as their meaning is not known: {some(unknown)}.")
    return notes


def some(names: Collection[str] | Sequence[str]) -> str:
    """The first names, and how many more there are."""
    listed = ", ".join(name if len(name) <= 40 else f"{name[:37]}..." for name in list(names)[:SHOWN])
    return listed if len(names) <= SHOWN else f"{listed} and {len(names) - SHOWN} more"
