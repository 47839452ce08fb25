"""What people type: split into phrases, and written as text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lerf.errors import QueryError
from lerf.viewer.prompt import MOST_PHRASES, escaped, label, split_phrases


def test_phrases_are_split_tidied_and_blanks_left_out():
    assert split_phrases(" red  mug ;; blue\tcup;") == ("red mug", "blue cup")
    assert split_phrases(" ;\n; ") == ()
    with pytest.raises(QueryError, match=str(MOST_PHRASES)):
        split_phrases(";".join("ab" for _ in range(MOST_PHRASES + 1)))


@given(st.text(max_size=300))
def test_what_people_type_cannot_become_markup(text):
    written = escaped(text)
    assert not set('<>"') & set(written)
    assert len(label(text)) <= 32
