"""Posed photos in: cameras, split, and one similarity to the normalised frame."""

from lerf.scenes.camera import Camera
from lerf.scenes.load import load_scene
from lerf.scenes.scene import Photo, Scene
from lerf.scenes.similarity import Similarity, normalising_similarity

__all__ = ["Camera", "Photo", "Scene", "Similarity", "load_scene", "normalising_similarity"]
