from dataclasses import replace

import numpy as np
import pytest

from benchmarks.audit import Crew, audits
from nestling.review.planning import more_queries, more_records

SURE = Crew(1, False, 0.0, 0.0)


@pytest.mark.parametrize(("rate", "taken"), [(0.05, 5), (0.3, 20)])
def test_so_many_more_queries_make_an_interval_of_about_that_width(rate, taken):
    plans = [one.judged_queries + more_queries(one, 0.1) for one, _ in audits(rate, SURE, 20, taken)]
    planned = int(np.median(plans))
    widths = [one.high - one.low for one, _ in audits(rate, SURE, 20, -(-planned // 3), seed=1)]
    assert 0.06 < np.median(widths) < 0.14


def test_the_narrower_the_more_and_what_is_narrow_enough_takes_none():
    (one, _), *_ = audits(0.1, SURE, 1, 20)
    wanted = [more_queries(one, width) for width in (0.05, 0.1, 0.9)]
    assert wanted[0] > wanted[1]
    assert wanted[2] == 0


def test_no_more_queries_are_asked_for_than_there_are():
    (one, _), *_ = audits(0.3, SURE, 1, 20)
    assert more_queries(one, 0.001) == 9000 - 60


def test_records_go_by_the_square_of_the_width():
    assert more_records({"records": 10, "low": 0.2, "high": 0.6}, 0.1) == 150
    assert more_records({"records": 10, "low": 0.2, "high": 0.25}, 0.1) == 0
    assert more_records({"records": 1, "low": None, "high": None}, 0.1) is None


def test_where_every_query_is_judged_no_more_are_asked_for():
    (one, _), *_ = audits(0.3, SURE, 1, 20)
    judged = tuple(replace(stratum, population=stratum.judged_queries) for stratum in one.strata)
    assert more_queries(replace(one, strata=judged), 0.001) == 0
