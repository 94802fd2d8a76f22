"""Print how often the interval of the false-negative rate holds the true rate, when the people who judge err.

    python benchmarks/audit.py                                          all cells, 100 audits each: half an hour
    python benchmarks/audit.py --people 2 --errors 0.2/0.005 --rates 0.1 --audits 100
    python benchmarks/audit.py --plan                                   how good the planned numbers of queries are

Each audit is drawn anew: 60 queries of 9,000 in three strata of unlike rates, four negatives a query, correlated by .2
within it; every negative is judged by so many people (`2r`: by two, and what they tie on by a referee), who err
independently: `--errors` are their chances to miss an answer and to raise a false alarm. Compared are the rate and
interval of `nestling.review.audit` and the rate of what most people say, ties left out. Of one person alone the errors
cannot be known, and the true rate is then what that person would say of all negatives.
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from nestling.review.annotators import Votes, truths
from nestling.review.audit import Judged, Rate, false_negative_rate
from nestling.review.planning import more_queries

STRATA, TAKEN, NEGATIVES, CORRELATION = 3, 20, 4, 0.2
SLOPE = (1.6, 1.0, 0.4)  # of the strata's rates
POPULATION = {str(stratum): 3000 for stratum in range(STRATA)}
RATES = (0.02, 0.05, 0.1, 0.3)
ERRORS = ((0.2, 0.005), (0.4, 0.01), (0.1, 0.02), (0.05, 0.05), (0.1, 0.1))


@dataclass(frozen=True)
class Crew:
    """People who judge.

    Attributes:
        people: a negative.
        referee: whether one settles what they tie on.
        missed: chance to miss an answer, of each.
        alarms: chance of a false alarm, of each.
    """

    people: int
    referee: bool
    missed: float
    alarms: float

    def truth(self, rate: float) -> float:
        """Return the rate that can be known."""
        return rate if self.people > 1 else rate * (1 - self.missed) + (1 - rate) * self.alarms


def drawn(rate: float, crew: Crew, taken: int, draws: np.random.Generator) -> tuple[Votes, pl.DataFrame]:
    """Return the votes of an audit with so many queries a stratum, and its negatives."""
    stratum = np.repeat(np.arange(STRATA), taken)
    mean = rate * np.array(SLOPE)[stratum]
    chance = draws.beta(mean * (1 / CORRELATION - 1), (1 - mean) * (1 / CORRELATION - 1))
    query = np.repeat(np.arange(len(stratum)), NEGATIVES)
    true = draws.random(len(query)) < chance[query]
    says = np.where(true[:, None], 1 - crew.missed, crew.alarms)
    said = (draws.random((len(query), crew.people)) < says).astype(np.int8)
    twice, settled = 2 * said.sum(axis=1), np.full(len(query), -1, dtype=np.int8)
    tied = twice == crew.people
    if crew.referee:
        settled[tied] = true[tied]
    relevant = np.where(tied, np.where(settled >= 0, settled, -1), twice > crew.people)
    rows = pl.DataFrame(
        {
            "record_id": [f"{number:06}" for number in query],
            "stratum": stratum[query].astype(str),
            "relevant": pl.Series(relevant).cast(pl.Int8).replace(-1, None).cast(pl.Boolean),
        }
    )
    return Votes(said, stratum[query], settled), rows


def audits(rate: float, crew: Crew, number: int, taken: int, seed: int = 0) -> Iterator[tuple[Rate, float]]:
    """Yield the estimate of each audit, and the rate of what most people say."""
    draws = np.random.default_rng(seed)
    for _ in range(number):
        votes, rows = drawn(rate, crew, taken, draws)
        labels = truths(votes, int(draws.integers(2**31))).labels
        found = false_negative_rate(Judged(rows, labels), POPULATION)
        yield found, float(rows["relevant"].mean() or 0.0)  # type: ignore[arg-type]


def tell(rate: float, crew: Crew, number: int) -> None:
    """Print a line: coverage, misses on either side, mean width, mean estimates."""
    told = [(one.low, one.high, one.rate, plain) for one, plain in audits(rate, crew, number, TAKEN)]
    low, high, estimate, plain = np.array(told, dtype=np.float64).T
    truth = crew.truth(rate)
    below, above = np.mean(truth < low), np.mean(truth > high)
    print(
        f"{crew.people}{'r' if crew.referee else ' '}  {crew.missed:4.2f}/{crew.alarms:5.3f}  {truth:5.3f}   "
        f"{1 - below - above:5.3f} ({below:.3f} {above:.3f})  {np.mean(high - low):.3f}   "
        f"{estimate.mean():.3f}   {plain.mean():.3f}",
        flush=True,
    )


def plan(number: int, width: float = 0.1) -> None:
    """Print what width the planned number of queries gives, by where the audit stands when it is planned."""
    for rate in RATES:
        crew = Crew(1, False, 0.0, 0.0)
        for taken in (5, 20):
            wanted = [one.judged_queries + more_queries(one, width) for one, _ in audits(rate, crew, number, taken)]
            then = [
                float(one.high) - float(one.low)  # type: ignore[arg-type]
                for place, total in enumerate(wanted)
                for one, _ in audits(rate, crew, 1, max(1, -(-total // STRATA)), seed=place + 1)
            ]
            print(
                f"rate {rate}, {taken * STRATA} queries judged: {np.median(wanted):.0f} planned "
                f"({min(wanted)} to {max(wanted)}) for a width of {width}; then it is {np.median(then):.3f} "
                f"({np.quantile(then, 0.1):.3f} to {np.quantile(then, 0.9):.3f})",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", nargs="*", default=["1", "2", "2r", "3"])
    parser.add_argument("--errors", nargs="*", default=[f"{missed}/{alarms}" for missed, alarms in ERRORS])
    parser.add_argument("--rates", nargs="*", type=float, default=list(RATES))
    parser.add_argument("--audits", type=int, default=100)
    parser.add_argument("--plan", action="store_true")
    options = parser.parse_args()
    if options.plan:
        plan(options.audits)
        return
    print("people  errors     true   covered (below above)  width   rate    majority's")
    for people in options.people:
        for errors in options.errors:
            missed, alarms = map(float, errors.split("/"))
            for rate in options.rates:
                tell(rate, Crew(int(people[0]), people.endswith("r"), missed, alarms), options.audits)


if __name__ == "__main__":
    main()
