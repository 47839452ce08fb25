"""Signs of margins against a loop over pixels, and what turns them round."""

import numpy as np
import pytest
import torch
from annotated import annotated_copy

import lerf
from lerf.evaluation.margin_sign import PIXELS, compared, mask_pixels, teacher
from lerf.evaluation.protocol import EvalInputs, MeasuredRun
from lerf.evaluation.truth import find_truth
from lerf.scenes.load import load_scene

PHOTO = 8


@pytest.fixture(scope="module")
def measured(drawn, drawn_run, tmp_path_factory) -> MeasuredRun:
    capture = load_scene(annotated_copy(drawn, tmp_path_factory.mktemp("margins") / "capture"))
    model = lerf.load(drawn_run, device="cpu")
    inputs = EvalInputs(model.scene, find_truth(capture, None), False)
    return MeasuredRun(inputs, (), lambda *_: None, model, capture)


def test_pixels_of_a_mask_are_evenly_spaced_centres() -> None:
    mask = torch.zeros(10, 20, dtype=torch.bool)
    mask[2:4, 5:8] = True
    found = mask_pixels(mask, (40, 10))
    assert found.tolist() == [[11.0, 2.5], [13.0, 2.5], [15.0, 2.5], [11.0, 3.5], [13.0, 3.5], [15.0, 3.5]]
    many = mask_pixels(torch.ones(50, 60, dtype=torch.bool), (60, 50))
    assert len(many) == PIXELS
    assert many[0].tolist() == [0.5, 0.5]
    assert many[-1, 1] > 49
    assert mask_pixels(mask & False, (40, 10)).shape == (0, 2)


@torch.no_grad()
def test_signs_are_those_of_single_pixels(measured: MeasuredRun) -> None:
    model, view = measured.model, measured.inputs.known.view(PHOTO)
    found, table = compared(measured, PHOTO), teacher(model, PHOTO, measured.capture)
    numbers = [number for number, target in sorted(view.targets.items()) if target.mask is not None]
    assert len(found) == len(numbers) > 3
    phrases, texts = measured.phrases, list(measured.phrases.texts)
    camera = model.cameras
    for number, (share, cosine) in list(zip(numbers, found, strict=True))[:4]:
        text = measured.inputs.questions[number].text
        vectors = torch.cat([phrases.queries[texts.index(text)][None], phrases.canonical])
        same, cosines = [], []
        for pixel in mask_pixels(view.targets[number].mask, camera.sizes[PHOTO].tolist())[::1]:
            rays = model.radiance.trace(camera, torch.tensor([PHOTO]), pixel[None], model.language.samples)
            latent = model.language.encode(rays)
            if not bool(rays.hit & latent.supported):
                continue
            scale = float(latent.nearest_scale(measured.scales[text]))
            unit = float(rays.median_depth) * float(camera.sizes[PHOTO, 1]) / float(camera.focal[PHOTO, 1])
            ratio = torch.tensor([np.clip(scale / unit, float(table.ratios[0]), float(table.ratios[-1]))])
            theirs = table.interpolate(torch.tensor([0]), pixel[None], ratio.float(), renormalise=True)[0]
            ours = model.language.embed(latent, scale)[0]
            margins = [float(vectors[0] @ one - (vectors[1:] @ one).max()) for one in (ours, theirs)]
            if min(map(abs, margins)) > 1e-4:
                same.append((margins[0] > 0) == (margins[1] > 0))
            cosines.append(float(ours @ theirs))
        assert share == pytest.approx(np.mean(same), abs=0.05)
        assert cosine == pytest.approx(np.mean(cosines), abs=1e-3)


def test_a_language_that_means_the_opposite_agrees_in_no_sign(measured: MeasuredRun, monkeypatch) -> None:
    """Where the photo is sure, an embedding that is its negative is on the other side of the tie."""
    before = compared(measured, PHOTO)
    language = measured.model.language
    whole = language.embed
    monkeypatch.setattr(language, "embed", lambda latent, scale: -whole(latent, scale), raising=False)
    after = compared(measured, PHOTO)
    assert np.mean([share for share, _ in after]) < np.mean([share for share, _ in before]) - 0.3
    assert np.mean([cosine for _, cosine in after]) == pytest.approx(-np.mean([cosine for _, cosine in before]))
