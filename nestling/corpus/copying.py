"""How much of a query is copied from its passage."""

from nestling.corpus.cleaning import words


def copied_share(query: str, passage: str) -> float:
    """Return the longest run of the query's words that stands in the passage, as a share of the query's words."""
    asked, text = words(query), f" {' '.join(words(passage))} "
    if not asked:
        return 0.0
    best = 0
    for start in range(len(asked)):
        while start + best < len(asked) and f" {' '.join(asked[start : start + best + 1])} " in text:
            best += 1
    return best / len(asked)
