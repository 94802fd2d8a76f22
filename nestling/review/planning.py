"""How many more judgements an interval of a wished-for width takes, if what comes is like what came.

An interval narrows as the number of judgements grows, by the estimator's own formula for the false-negative rate and
by the square root for agreement. A handful of judgements says little of the rate and of how clustered it is, and so
plans badly: plan again on the way. `benchmarks/audit.py --plan` measures how well.
"""

from collections.abc import Mapping
from math import ceil
from typing import Any

import numpy as np

from nestling.review.audit import Rate, interval

_MOST = 1e9  # judgements
_HALVINGS = 60  # of what a number of judgements may be, on a scale of logarithms


def more_queries(found: Rate, width: float) -> int | None:
    """Return how many more queries must be audited; None where none was, all that are left where it takes more.

    Where people err that is rather too few: what is not known about their errors shrinks slower than by the number.

    Args:
        found: the rate so far.
        width: of the 95% interval.
    """
    if found.rate is None or found.low is None or found.high is None or found.effective_negatives is None:
        return None if found.rate is None else 0
    if found.high - found.low <= width:
        return 0
    known = _judgements(found.rate, found.high - found.low)
    rate = (found.rate * known + 0.5) / (known + 1)  # next time it may not be 0
    wanted = found.judged_queries * _judgements(rate, width) / known
    left = sum(each.population for each in found.strata) - found.judged_queries
    return min(left, max(1, ceil(wanted) - found.judged_queries))


def more_records(found: Mapping[str, Any], width: float) -> int | None:
    """Return how many more records two people must answer; None where agreement has no interval.

    Args:
        found: `records`, and the ends `low` and `high` of an agreement's 95% interval.
        width: wished for.
    """
    if found["low"] is None:
        return None
    more: float = found["records"] * (((found["high"] - found["low"]) / width) ** 2 - 1)
    return max(0, ceil(more))


def _judgements(rate: float, width: float) -> float:
    """Return how many independent judgements give an interval of that width at that rate."""
    low, high = 0.0, np.log(_MOST)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        ends = interval(np.array([rate]), np.array([np.exp(middle)]))
        low, high = (middle, high) if ends[1] - ends[0] > width else (low, middle)
    return float(np.exp(high))
