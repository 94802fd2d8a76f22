"""What a tuned encoder was not measured on and cannot do, in plain sentences."""

from collections.abc import Iterator, Mapping, Sequence

from nestling.evaluation.standing import BLIND, GENERATED
from nestling.reporting.markdown import escape
from nestling.reporting.results import ENOUGH, NDCG, NOBODY, SuiteResult

WRITTEN = "recorded"  # the one origin whose queries people wrote
HALF = 0.5
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
        heldout: queries of the set's test split that are measured on, by origin.
    """
    said = [
        f"Languages: {', '.join(map(escape, languages))}. Nothing is known of any other.",
        "Domain: the documents of this set. On other subjects measure first; nothing here carries over by itself.",
        *_sizes(results),
        *_asked(results, heldout),
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
        yield (
            f"{compared} differences are looked at together: by chance about one interval in twenty misses its mark. "
            "Holm's p, corrected over all suites and dimensions, says which differences hold nevertheless."
        )
    if sparse := [escape(suite.suite) for suite in results if _unjudged(suite) > HALF]:
        yield (
            f"Judged@10 is below {HALF} on {', '.join(sparse)}: nobody judged most of what stands among the first "
            "ten, and what nobody judged counts as wrong. nDCG is then a lower bound, and of two systems the one "
            "with the lower Judged@10 may be wronged."
        )


def _unjudged(suite: SuiteResult) -> float:
    return max((1 - cell.judged for cell in suite.cells if cell.judged is not None), default=0.0)


def _asked(results: Sequence[SuiteResult], heldout: Mapping[str, int]) -> Iterator[str]:
    """Yield who asked, where a program did."""
    retrieval = [suite for suite in results if suite.metric == NDCG]
    if retrieval and not any(suite.asks_people for suite in retrieval):
        yield NOBODY
    if any(suite.suite == GENERATED for suite in retrieval):
        made = {origin: number for origin, number in sorted(heldout.items()) if origin != WRITTEN}
        origins = ", ".join(f"{escape(origin)} {number}" for origin, number in made.items())
        yield f"`{GENERATED}` is of the set's own test split{f' ({origins})' if made else ''}. {escape(BLIND)}"
