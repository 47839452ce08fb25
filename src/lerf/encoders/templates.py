"""Prompt templates: a phrase embedded in several sentences, for encoders that were trained on captions.

Off by default, as in the paper (LERF embeds phrases as they are); `--encoder openclip+templates` turns them on. The
seven are the subset that Radford et al. found best for CLIP on ImageNet (arXiv 2103.00020, section 3.1.4, and the
notebook Prompt_Engineering_for_ImageNet of their repository); they are meant for nouns.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from lerf.errors import ConfigError

TEMPLATES = (
    "itap of a {}.",
    "a bad photo of the {}.",
    "a origami {}.",
    "a photo of the large {}.",
    "a {} in a video game.",
    "art of the {}.",
    "a photo of the small {}.",
)


def ensemble(
    embed: Callable[[list[str]], Float[Tensor, "sentences width"]], phrases: Sequence[str], templates: Sequence[str]
) -> Float[Tensor, "phrases width"]:
    """Unit embeddings of phrases: the mean over templates of the sentences' unit embeddings, made a unit vector again.

    Args:
        embed: unit embeddings of sentences.
        phrases: what stands in the place of `{}`.
        templates: sentences with one `{}` each.

    Raises:
        ConfigError: a template has not exactly one place for the phrase.
    """
    if not templates or any(template.count("{}") != 1 for template in templates):
        raise ConfigError("A prompt template has exactly one {} where the phrase goes, as in 'a photo of a {}.'.")
    sentences = [template.replace("{}", phrase) for phrase in phrases for template in templates]
    embedded = embed(sentences)
    return F.normalize(embedded.reshape(len(phrases), len(templates), -1).mean(dim=1), dim=-1)
