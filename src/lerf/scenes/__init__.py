"""Posed photos in: cameras, split, and one similarity to the normalised frame."""

from lerf.geometry.camera import Camera
from lerf.geometry.similarity import Similarity, normalising_similarity
from lerf.scenes.load import load_scene
from lerf.scenes.scene import Photo, Scene

__all__ = ["Camera", "Photo", "Scene", "Similarity", "load_scene", "normalising_similarity"]
