"""`lerf export`: the surface as a cloud, a mesh or splats, in capture coordinates, with what phrases say of it."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from rich.console import Console

from lerf.apps.export import Export, embeddings_file, facts_file
from lerf.apps.progress import TerminalReporter
from lerf.apps.sizes import size_text
from lerf.errors import LerfWarning, QueryError
from lerf.exports.cloud import Cloud, Progress, build_cloud, capture_points, normals
from lerf.exports.mesh import Mesh, build_mesh, require_marching_cubes, transfer
from lerf.exports.point_relevancy import PointRelevancy, read_relevancy, write_embeddings
from lerf.exports.splat import ask, build_splats, cropped
from lerf.files import sha256_of, write_json
from lerf.geometry.similarity import Similarity
from lerf.language.protocol import middle_scale
from lerf.locks import locked_file, remove_unfinished
from lerf.model import Model
from lerf.ply import write_ply
from lerf.queries.answer import PhraseAnswer
from lerf.queries.phrases import Phrases
from lerf.rendering.colour_maps import to_bytes
from lerf.run.folder import RunFolder
from lerf.splats.files import write_splats
from lerf.steps import finish

FORMAT = 2
"""Version of the JSON beside the PLY; raised when an entry changes its meaning or goes."""
CLOUD_POINTS, MESH_POINTS = 500_000, 1_500_000
"""Rays by default: a mesh averages many of them."""
CLOUD_REACH, MESH_REACH = 6.0, 2.0
"""How far the surface is followed by default: a mesh's voxels are the larger the further it reaches."""
MESH_RESOLUTION = 384
"""Voxels along its longest side by default."""


def export(command: Export, console: Console) -> dict[str, Any]:
    """A PLY file, and a JSON file beside it that says what is in it and where."""
    if command.what == "mesh":
        require_marching_cubes()
    model = command.open_model(console)
    with locked_file(command.output, "choose another OUTPUT"):
        described, embeddings = facts_file(command.output), embeddings_file(command.output)
        remove_unfinished(command.output.parent, command.output.name, described.name, embeddings.name)
        facts = _written(command, model, TerminalReporter(console))
        write_json(described, facts)
    size = size_text(command.output.stat().st_size)
    told = {"cloud": ("vertices", "points"), "mesh": ("faces", "triangles"), "splat": ("vertices", "Gaussians")}
    entry, things = told[command.what]
    shape = f"{facts[entry]:,} {things}"
    console.print(f"{command.output}: {shape}, {size}.")
    return {"file": str(command.output), **facts}


def _written(command: Export, model: Model, reporter: TerminalReporter) -> dict[str, Any]:
    """Write the PLY file; what the JSON beside it says."""
    phrases, answers = None, []
    if command.query:
        phrases = model.phrases(command.query, *command.compared)
        given = None if command.scale is None else [command.scale] * len(phrases)
        answers = finish(model.answer(phrases, command.threshold, given))
        if command.crop or command.without:
            _warn_of_absent(answers, model.defaults.threshold if command.threshold is None else command.threshold)
    try:
        facts = _export(command, model, phrases, answers, reporter.show)
    finally:
        reporter.close()
    run = RunFolder(command.run)
    facts["checkpoints"] = {stage: sha256_of(run.path / f"{stage}.safetensors") for stage in ("radiance", "language")}
    return facts


def _export(
    command: Export, model: Model, phrases: Phrases | None, answers: Sequence[PhraseAnswer], progress: Progress
) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "format": FORMAT,
        "what": command.what,
        "frame": "capture",
        "capture": model.scene.metadata,
        "capture_to_normalised": _transform(model.scene.similarity),
        "normalised_to_capture": _transform(model.scene.similarity.inverse()),
        "crop": command.crop,
        "encoder": model.encoder.name,
    }
    if phrases is not None:
        facts |= {
            "canonical": list(phrases.canonical_texts),
            "temperature": phrases.temperature,
            "threshold": model.defaults.threshold if command.threshold is None else command.threshold,
            "phrases": [_about(model, row, own) for row, own in enumerate(answers)],
        }
    if command.what == "splat":
        return {**facts, **_write_splats(command, model, phrases, answers, progress)}
    points, reach = (CLOUD_POINTS, CLOUD_REACH) if command.what == "cloud" else (MESH_POINTS, MESH_REACH)
    reach = reach if command.reach is None else command.reach
    cloud = build_cloud(model, points if command.points is None else command.points, reach, progress)
    relevancy = None
    if phrases is not None:
        relevancy = read_relevancy(model, cloud, answers, progress)
        if command.crop and not bool(relevancy.named.any()):
            raise QueryError("No point of the cloud belongs to what the phrases name; give more --points.")
    write = _write_cloud if command.what == "cloud" else _write_mesh
    return {**facts, "reach": reach, **write(command, model, cloud, relevancy, progress)}


