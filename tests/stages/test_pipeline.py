"""The loop through stages: order, what is skipped, what is said beforehand, interruptions."""

import pytest
import torch
from short_runs import Listener, settings_of

from lerf.errors import ConfigError, RunError, SceneError
from lerf.run.folder import RunFolder
from lerf.stages.pipeline import plan_stages, run_stages
from lerf.stages.prepare import open_context

pytestmark = pytest.mark.usefixtures("tiny")


class Fake:
    """A stage that notes its calls, and saves a checkpoint of nothing if it is one that saves."""

    def __init__(self, name, needs=(), saved=True, decided_by=None, fails=None):
        self.name, self.needs, self.saved = name, tuple(needs), saved
        self.decisions, self.fails = decided_by or {"seed": 1}, fails
        self.calls = []

    def decided_by(self, context):
        return self.decisions

    def check(self, context):
        self.calls.append(("check", context.run.path.exists()))

    def run(self, context):
        self.calls.append("run")
        if self.fails:
            raise self.fails
        if self.saved:
            context.save_stage(self.name, {"one": torch.ones(1)}, {"finished": True})


def chain():
    """Colours and poses need nothing; words need both."""
    return [Fake("colours"), Fake("poses", saved=False), Fake("words", ["colours", "poses"])]


@pytest.fixture
def context(drawn, tmp_path):
    settings = settings_of(drawn.folder)
    return open_context(
        settings, RunFolder(tmp_path / "run"), offline=True, reporter=Listener(), save_seconds=30.0
    )  # fmt: skip


def names(stages):
    return [stage.name for stage in stages]


def test_all_stages_are_done_in_order_and_said_beforehand(context):
    stages, order = chain(), []
    for stage in stages:
        stage.run = lambda context, stage=stage: (order.append(stage.name), Fake.run(stage, context))
    context.reporter.note = lambda message: order.append(message)
    run_stages(stages, context)
    assert order == ["To do: colours, poses, words.", "colours", "poses", "words"]
    assert [stage.calls for stage in stages] == [[("check", False), "run"]] * 3, "checked before anything is written"
    assert list(context.run.read_json("timings.json")["seconds"]) == ["colours", "poses", "words"]
    assert context.run.exists


def test_finished_stages_are_left_alone(context):
    run_stages(chain(), context)
    before = {path.name: path.stat().st_mtime_ns for path in context.run.path.iterdir()}
    again = chain()
    run_stages(again, context)
    assert [stage.calls for stage in again] == [[], [], []]
    assert context.reporter.notes == ["To do: colours, poses, words."]
    assert {path.name: path.stat().st_mtime_ns for path in context.run.path.iterdir()} == before


@pytest.mark.parametrize("fails", [KeyboardInterrupt(), SceneError("The photo is cut off.")])
@pytest.mark.parametrize("where", ["poses", "words"])
def test_what_was_finished_before_a_stage_ended_early_stays(context, fails, where):
    stages = chain()
    next(stage for stage in stages if stage.name == where).fails = fails
    with pytest.raises(type(fails)):
        run_stages(stages, context)
    assert context.run.read_facts("colours")["finished"]
    assert not context.run.has_stage("words")
    again = chain()
    run_stages(again, context)
    assert context.reporter.notes[-1] == "Finished: colours; to do: poses, words."
    assert [stage.calls for stage in again] == [[], [("check", True), "run"], [("check", True), "run"]]


def test_a_refusal_leaves_no_run(context):
    def refuse(context):
        raise ConfigError("No.")

    stages = chain()
    stages[2].check = refuse
    with pytest.raises(ConfigError, match=r"No\."):
        run_stages(stages, context)
    assert not context.run.path.exists()
    assert context.reporter.notes == []


def test_an_unfinished_checkpoint_is_to_be_done(context):
    run_stages(chain()[:1], context)
    context.save_stage("colours", {}, {"finished": False})
    assert names(plan_stages(chain()[:1], context).to_do) == ["colours"]


def test_a_stage_without_checkpoints_runs_for_those_that_need_it(context):
    """Also for one that needs it by way of another such stage."""
    far = [Fake("photos", saved=False), Fake("tiles", ["photos"], saved=False), Fake("words", ["tiles"])]
    others = [Fake("colours"), Fake("unused", saved=False)]
    plan = plan_stages([*others, *far], context)
    assert names(plan.to_do) == ["colours", "photos", "tiles", "words"]
    run_stages([*others, *far], context)
    assert names(plan_stages([*others, *far], context).to_do) == []


def test_what_needs_a_stage_that_is_done_again_is_done_again(context):
    stages = [Fake("colours"), Fake("tiles", ["colours"], saved=False), Fake("words", ["tiles"]), Fake("poses")]
    run_stages(stages, context)
    (context.run.path / "colours.safetensors").unlink()
    plan = plan_stages(stages, context)
    assert names(plan.finished) == ["poses"]
    assert names(plan.to_do) == ["colours", "tiles", "words"]


def test_another_key_is_refused_and_named(context):
    run_stages(chain(), context)
    other = [Fake("colours", decided_by={"seed": 1, "rate": {"first": 2}}), *chain()[1:]]
    with pytest.raises(RunError, match=r"made from something else: rate missing \(now .*; .*delete its colours\.safe"):
        run_stages(other, context)
    other = [chain()[0], Fake("poses", saved=False, decided_by={"seed": 2}), chain()[2]]
    with pytest.raises(RunError, match=r"The words in .* was made from something else: poses;"):
        run_stages(other, context)
    assert all(stage.calls == [] for stage in other)


def test_checkpoints_without_a_key_count_as_finished(context):
    """Runs of older versions have none."""
    run_stages(chain(), context)
    for name in ("colours", "words"):
        context.run.save_stage(name, {}, {"finished": True})
    plan = plan_stages(chain(), context)
    assert (names(plan.finished), plan.to_do) == (["colours", "words"], ())


def test_a_stage_comes_after_what_it_needs(context):
    with pytest.raises(ConfigError, match="'words' needs 'colours'; put that one before it"):
        run_stages(chain()[::-1], context)
    assert not context.run.path.exists()
