from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nestling.corpus.splits import assign

MANY = [f"documento {number}" for number in range(4000)]


def test_shares_come_out_as_asked():
    counts = Counter(assign(MANY, 0.05, 0.1, 1).values())
    assert abs(counts["dev"] / 4000 - 0.05) < 0.02
    assert abs(counts["test"] / 4000 - 0.1) < 0.02


def test_another_seed_draws_another_split():
    assert assign(MANY, 0.05, 0.05, 1) != assign(MANY, 0.05, 0.05, 2)


def test_adding_documents_moves_no_old_group():
    old, new = assign(MANY[:500], 0.05, 0.05, 1), assign(MANY, 0.05, 0.05, 1)
    assert {group: new[group] for group in old} == old


def test_a_small_set_still_has_something_held_out():
    assert sorted(assign(["a", "b", "c"], 0.05, 0.05, 1).values()) == ["dev", "test", "train"]


def test_nothing_is_held_out_unasked():
    assert set(assign(MANY, 0.0, 0.0, 1).values()) == {"train"}
    assert set(assign(["a", "b"], 0.0, 0.05, 1).values()) == {"train", "test"}


@pytest.mark.parametrize("seed", range(20))
def test_a_lone_group_is_trained_on(seed):
    assert assign(["a", "a"], 0.4, 0.4, seed) == {"a": "train"}


def test_no_groups_have_no_splits():
    assert assign([], 0.05, 0.05, 1) == {}


@given(st.lists(st.text(), min_size=2), st.integers())
def test_order_and_repetition_of_groups_change_nothing(groups, seed):
    assert assign(groups, 0.1, 0.1, seed) == assign([*reversed(groups), *groups], 0.1, 0.1, seed)


shares = st.floats(0.01, 0.49)


@given(st.sets(st.text(), min_size=1), shares, shares, st.integers())
def test_something_is_always_trained_on(groups, dev_share, test_share, seed):
    assert "train" in assign(groups, dev_share, test_share, seed).values()


@given(st.sets(st.text()), st.sets(st.text()), shares, shares, st.integers())
def test_new_groups_move_at_most_the_three_that_stood_in_for_an_empty_split(old, new, dev_share, test_share, seed):
    before, after = (assign(groups, dev_share, test_share, seed) for groups in (old, old | new))
    assert sum(before[group] != after[group] for group in old) <= 3
