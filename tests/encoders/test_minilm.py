import importlib.util

import pytest
import torch

from lerf.encoders.minilm import PACKAGE, SentenceEncoder, find_model
from lerf.errors import EncoderError

INSTALLED = importlib.util.find_spec(PACKAGE) and importlib.util.find_spec("transformers")
offline = pytest.mark.skipif(not INSTALLED, reason="lerf[offline] is not installed: no sentence encoder")
TEXTS = ["a fox", "the quick brown fox jumps over the lazy dog", "bulldozer", "fox"]


@offline
def test_pooling_is_the_masked_mean():
    encoder = SentenceEncoder()
    together = encoder.encode(TEXTS)
    torch.testing.assert_close(together.norm(dim=1), torch.ones(len(TEXTS)))
    for index, text in enumerate(TEXTS):  # alone there is no padding, so a plain mean is the definition
        states = encoder._model(**encoder._tokenizer([text], return_tensors="pt")).last_hidden_state[0]
        alone = states.mean(dim=0).detach()
        torch.testing.assert_close(together[index], alone / alone.norm(), atol=1e-5, rtol=1e-4)


@offline
def test_agrees_with_sentence_transformers():
    library = pytest.importorskip("sentence_transformers")
    reference = torch.from_numpy(library.SentenceTransformer(str(find_model()), device="cpu").encode(TEXTS))
    torch.testing.assert_close(SentenceEncoder().encode(TEXTS), reference, atol=1e-5, rtol=1e-4)


def test_missing_package_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(EncoderError, match=r"pip install 'lerf\[offline\]'"):
        find_model()
