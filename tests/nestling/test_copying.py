import pytest
from hypothesis import given
from hypothesis import strategies as st

from nestling.corpus.cleaning import words
from nestling.corpus.copying import copied_share


@pytest.mark.parametrize(
    ("query", "share"),
    [
        ("il mulino macina il grano", 1.0),
        ("Il MULINO, macina!", 1.0),
        ("mulino il macina", 1 / 3),
        ("quando il mulino macina", 3 / 4),
        ("mulin", 0.0),
        ("lino macina", 1 / 2),
        ("?", 0.0),
        ("", 0.0),
    ],
)
def test_copied_share_is_the_longest_run_of_whole_words(query, share):
    assert copied_share(query, "il mulino macina il grano") == pytest.approx(share)


parts = st.lists(st.sampled_from(["il", "mulino", "pane", "e"]), max_size=7).map(" ".join)


@given(parts, parts)
def test_copied_share_is_what_trying_every_run_gives(query, passage):
    asked, text = words(query), f" {passage} "
    runs = [
        j - i for i in range(len(asked)) for j in range(i + 1, len(asked) + 1) if f" {' '.join(asked[i:j])} " in text
    ]
    assert copied_share(query, passage) == max(runs, default=0) / max(len(asked), 1)
