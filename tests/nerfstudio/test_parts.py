"""Parts of the plug-in that need no training."""

from __future__ import annotations

from types import SimpleNamespace

import ns_commands
import pytest
import torch

import lerf
from lerf.errors import ConfigError
from lerf.run.settings import PRESETS

ns_commands.require_nerfstudio()

from nerfstudio.engine.optimizers import Optimizers  # noqa: E402

from lerf.nerfstudio.methods import LANGUAGE_WARMUP, method  # noqa: E402
from lerf.nerfstudio.optimisers import count_language_from  # noqa: E402
from lerf.nerfstudio.pipeline import LerfPipeline  # noqa: E402
from lerf.nerfstudio.told import ending_in_a_sentence  # noqa: E402


@pytest.mark.parametrize("start", [0, 700])
def test_the_learning_rate_of_language_counts_from_its_first_step(start):
    config = method("lerf-cpu").config.optimizers
    optimizers = Optimizers({"language": config["language"]}, {"language": [torch.nn.Parameter(torch.zeros(1))]})
    count_language_from(optimizers, start)
    rate = optimizers.schedulers["language"].lr_lambdas[0]
    language = PRESETS["lerf-cpu"].language_training
    assert rate(start) < 0.1
    assert rate(start + LANGUAGE_WARMUP) == pytest.approx(1.0)
    assert rate(start + language.decay_steps) == pytest.approx(language.final_rate / language.rate)


@pytest.mark.parametrize("late", [True, False])
def test_threads_that_spin_are_warned_of(late, monkeypatch, capsys):
    monkeypatch.setattr(lerf, "WAITS_ACTIVELY", late)
    LerfPipeline._warn_of_threads(SimpleNamespace(device="cpu"))
    LerfPipeline._warn_of_threads(SimpleNamespace(device="cuda"))
    assert capsys.readouterr().out.count("set OMP_WAIT_POLICY=PASSIVE") == late


def test_an_error_for_users_is_its_sentence_and_status_2(capsys):
    @ending_in_a_sentence
    def work():
        raise ConfigError("[red]Give another[/red] one.")

    with pytest.raises(SystemExit) as ended:
        work()
    assert ended.value.code == 2
    assert capsys.readouterr().out == "lerf: [red]Give another[/red] one.\n"


def test_the_viewer_listens_to_this_machine_alone():
    assert method("lerf").config.viewer.websocket_host == "127.0.0.1"
