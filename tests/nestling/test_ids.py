import re

from hypothesis import given
from hypothesis import strategies as st

from nestling.corpus.ids import content_id


@given(st.lists(st.text()))
def test_an_id_is_twenty_hex_characters_whatever_the_text(parts):
    assert re.fullmatch(r"[0-9a-f]{20}", content_id(*parts))


@given(st.lists(st.text(max_size=3), max_size=4), st.lists(st.text(max_size=3), max_size=4))
def test_two_ids_agree_only_where_all_parts_agree(left, right):
    assert (content_id(*left) == content_id(*right)) == (left == right)


def test_the_border_between_parts_counts():
    assert len({content_id("ab", "c"), content_id("a", "bc"), content_id("abc"), content_id("ab\0c")}) == 4


def test_an_id_does_not_change_from_release_to_release():
    assert content_id("La volpe", "dorme") == "5f2ff026a7319ac1ded4"


def test_half_a_surrogate_pair_has_an_id():
    assert content_id("\ud800") != content_id("\ud801")
