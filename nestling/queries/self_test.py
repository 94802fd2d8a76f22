"""Whether a judge can judge: its grades for queries beside their own passages and beside others'.

A judge that copies an example's grades, or throws dice, is found out before it is asked about all queries. What counts
is the grade for `answerable`, the one that a wrong passage must lower; that the score, which all criteria make, says
something is asked besides. Grades for fluency and language may rise beside the right passage for no good reason
(docs/log.md, 2026-11-28).
"""

from dataclasses import dataclass
from typing import Any

import polars as pl

from nestling.corpus.ids import content_id
from nestling.errors import UserError
from nestling.evaluation.auc import auc

TESTED = 40  # queries: a judge whose AUC is .7 then passes about nine times in ten, one that throws dice once in forty
FEWEST = 20  # of which nothing can be told
_REPLICATES = 2000
_OTHER = "take another model, or judge: {kind: none}"


@dataclass(frozen=True)
class SelfTest:
    """What came of it.

    Attributes:
        queries: that were graded beside both passages.
        auc: chance that a query is more `answerable` beside its own passage than beside another's, ties counted half
            (Mann and Whitney 1947); None where there are too few queries to tell.
        low, high: its 95% interval, from a bootstrap over queries.
        varies: whether there is more than one score.
    """

    queries: int
    auc: float | None
    low: float | None
    high: float | None
    varies: bool

    def report(self) -> dict[str, Any]:
        """Return the figures."""
        return {"queries": self.queries, "auc": self.auc, "auc_low": self.low, "auc_high": self.high}


def drawn(rows: pl.DataFrame, languages: pl.DataFrame, seed: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return up to 40 queries with their own passages, and the same queries with the passage of another of them.

    A query's place in the draw hangs on no other query; the other passage is in the same language.

    Args:
        rows: text, passage_id; each pair once.
        languages: passage_id, language.
        seed: of the draw.

    Returns:
        Two frames like `rows`, in the same order.
    """
    places = [content_id(str(seed), *row) for row in rows.select("text", "passage_id").iter_rows()]
    spoken = dict(languages.select("passage_id", "language").iter_rows())
    first = rows.with_columns(drawn=pl.Series(places, dtype=pl.String)).sort("drawn").head(TESTED).drop("drawn")
    names = first["passage_id"].to_list()
    others = [_other(names, at, spoken) for at in range(len(names))]
    swapped = first.with_columns(other=pl.Series(others, dtype=pl.String))
    has_one = pl.col("other").is_not_null()
    own = swapped.filter(has_one).drop("other")
    return own, swapped.filter(has_one).with_columns(passage_id="other").drop("other")


def _other(names: list[str], at: int, spoken: dict[str, str]) -> str | None:
    """Return the next passage after a place, round the ring, that is another one in the same language."""
    ring = names[at + 1 :] + names[:at]
    return next((name for name in ring if name != names[at] and spoken[name] == spoken[names[at]]), None)


def measured(own: pl.DataFrame, swapped: pl.DataFrame, seed: int) -> SelfTest:
    """Return how well grades part own passages from others'; a query with a null on either side does not count.

    Args:
        own: answerable, judge_score of queries beside their own passages.
        swapped: the same of the same queries, in the same order, beside other passages.
        seed: of the bootstrap.
    """
    sides = (own.select("answerable", "judge_score"), swapped.select(wrong="answerable", wrong_score="judge_score"))
    both = pl.concat(sides, how="horizontal").drop_nulls()
    right, wrong = (both[name].cast(pl.Float64).to_numpy() for name in ("answerable", "wrong"))
    varies = both.select(pl.concat_list("judge_score", "wrong_score").explode().n_unique()).item() > 1
    if both.height < FEWEST:
        return SelfTest(both.height, None, None, None, varies)
    return SelfTest(both.height, *auc(right, wrong, seed, _REPLICATES, paired=True), varies)


def check_judge(found: SelfTest, judge: str) -> None:
    """Raise a UserError where a judge gives one score to everything, or no better grades to right passages."""
    if found.auc is None or found.low is None:
        return
    if not found.varies:
        raise UserError(
            f"generate.llm.judge: {judge} gives one and the same score to {found.queries} queries beside their own "
            f"passages and beside wrong ones: it does not judge; {_OTHER}"
        )
    if found.low <= 0.5:
        raise UserError(
            f"generate.llm.judge: {judge} cannot tell right passages from wrong ones (AUC {found.auc:.2f}, 95% "
            f"interval {found.low:.2f} to {found.high:.2f}, over {found.queries} queries): {_OTHER}"
        )
