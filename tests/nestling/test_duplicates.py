import random
from cProfile import Profile
from pstats import Stats

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nestling.corpus.duplicates import _index, clusters, cross_duplicates, groups, shingles

BASE = "il mulino apre alle nove e chiude alle sei ma la domenica il mugnaio riposa con la sua famiglia"


def places(pairs):
    return [(pair.left, pair.right) for pair in pairs]


def jaccard(one, other):
    return len(shingles(one) & shingles(other)) / len(shingles(one) | shingles(other))


def test_case_and_punctuation_do_not_hide_a_copy():
    assert clusters([BASE, "tutt'altro testo su altre cose", BASE.upper() + "!"], 0.9) == [0, 1, 0]


def test_same_words_in_another_order_are_no_copy():
    assert clusters([BASE, " ".join(sorted(BASE.split()))], 0.5) == [0, 1]


def test_texts_without_words_are_alike_only_if_equal():
    assert clusters(["...", "!!!", " ... ", ""], 0.8) == [0, 1, 0, 3]


@pytest.mark.parametrize("threshold", [0.01, 0.5, 0.8, 0.95, 1.0])
def test_every_threshold_that_a_parameter_may_hold_finds_exact_copies(threshold):
    assert clusters([BASE, BASE, "un altro testo"], threshold)[:2] == [0, 0]


def reworded(size, most, seed=7):
    draw = random.Random(seed)
    texts = []
    for _ in range(size):
        parts = BASE.split()
        for _ in range(draw.randint(0, most)):
            parts[draw.randrange(len(parts))] = draw.choice(["gatto", "cane", "lupo", "gufo"])
        texts.append(" ".join(parts))
    return texts


def test_texts_are_linked_as_comparing_each_with_each_would_link_them():
    texts = [*reworded(120, 12), *(f"{text} ma {n}" * 2 for n, text in enumerate(reworded(40, 12, seed=8)))]
    truth = groups(160, [(i, j) for j in range(160) for i in range(j) if jaccard(texts[i], texts[j]) >= 0.6])
    assert clusters(texts, 0.6) == truth
    assert 2 < len(set(truth)) < 120


def test_pages_of_a_template_are_compared_with_a_few_others_not_with_all():
    names = [f"{first}{second}" for first in "abcdefghij" for second in "klmnopqrst"]
    profile = Profile()
    found = profile.runcall(clusters, [BASE.replace("mulino", name) for name in names], 0.8)
    calls = {name: times for (_, _, name), (_, times, *_) in Stats(profile).stats.items()}
    assert set(found) == {0}
    assert calls["_jaccard"] < 300  # of 4,950 two by two


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


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.7, 0.8, 0.9, 1.0])
def test_of_pairs_at_the_threshold_fewer_than_one_in_a_thousand_are_passed_over(threshold):
    index = _index(threshold)
    assert (1 - threshold**index.r) ** index.b < 0.001
