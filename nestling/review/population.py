"""Whose queries go to people, and what a rate speaks of."""

from collections.abc import Mapping, Sequence

import polars as pl

CUT_OUT = "extractive"  # the one origin whose queries nobody asked: words and phrases cut out of the passage


def asked(queries: pl.DataFrame, origins: Sequence[str]) -> pl.DataFrame:
    """Return the queries of the preferred origins, or all where there are none of these."""
    preferred = queries.filter(pl.col("origin").is_in(list(origins)))
    return queries if preferred.is_empty() else preferred


def by_origin(queries: pl.DataFrame) -> dict[str, int]:
    """Return how many queries there are of each origin."""
    return dict(queries["origin"].value_counts().sort("origin").iter_rows())


def named(origins: Mapping[str, int]) -> str:
    """Return queries by origin in words."""
    told = [
        f"{number} queries cut out of the passages" if origin == CUT_OUT else f"{number} {origin} queries"
        for origin, number in origins.items()
    ]
    return " and ".join([", ".join(told[:-1]), told[-1]] if len(told) > 1 else told or ["no queries"])
