"""What a tuned encoder was not measured on and cannot do, in plain sentences."""

from collections.abc import Iterator, Mapping, Sequence

from nestling.reporting.markdown import escape
from nestling.reporting.results import ENOUGH, SuiteResult

HELDOUT = "heldout"
WRITTEN = "recorded"  # the one origin whose queries people wrote
STATIC = (
    "A static encoder knows no word order (who does what to whom is lost), and nothing of a word that it never saw in "
    "corpus or training queries, beyond the parts it shares with others; a query of nothing but such words has no "
    "direction."
)


def limits_section(
    kind: str, languages: Mapping[str, int], results: Sequence[SuiteResult], heldout: Mapping[str, int]
) -> str:
    """Return the limits as a Markdown list.

    Args:
        kind: of the base encoder.
        languages: passages by language.
        results: of the evaluation.
        heldout: queries of the held-out suite by origin.
    """
    said = [
        f"Languages: {', '.join(map(escape, languages))}. Nothing is known of any other.",
        "Domain: the documents of this set. On other subjects measure first; nothing here carries over by itself.",
        *_sizes(results),
        *([_synthetic(heldout)] if sum(heldout.values()) else []),
        *([STATIC] if kind == "static" else []),
        "Queries and passages were written by people and programs with their own leanings; the encoder keeps them.",
    ]
    return "\n".join(f"- {sentence}" for sentence in said)


def _sizes(results: Sequence[SuiteResult]) -> Iterator[str]:
    told = ", ".join(f"{escape(suite.suite)} {suite.size} {suite.unit}" for suite in results)
    yield f"Size of the evaluation: {told}. An interval speaks of queries like these, not of others."
    if small := [escape(suite.suite) for suite in results if suite.size < ENOUGH]:
        yield f"Too small to tell dimensions apart (below {ENOUGH}): {', '.join(small)}."
    compared = sum(len(cell.gaps) for suite in results for cell in suite.cells)
    if compared:
        yield f"{compared} differences are looked at together: by chance about one interval in twenty misses its mark."


def _synthetic(heldout: Mapping[str, int]) -> str:
    total = sum(heldout.values())
    made = total - heldout.get(WRITTEN, 0)
    origins = ", ".join(f"{escape(origin)} {number}" for origin, number in sorted(heldout.items()))
    return (
        f"The suite `{HELDOUT}` is the set's own test split ({origins}): {made} of {total} queries were made by a "
        "program from the passage that answers them, and kept because an encoder found it. It flatters every system, "
        "most of all those that match words; trust a suite that people wrote more."
    )
