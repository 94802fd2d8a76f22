"""Whose queries a suite asks, and so how far up it stands: what people wrote comes first, what a program made last.

Knows names alone and loads nothing, so that every command can ask.
"""

RECORDED, GENERATED = "heldout.recorded", "heldout.generated"  # of the set's test split; a user's name has no dot
HELD_OUT = (RECORDED, GENERATED)
BLIND = (
    "A program made these queries from the very passages that answer them, so they repeat the passages' words: they "
    "flatter every system, most of all those that match words, and cannot tell whether people's queries are answered "
    "better. Measured on QA4FAQ, an Italian FAQ, at 256 dimensions: tuned less base +.004 to +.012 by nDCG@10 on "
    "queries cut out of the passages, -.009 to +.013 on people's."
)


def by_people(suite: str) -> bool:
    """Return whether people wrote the suite's queries."""
    return suite != GENERATED


def standing(suite: str) -> tuple[int, str]:
    """Return the key by which suites are sorted: those that were brought, heldout.recorded, heldout.generated."""
    return (HELD_OUT.index(suite) + 1 if suite in HELD_OUT else 0), suite


def called(suite: str) -> str:
    """Return the suite's name, and what it is where a program made its queries."""
    return suite if by_people(suite) else f"{suite} (queries made by a program)"