def _write_splats(
    command: Export, model: Model, phrases: Phrases | None, answers: Sequence[PhraseAnswer], progress: Progress
) -> dict[str, Any]:
    gaussians = build_splats(model, command.points, command.reach, command.refine_steps, progress)
    if phrases is not None:
        gaussians = ask(model, gaussians, answers, progress)
        if command.crop or command.without:
            gaussians = cropped(gaussians, keep=command.crop)
        if command.recolour:
            gaussians = gaussians.recoloured()
    write_splats(command.output, gaussians.with_columns())
    counted = [int((row >= 0).sum()) for row in gaussians.instances]
    return {"without": command.without, "vertices": len(gaussians), "gaussians_named": counted}


def _about(model: Model, row: int, own: PhraseAnswer) -> dict[str, Any]:
    """What the JSON says of a phrase: the answer as a query gives it, its property, and the scale of its relevancy."""
    return {**own.answer.to_dict(), "property": f"relevancy_{row}", "property_scale": own.scale / model.photos.unit}


def _warn_of_absent(answers: Sequence[PhraseAnswer], threshold: float) -> None:
    """Warn of phrases that are not in the scene.

    Raises:
        QueryError: when none is.
    """
    absent = [own.answer for own in answers if not own.answer.present]
    words = [f'"{answer.text}" ({answer.relevancy:.2f})' for answer in absent]
    if len(absent) == len(answers):
        raise QueryError(
            f"The scene has nothing to cut out: the relevancy of {', '.join(words)} stays under the threshold "
            f"{threshold:.2f}; lower it with --threshold or name something else."
        )
    for word in words:
        warnings.warn(f"{word} is not in the scene.", LerfWarning, stacklevel=2)


def _comments(relevancy: PointRelevancy | None) -> list[str]:
    """Header lines of the PLY: the frame, and which phrase each property is of."""
    texts = () if relevancy is None else [own.answer.text for own in relevancy.answers]
    return ["frame capture", *(f"relevancy_{row} {text}" for row, text in enumerate(texts))]


def _write_cloud(
    command: Export, model: Model, everything: Cloud, relevancy: PointRelevancy | None, progress: Progress
) -> dict[str, Any]:
    cloud = everything
    if command.crop and relevancy is not None:
        kept = relevancy.named.any(0)
        cloud, relevancy = everything.chosen(kept), relevancy.chosen(kept)
    facing = normals(model, cloud, everything, progress).double().numpy() @ model.scene.similarity.rotation
    rows = () if relevancy is None else relevancy.relevancy.cpu().numpy()
    write_ply(
        command.output,
        capture_points(model, cloud.positions),
        normals=facing,
        colours=to_bytes(cloud.colours[None])[0],
        scalars={f"relevancy_{row}": values for row, values in enumerate(rows)},
        comments=_comments(relevancy),
    )
    facts: dict[str, Any] = {"vertices": len(cloud)}
    if command.embeddings:
        path = embeddings_file(command.output)
        scale = middle_scale(model.language) if command.scale is None else model.photos.normalised_scale(command.scale)
        shape = write_embeddings(path, model, cloud, scale, progress)
        unit = model.photos.unit
        facts["embeddings"] = {"file": path.name, "shape": list(shape), "scale": scale / unit}
    return facts


def _write_mesh(
    command: Export, model: Model, cloud: Cloud, relevancy: PointRelevancy | None, progress: Progress
) -> dict[str, Any]:
    values = [cloud.colours]
    around = cloud
    if relevancy is not None:
        values.append(relevancy.relevancy.T)
        if command.crop:
            kept = relevancy.named.any(0)
            values.append(kept.float()[:, None])
            around = cloud.chosen(kept)
    mesh = build_mesh(
        model.cameras, around, MESH_RESOLUTION if command.resolution is None else command.resolution, progress
    )
    table = torch.cat(values, dim=1).cpu().double().numpy()
    at = transfer(cloud.positions.cpu().double().numpy(), table, mesh.vertices)
    if command.crop:
        mesh, at = _cropped(mesh, at, at[:, -1] < 0.5)
    phrases = 0 if relevancy is None else len(relevancy.relevancy)
    write_ply(
        command.output,
        model.scene.similarity.inverse().apply_points(mesh.vertices),
        normals=mesh.normals @ model.scene.similarity.rotation,
        colours=np.clip(np.rint(at[:, :3] * 255), 0, 255).astype(np.uint8),
        scalars={f"relevancy_{row}": at[:, 3 + row] for row in range(phrases)},
        faces=mesh.faces,
        comments=_comments(relevancy),
    )
    return {"vertices": len(mesh.vertices), "faces": len(mesh.faces)}


def _cropped(mesh: Mesh, values: np.ndarray, dropped: np.ndarray) -> tuple[Mesh, np.ndarray]:
    """The mesh without dropped vertices and specks, and the values of those that are left.

    Raises:
        QueryError: when nothing is left.
    """
    smaller, kept = mesh.without(dropped)
    clean, again = smaller.without_specks()
    if len(clean.faces) == 0:
        raise QueryError("Nothing of the mesh is left by the crop; give more --points or a lower --threshold.")
    return clean, values[kept][again]


def _transform(similarity: Similarity) -> dict[str, Any]:
    """A similarity as its parts and as the 4x4 matrix that does the same."""
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = similarity.scale * similarity.rotation, similarity.translation
    return {**similarity.to_dict(), "matrix": matrix.tolist()}
