import numpy as np
import pytest

from benchmarks.audit import Crew, audits
from nestling.review.annotators import Votes, truths

DRAWS = np.random.default_rng(3)


def votes(*rows, group=None, settled=None):
    """Votes of things: "yn-" is yes of the first person, no of the second, nothing of the third."""
    said = np.array([["ny".find(sign) for sign in row] for row in rows], dtype=np.int8)
    none = np.zeros(len(rows), dtype=np.int64)
    return Votes(said, none if group is None else np.array(group), none - 1 if settled is None else np.array(settled))


def chances(found):
    """How often each thing is drawn as yes."""
    return found.labels.mean(axis=(0, 1))


def test_where_nobody_shares_anything_people_s_word_is_taken_as_it_stands():
    found = truths(votes("y-", "n-", "-y", "-n"), seed=1)
    assert found.labels.tolist() == [[[True, False, True, False]]]
    assert (found.missed, found.false_alarms) == (None, None)


def test_nothing_judged_is_nothing_known():
    assert truths(Votes(np.zeros((0, 0), np.int8), np.zeros(0, np.int64), np.zeros(0, np.int8)), 1).labels.size == 0


def test_what_a_referee_settled_is_so_in_every_draw():
    rows = ["yn"] * 4 + ["nn"] * 20
    found = truths(votes(*rows, settled=[1, 1, 0, -1] + [-1] * 20), seed=1)
    assert chances(found)[:3].tolist() == [1, 1, 0]
    assert 0 < chances(found)[3] < 1


def test_a_tie_is_the_less_certain_the_more_there_are():
    few, many = (chances(truths(votes(*["yy"] * 12, *["yn"] * ties, *["nn"] * 60), seed=1)) for ties in (1, 20))
    assert (few[:12] > many[:12]).all()  # two who tie on so much may be wrong together
    assert 0 < many[-1] < 0.2
    assert few[-1] < many[-1]


def test_three_people_s_errors_are_told_from_their_answers():
    true = DRAWS.random(1500) < 0.3
    said = DRAWS.random((1500, 3)) < np.where(true[:, None], [0.9, 0.7, 0.8], [0.02, 0.05, 0.01])
    found = truths(Votes(said.astype(np.int8), np.zeros(1500, np.int64), np.full(1500, -1)), seed=1)
    assert found.missed == pytest.approx(0.2, abs=0.05)
    assert found.false_alarms == pytest.approx(0.027, abs=0.015)
    assert chances(found).mean() == pytest.approx(true.mean(), abs=0.02)


def test_who_shares_nothing_is_held_to_err_as_the_others_do():
    shared = ["yy-"] * 20 + ["yn-"] * 20 + ["nn-"] * 60
    alone = truths(votes(*shared, "--y", "--n"), seed=1)
    assert 0.3 < chances(alone)[-2] <= 1
    assert 0 < chances(alone)[-1] < 0.5
    assert alone.missed > 0.1


def test_each_group_has_a_share_of_its_own():
    found = truths(votes(*["yy"] * 30, *["nn"] * 10, "yn", *["nn"] * 40, "yn", group=[0] * 41 + [1] * 41), seed=1)
    assert chances(found)[40] > chances(found)[-1]


def test_the_same_seed_draws_the_same():
    same = [truths(votes("yy", "yn", "nn"), seed).labels for seed in (1, 1, 2)]
    assert (same[0] == same[1]).all()
    assert (same[0] != same[2]).any()


@pytest.mark.parametrize(
    ("crew", "rate", "majority"),
    [
        (Crew(2, False, 0.2, 0.005), 0.1, 0.069),
        (Crew(2, True, 0.2, 0.005), 0.1, None),
        (Crew(3, False, 0.1, 0.1), 0.3, None),
    ],
)
def test_the_interval_holds_the_true_rate_though_people_err(crew, rate, majority):
    """A few of the audits of benchmarks/audit.py."""
    told = list(audits(rate, crew, 10, 20))
    assert sum(one.low <= rate <= one.high for one, _ in told) >= 8
    if majority:  # what most people say, ties left out, is too low
        plain, estimate = np.mean([plain for _, plain in told]), np.mean([one.rate for one, _ in told])
        assert plain == pytest.approx(majority, abs=0.015)
        assert plain + 0.01 < estimate <= rate + 0.01


def test_the_rate_of_one_person_alone_is_the_rate_that_this_person_sees():
    crew = Crew(1, False, 0.2, 0.02)
    told = [one for one, _ in audits(0.1, crew, 150, 20)]
    assert np.mean([one.low <= crew.truth(0.1) <= one.high for one in told]) >= 0.93
