"""What a judged thing is in truth, when the people who judge it err: draws from a model of annotators.

Dawid and Skene, "Maximum likelihood estimation of observer error-rates using the EM algorithm" (1979): each person has
a chance to see what is there and a chance to pass over what is not, whatever the others say, and the truth of each
thing is unknown. Here all of it is drawn from its distribution given the answers (Gibbs sampling), so that what is not
known about people goes into what is not known about things. A person's chances can be told only from things that
somebody else judged, too; those of a person who shares none are taken from a colleague, by lot, draw by draw. Where
nobody shares anything, people's word is all there is, and it is taken as it stands.

Knows votes in arrays; nothing of queries, rounds or files.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.special import expit


@dataclass(frozen=True)
class Reading:
    """Beta distributions of the chances before any answer: to see what is there, and to pass over what is not."""

    sees: tuple[float, float]
    passes: tuple[float, float]


# The answers of two people do not say whether what they tie on are false alarms or oversights, and few answers of
# three hardly do. So all is read both ways, and an interval reaches from one to the other: benchmarks/audit.py.
READINGS = (Reading(sees=(12.0, 1.0), passes=(4.0, 1.0)), Reading(sees=(2.0, 1.0), passes=(60.0, 1.0)))
_PREVALENCE = 0.5  # Jeffreys
CHAINS, BURN, KEPT, APART = 50, 100, 4, 15  # independent chains, steps before the first draw, draws of each, between
_EDGE = 1e-9


@dataclass(frozen=True)
class Votes:
    """What people said of things.

    Attributes:
        said: [things, people] 1 for yes, 0 for no, -1 where somebody did not say.
        group: [things] number of the group, each of which has a share of its own of what is there.
        settled: [things] 1 or 0 where the truth is known, as by a referee, else -1.
    """

    said: np.ndarray
    group: np.ndarray
    settled: np.ndarray

    def sharing(self) -> np.ndarray:
        """Return [people] who judged a thing that somebody else judged, too, or whose truth is known."""
        judged = self.said >= 0
        shared = judged & ((judged.sum(axis=1) > 1) | (self.settled >= 0))[:, None]
        return np.asarray(shared.any(axis=0))


@dataclass(frozen=True)
class Truths:
    """What things may be in truth.

    Attributes:
        labels: [readings, draws, things]; one of each where people's word is taken as it stands, a tie as no.
        missed: chance that a person passes over what is there, mean over people and draws; None where not known.
        false_alarms: chance that a person sees what is not there, likewise.
    """

    labels: np.ndarray
    missed: float | None
    false_alarms: float | None


@dataclass(frozen=True)
class _Patterns:
    """Things that nothing tells apart, counted.

    Attributes:
        yes, no: [patterns, people] who says what.
        member: [patterns, groups] 1 for the group.
        known: [patterns] infinite log odds where the truth is known, else 0.
        count: [patterns] things.
        place: [things] number of the pattern.
    """

    yes: np.ndarray
    no: np.ndarray
    member: np.ndarray
    known: np.ndarray
    count: np.ndarray
    place: np.ndarray


def truths(votes: Votes, seed: int) -> Truths:
    """Return draws of what each thing is in truth.

    Args:
        votes: of people who answered unprompted.
        seed: of the draws.
    """
    lending = votes.sharing()
    if not lending.any():
        yes, people = (votes.said == 1).sum(axis=1), (votes.said >= 0).sum(axis=1)
        said = np.where(votes.settled >= 0, votes.settled == 1, 2 * yes > people)
        return Truths(said[None, None], None, None)
    seen = _counted(votes)
    read = [_drawn(seen, lending, reading, np.random.default_rng(seed)) for reading in READINGS]
    missed, alarms = np.mean([chances for _, chances in read], axis=(0, 1))
    return Truths(np.stack([labels for labels, _ in read]), float(missed), float(alarms))


def _drawn(
    seen: _Patterns, lending: np.ndarray, reading: Reading, draws: np.random.Generator
) -> tuple[np.ndarray, list[tuple[float, float]]]:
    """Return [draws, things] what they are, and the mean chances to miss and to be wrong of each draw's people."""
    labels, chances = [], []
    for step, (odds, sees, passes) in enumerate(_chains(seen, lending, reading, draws)):
        if step >= BURN and (step - BURN) % APART == 0:
            labels.append(draws.random((CHAINS, len(seen.place))) < expit(odds)[:, seen.place])
            chances.append((float(1 - sees[:, lending].mean()), float(1 - passes[:, lending].mean())))
        if len(labels) == KEPT:
            break
    return np.concatenate(labels), chances


