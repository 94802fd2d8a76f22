import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nestling.corpus.duplicates import cross_duplicates, groups, near_duplicates, shingles

BASE = "il mulino apre alle nove e chiude alle sei ma la domenica il mugnaio riposa con la sua famiglia"


def places(pairs):
    return [(pair.left, pair.right) for pair in pairs]


def jaccard(one, other):
    return len(shingles(one) & shingles(other)) / len(shingles(one) | shingles(other))


def test_case_and_punctuation_do_not_hide_a_copy():
    (pair,) = near_duplicates([BASE, "tutt'altro testo su altre cose", BASE.upper() + "!"], 0.9)
    assert (pair.left, pair.right, pair.similarity) == (0, 2, 1.0)


def test_same_words_in_another_order_are_no_copy():
    assert near_duplicates([BASE, " ".join(sorted(BASE.split()))], 0.5) == []


def test_every_copy_of_a_copy_is_named():
    assert sorted(places(near_duplicates([BASE] * 3, 0.8))) == [(0, 1), (0, 2), (1, 2)]


def test_texts_without_words_are_alike_only_if_equal():
    assert places(near_duplicates(["...", "!!!", " ... ", ""], 0.8)) == [(0, 2)]


@pytest.mark.parametrize("threshold", [0.01, 0.5, 0.8, 0.95, 1.0])
def test_every_threshold_that_a_parameter_may_hold_finds_exact_copies(threshold):
    assert (0, 1) in places(near_duplicates([BASE, BASE, "un altro testo"], threshold))


def test_similarity_reaches_the_threshold_and_no_likelier_pair_is_missed():
    draw = random.Random(7)
    texts = []
    for _ in range(200):
        parts = BASE.split()
        for _ in range(draw.randint(0, 6)):
            parts[draw.randrange(len(parts))] = draw.choice(["gatto", "cane", "lupo", "gufo"])
        texts.append(" ".join(parts))
    found = set(places(near_duplicates(texts, 0.6)))
    truth = {(i, j) for j in range(200) for i in range(j) if jaccard(texts[i], texts[j]) >= 0.6}
    assert found <= truth
    assert len(found) > 0.99 * len(truth)


def test_across_two_lists_only_pairs_of_both_count():
    found = cross_duplicates([BASE, BASE, "altro testo qui"], ["nulla di simile", BASE], 0.8)
    assert sorted(places(found)) == [(0, 1), (1, 1)]
    assert cross_duplicates([], [BASE], 0.8) == cross_duplicates([BASE], [], 0.8) == []


def test_groups_are_named_by_their_smallest_member():
    assert groups(6, [(4, 2), (5, 4), (1, 0)]) == [0, 0, 2, 3, 2, 2]


links = st.integers(1, 12).flatmap(
    lambda size: st.tuples(
        st.just(size), st.lists(st.tuples(st.integers(0, size - 1), st.integers(0, size - 1)), max_size=15)
    )
)


@given(links, st.randoms())
def test_groups_join_what_is_linked_in_any_order_of_links(case, draw):
    size, pairs = case
    found = groups(size, pairs)
    draw.shuffle(pairs)
    assert groups(size, pairs) == found
    assert all(found[one] == found[other] for one, other in pairs)
    assert len(set(found)) >= size - len(pairs)
