"""The solids of the generated scene alone, on transparency, in Blender's format."""

import json

import numpy as np
from scene_files import ring, save


def write_cut_out(folder, scene, views=20, side=48):
    """Photos on a ring around the solids, two of them held out; returns the folder."""
    x, y = np.meshgrid(np.arange(side) + 0.5 - side / 2, np.arange(side) + 0.5 - side / 2)
    local = np.stack([x / side, -y / side, -np.ones_like(x)], -1).reshape(-1, 3)
    local /= np.linalg.norm(local, axis=-1, keepdims=True)
    for name, count in (("train", views), ("test", 2)):
        listed = []
        for number, pose in enumerate(ring(count, radius=2.2, height=1.0)):
            directions = local @ pose[:3, :3].T
            hits = scene.trace(np.broadcast_to(pose[:3, 3], directions.shape), directions)
            picture = np.concatenate([hits.colour, (hits.owner >= 0)[:, None]], 1)
            save(folder / name / f"r_{number}.png", np.rint(255 * picture).astype(np.uint8).reshape(side, side, 4))
            listed.append({"file_path": f"./{name}/r_{number}", "transform_matrix": pose.tolist()})
        document = {"camera_angle_x": 2 * float(np.arctan(0.5)), "frames": listed}
        (folder / f"transforms_{name}.json").write_text(json.dumps(document))
    return folder
