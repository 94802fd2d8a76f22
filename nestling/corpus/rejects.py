"""What a reader of source data left out, and why, on its way to the table Rejected."""

from collections.abc import Iterable
from typing import NamedTuple

import polars as pl

from nestling.tables.corpus import Rejected
from nestling.tables.io import empty
from nestling.tables.sieve import EXCERPT


class Reject(NamedTuple):
    """One thing that was left out; the fields are the columns of Rejected."""

    item: str
    item_id: str
    reason: str
    detail: str = ""
    text: str = ""


def rejects_frame(rejects: Iterable[Reject]) -> pl.DataFrame:
    """Return the rejects as the table Rejected, of each text its beginning."""
    rows = [reject._replace(text=reject.text[:EXCERPT]) for reject in rejects]
    return pl.DataFrame(rows, schema=empty(Rejected).schema, orient="row")
