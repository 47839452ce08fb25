"""`lerf query`: where phrases are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from rich.console import Console
from tyro.conf import Positional, arg

from lerf.apps.checks import only_with
from lerf.apps.options import PhraseOptions, RunOptions, ThresholdOption
from lerf.apps.tables import Listing, show
from lerf.errors import QueryError
from lerf.ranges import Words


@dataclass(frozen=True, kw_only=True)
class Query(RunOptions, ThresholdOption, PhraseOptions):
    """Ask where phrases are."""

    phrases: Annotated[
        tuple[Words, ...], Positional, arg(metavar="PHRASE [PHRASE ...]", help_behavior_hint="(required)")
    ]
    """What to look for."""
    index: Literal["auto", "require", "ignore"] = "auto"
    """Answer from the index that lerf bake wrote: where a fresh one is there, always, or never."""
    compare: bool = False
    """With an index, also ask the field, and say how far the relevancy of each phrase is from the field's."""

    def check(self) -> None:
        if not self.phrases:
            raise QueryError('There is no phrase to look for; give at least one, for example: lerf query RUN "mug".')
        only_with(self, ("exclusive",), len(self.phrases) > 1, "for several phrases; name two or more")
        only_with(self, ("compare",), self.index != "ignore", "for answers of an index; leave --index ignore out")


def query(command: Query, console: Console) -> dict[str, Any]:
    """Answer phrases in a table."""
    from lerf.queries.result import NOT_KNOWN

    found = command.open_model(console).query(
        command.phrases,
        canonical=command.canonical,
        temperature=command.temperature,
        threshold=command.threshold,
        scale=command.scale,
        index=command.index,
        compare=command.compare,
        exclusive=command.exclusive,
    )
    result = found.to_dict()
    if not command.json:
        show(console, answer_table(result["queries"]))
        if unread := [answer for answer in result["queries"] if answer["known"] is not None and answer["known"] < 1]:
            listed = ", ".join(f'"{answer["text"]}" ({answer["known"]:.2g} of 1)' for answer in unread)
            console.print(f"{NOT_KNOWN}: {listed}.")
    if "index" in result:
        console.print(index_sentence(result["index"]))
    return result


def answer_table(answers: list[dict[str, Any]]) -> Listing:
    """A row for each phrase: whether it is there, and where it answers best."""
    table = Listing(("phrase", "present", "relevancy", "point", "scale", "instances", "best seen in"))
    for answer in answers:
        relevancy = f"{answer['relevancy']:.3f}"
        if not answer["present"]:
            table.add(answer["text"], "no", relevancy, "", "", "", "")
            continue
        point = tuple(f"{value:.3f}" for value in answer["point"])
        view = (answer["view"], "({:.0f}, {:.0f})".format(*answer["pixel"])) if answer["view"] else ""
        instances = str(len(answer["instances"]))
        table.add(answer["text"], "yes", relevancy, point, f"{answer['scale']:.3f}", instances, view)
    return table


def index_sentence(facts: dict[str, Any]) -> str:
    """How far the answers of an index are from the field's, in words."""
    far = "how far that is from the field has not been measured"
    if facts["cosine"] is not None:
        far = f"its embeddings have a mean cosine of {facts['cosine']:.3f} with the field's"
        far += f" (5th percentile {facts['lowest_cosine']:.3f})"
    said = f"Answered from the index ({facts['cells']} cells, from the {facts['source']}); {far}."
    if "differences" in facts:
        listed = ", ".join(f"{text} {value:.4f}" for text, value in facts["differences"].items())
        said += f" Mean difference of relevancy to the field's: {listed}."
    return said
