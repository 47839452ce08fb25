"""State of the encoder's training, and the threshold that is chosen from reports."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from calibrate import lowest_good_threshold
from lerf.encoders.mini_text import PAD, UNKNOWN
from lerf.errors import ConfigError
from train import Optimiser, Towers, forgotten, jittered, learning_rate, load_state, save_state


def one_step(towers, optimiser):
    torch.manual_seed(3)
    tokens, crops = torch.randint(2, 9, (4, 5)), torch.rand(4, 3, 16, 16)
    image = towers.image.embed(towers.image.feature_map(crops).mean((2, 3)), torch.full((4,), 30.0))
    (towers.text(tokens) * image).sum().backward()
    optimiser.step(1.0)


def test_a_step_moves_every_parameter_that_had_a_gradient():
    torch.manual_seed(0)
    towers = Towers(9)
    before = {name: value.clone() for name, value in towers.named_parameters()}
    one_step(towers, Optimiser(towers))
    still = [name for name, value in towers.named_parameters() if torch.equal(value, before[name])]
    assert still == ["log_factor"]


def test_kernels_move_by_muon():
    """A step's matrix has its singular values near one size, whatever the gradient's were."""
    torch.manual_seed(0)
    towers = Towers(9)
    optimiser, kernel = Optimiser(towers), dict(towers.named_parameters())["image.trunk.2.0.weight"]
    for parameter in towers.parameters():
        parameter.grad = torch.randn_like(parameter)
    kernel.grad *= torch.logspace(-2, 0, len(kernel))[:, None, None, None]
    before, values = kernel.detach().clone(), torch.linalg.svdvals(kernel.grad.flatten(1))
    assert float(values.median() / values[0]) < 0.2
    optimiser.step(1.0)
    values = torch.linalg.svdvals((kernel.detach() - before).flatten(1))
    assert float(values.median() / values[0]) > 0.6


def test_training_goes_on_from_a_saved_state_as_if_never_stopped(tmp_path):
    torch.manual_seed(0)
    first = Towers(9)
    optimiser = Optimiser(first)
    one_step(first, optimiser)
    save_state(tmp_path / "state.safetensors", first, optimiser, 7, {"steps": "10"})
    second = Towers(9)
    other = Optimiser(second)
    assert load_state(tmp_path / "state.safetensors", second, other, {"steps": "10"}) == 7
    one_step(first, optimiser)
    one_step(second, other)
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name


def test_jitter_keeps_the_range_and_gives_each_crop_its_own():
    crops = torch.full((8, 3, 48, 48), 0.5)
    found = jittered(crops, np.random.default_rng(0))
    assert found.shape == crops.shape
    assert float(found.min()) >= 0.0
    assert float(found.max()) <= 1.0
    assert found.mean((1, 2, 3)).std() > 0.02


def test_a_state_of_other_settings_is_refused(tmp_path):
    towers = Towers(9)
    optimiser = Optimiser(towers)
    save_state(tmp_path / "state.safetensors", towers, optimiser, 1, {"steps": "10", "seed": "0"})
    assert len(load_file(tmp_path / "state.safetensors")) > 10
    with pytest.raises(ConfigError, match="other steps"):
        load_state(tmp_path / "state.safetensors", towers, optimiser, {"steps": "11", "seed": "0"})


def test_the_rate_rises_and_falls():
    rates = [learning_rate(step, 1000) for step in range(1000)]
    top = int(np.argmax(rates))
    assert 50 < top < 150
    assert all(np.diff(rates[:top]) > 0)
    assert all(np.diff(rates[top + 1 :]) < 0)
    assert rates[-1] < 0.02 * rates[top]


def test_forgotten_words_are_unknown_and_padding_stays():
    tokens = torch.full((200, 10), 5)
    tokens[:, 7:] = PAD
    lost = forgotten(tokens, np.random.default_rng(0))
    assert torch.equal(lost[:, 7:], tokens[:, 7:])
    assert set(lost[:, :7].unique().tolist()) == {5, UNKNOWN}
    assert 0.01 < float((lost[:, :7] == UNKNOWN).float().mean()) < 0.06


def test_the_threshold_lies_in_the_gap():
    scores, present = np.array([0.9, 0.8, 0.3, 0.2, 0.1]), np.array([True, True, False, False, False])
    assert lowest_good_threshold(scores, present) == (pytest.approx(0.55), 1.0, 1.0)


def test_the_lowest_threshold_within_two_standard_errors_is_taken():
    # Ten of each: the best cut refuses all but one absent phrase and finds nine.
    present = np.arange(20) < 10
    scores = np.concatenate([np.linspace(0.55, 0.95, 9), [0.05], np.linspace(0.1, 0.5, 9), [0.9]])
    threshold, right, best = lowest_good_threshold(scores, present)
    assert best == pytest.approx(0.9)
    error = 2 * 0.5 * np.sqrt(2 * 0.9 * 0.1 / 10)
    by_hand = [
        cut
        for cut in np.linspace(0, 1, 401)
        if ((scores >= cut)[present].mean() + (scores < cut)[~present].mean()) / 2 >= best - error
    ]
    assert right >= best - error
    assert threshold == pytest.approx(min(by_hand), abs=0.03)