def _counted(votes: Votes) -> _Patterns:
    rows = np.column_stack([votes.said, votes.settled, votes.group]).astype(np.int64)
    kinds, place, count = np.unique(rows, axis=0, return_inverse=True, return_counts=True)
    said, settled, group = kinds[:, :-2], kinds[:, -2], kinds[:, -1]
    return _Patterns(
        yes=(said == 1).astype(np.float64),
        no=(said == 0).astype(np.float64),
        member=np.eye(int(group.max()) + 1)[group],
        known=np.select([settled == 1, settled == 0], [np.inf, -np.inf], 0.0),
        count=count,
        place=place.ravel(),
    )


def _chains(
    seen: _Patterns, lending: np.ndarray, reading: Reading, draws: np.random.Generator
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield, step by step, [chains, patterns] log odds of yes and [chains, people] chances to see and to pass over."""
    people, groups = seen.yes.shape[1], seen.member.shape[1]
    sees, passes = (_within(draws.beta(*prior, (CHAINS, people))) for prior in (reading.sees, reading.passes))
    share = _within(draws.beta(1, 9, (CHAINS, groups)))  # a start, which the steps before the first draw forget
    while True:
        sees, passes = _lent(sees, passes, lending, draws)
        odds = _odds(seen, share, sees, passes)
        yield odds, sees, passes
        there = draws.binomial(seen.count, expit(odds)).astype(np.float64)
        absent = seen.count - there
        counts = [
            np.einsum("cp,pn->cn", one, by)
            for one, by in (
                (there, seen.member),
                (absent, seen.member),
                (there, seen.yes),
                (there, seen.no),
                (absent, seen.no),
                (absent, seen.yes),
            )
        ]
        share = _within(draws.beta(_PREVALENCE + counts[0], _PREVALENCE + counts[1]))
        sees = _within(draws.beta(reading.sees[0] + counts[2], reading.sees[1] + counts[3]))
        passes = _within(draws.beta(reading.passes[0] + counts[4], reading.passes[1] + counts[5]))


def _odds(seen: _Patterns, share: np.ndarray, sees: np.ndarray, passes: np.ndarray) -> np.ndarray:
    by_yes, by_no = np.log(sees) - np.log1p(-passes), np.log1p(-sees) - np.log(passes)
    prior = np.einsum("cg,pg->cp", np.log(share) - np.log1p(-share), seen.member)
    said = np.einsum("cn,pn->cp", by_yes, seen.yes) + np.einsum("cn,pn->cp", by_no, seen.no)
    return np.asarray(np.where(np.isinf(seen.known), seen.known, prior + said))


def _lent(
    sees: np.ndarray, passes: np.ndarray, lending: np.ndarray, draws: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return the chances with those of people who share nothing taken from somebody who does."""
    if lending.all():
        return sees, passes
    lender = draws.choice(np.flatnonzero(lending), (CHAINS, len(lending)))
    lender = np.where(lending, np.arange(len(lending)), lender)
    return np.take_along_axis(sees, lender, axis=1), np.take_along_axis(passes, lender, axis=1)


def _within(chance: np.ndarray) -> np.ndarray:
    return np.asarray(np.clip(chance, _EDGE, 1 - _EDGE))
