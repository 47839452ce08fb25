"""The loop through the stages of a run: those that are finished are skipped, the others done in order.

Training from the command line, the demo, and anything else that fills a run folder goes through here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lerf.errors import ConfigError, RunError
from lerf.run.differences import listed
from lerf.stages.keys import StageKey
from lerf.stages.moved_capture import note_move
from lerf.stages.prepare import (
    note_unknown_photos,
    refuse_capture_changed_meanwhile,
    refuse_other_run,
    start_run,
)
from lerf.stages.stage import Context, Stage


@dataclass(frozen=True)
class Plan:
    """What a run has, and what is left to do."""

    finished: tuple[Stage, ...]
    to_do: tuple[Stage, ...]

    @property
    def summary(self) -> str:
        """One sentence for the user."""
        finished, to_do = (", ".join(stage.name for stage in stages) for stages in (self.finished, self.to_do))
        return f"Finished: {finished}; to do: {to_do}." if finished else f"To do: {to_do}."


def run_stages(stages: Sequence[Stage], context: Context) -> None:
    """Do what is left of the stages of a run, and say beforehand what that is.

    An interruption or an error leaves the finished stages finished; called again, the loop goes on after them.

    Raises:
        LerfError: bad capture, settings or disk; another run in the folder; what a stage says.
        KeyboardInterrupt: after a checkpoint has been written, where there was something to save.
    """
    refuse_other_run(context)
    note_unknown_photos(context)
    moved = note_move(context)
    plan = plan_stages(stages, context)
    for stage in plan.to_do:
        stage.check(context)
    if not plan.to_do and context.run.exists and not moved:
        context.run.clear_away()
        return
    with context.run.written("choose another --output"):
        # What another process has finished until just now is not done again.
        refuse_other_run(context)
        plan = plan_stages(stages, context)
        start_run(context)
        if plan.to_do:
            context.reporter.note(plan.summary)
        for stage in plan.to_do:
            refuse_capture_changed_meanwhile(context)
            with context.clock.stage(stage.name):
                stage.run(context)


def plan_stages(stages: Sequence[Stage], context: Context) -> Plan:
    """Which stages are finished and which are to be done; also fills `context.keys`.

    A stage is to be done if it has no finished checkpoint, or if one that it needs is to be done; a stage without
    checkpoints only if one that is to be done needs it.

    Raises:
        ConfigError: a stage needs one that does not come before it.
        RunError: a checkpoint is damaged, or was made with something else than what is given now.
    """
    outdated: set[str] = set()
    for stage in stages:
        missing = [name for name in stage.needs if name not in context.keys]
        if missing:
            raise ConfigError(f"The stage '{stage.name}' needs '{missing[0]}'; put that one before it.")
        key = StageKey.of(stage.decided_by(context), {name: context.keys[name] for name in stage.needs})
        context.keys[stage.name] = key
        finished = stage.saved and _is_finished(stage, context)
        if outdated & set(stage.needs) or (stage.saved and not finished):
            outdated.add(stage.name)
    wanted = {stage.name for stage in stages if stage.saved and stage.name in outdated}
    for stage in reversed(stages):
        if stage.name in wanted:
            wanted |= {other.name for other in stages if other.name in stage.needs and not other.saved}
    return Plan(
        tuple(stage for stage in stages if stage.saved and stage.name not in wanted),
        tuple(stage for stage in stages if stage.name in wanted),
    )


def _is_finished(stage: Stage, context: Context) -> bool:
    """Whether a run has a stage's finished checkpoint. Runs of older versions recorded no keys: theirs are accepted.

    Raises:
        RunError: the checkpoint, finished or not, has another key.
    """
    facts = context.run.read_facts(stage.name)
    if facts is None:
        return False
    key = context.keys[stage.name]
    if facts.get("key", key.digest) != key.digest:
        changed = listed(key.differences(facts.get("decided_by", {}))) or "key"
        raise RunError(
            f"The {stage.name} in {context.run.path} was made from something else: {changed}; choose another --output "
            f"or delete its {stage.name}.safetensors."
        )
    return bool(facts.get("finished"))
