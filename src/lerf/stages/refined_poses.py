"""Corrected poses of the training cameras, from the radiance's checkpoint into the run's scene."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from lerf.files import write_json
from lerf.radiance.pose_refinement import PoseRefinement
from lerf.scenes.nerfstudio_frame import with_frame
from lerf.scenes.record import scene_to_plain
from lerf.scenes.scene import Scene
from lerf.stages.stage import Context
from lerf.training.checkpoint import module_state
from lerf.training.pixels import camera_table


def new_pose_refinement(scene: Scene, device: str) -> PoseRefinement:
    """Corrections of a scene's training cameras, all zero."""
    positions = camera_table(scene, device).positions
    return PoseRefinement(positions[list(scene.train)]).to(device)


def apply_refined_poses(context: Context, tensors: dict[str, Tensor]) -> Scene:
    """The capture with the corrections among the radiance's tensors applied, which is also written to the run.

    It is the capture itself where the radiance has no corrections. It starts from the capture's own poses, so that
    doing it again after an interruption changes nothing.

    Raises:
        RunError: the corrections are those of other photos.
    """
    scene, device = context.scene, context.settings.device
    corrections = module_state(tensors, "poses")
    if not corrections:
        return scene
    poses = new_pose_refinement(scene, device)
    with context.run.fitting("radiance"):
        poses.load_state_dict(corrections)
    before = torch.stack(
        [torch.from_numpy(scene.normalised_camera(index).camera_to_world).float() for index in scene.train]
    )
    after = poses.corrected(before.to(device)).cpu().double().numpy()
    photos = list(scene.photos)
    for index, pose in zip(scene.train, scene.similarity.inverse().apply_poses(after), strict=True):
        photos[index] = replace(photos[index], camera=replace(photos[index].camera, camera_to_world=pose))
    refined = replace(scene, photos=tuple(photos), metadata=with_frame(scene))
    write_json(context.run.path / "scene.json", scene_to_plain(refined))
    return refined
