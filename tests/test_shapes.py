"""The import hook is active: a call with wrong shapes fails, a right one does not."""

import os

import jaxtyping
import numpy as np
import pytest
import torch

from lerf.geometry.contraction import contract
from lerf.geometry.rays import RayBundle
from lerf.kernels import reference
from lerf.language.protocol import Latent
from lerf.radiance.surface import trace_surface
from lerf_scenes.looks import linear


def test_a_wrong_shape_fails():
    with pytest.raises(jaxtyping.TypeCheckError):
        contract(torch.zeros(4, 2))
    with pytest.raises(jaxtyping.TypeCheckError):
        linear(np.zeros((4, 2)))


def test_axes_of_one_name_must_agree():
    reference.render_weights(torch.ones(3, 4), torch.ones(3, 4))
    with pytest.raises(jaxtyping.TypeCheckError):
        reference.render_weights(torch.ones(3, 4), torch.ones(3, 5))


def test_dataclasses_are_checked():
    with pytest.raises(jaxtyping.TypeCheckError):
        RayBundle(torch.zeros(2, 3), torch.zeros(3, 3), torch.ones(2), torch.zeros(2, dtype=torch.int64))
    with pytest.raises(jaxtyping.TypeCheckError):
        Latent({}, torch.zeros(2), torch.zeros(3))


def test_a_protocol_is_checked_by_what_it_offers(analytic_capture):
    cameras, train = analytic_capture.cameras, analytic_capture.scene.train
    with pytest.raises(jaxtyping.TypeCheckError):
        next(trace_surface(analytic_capture.scene, cameras, train, heaviest=1))
    next(trace_surface(analytic_capture.radiance, cameras, train, heaviest=1))


def test_the_cache_is_not_the_users(cache_of_this_session):
    assert os.environ["LERF_CACHE"] == str(cache_of_this_session)
