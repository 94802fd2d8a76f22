"""What an encoder was trained on: counts from document to row, sources, licences, and what people said of it."""

from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl

from nestling.reporting.markdown import escape, label, table


def data_section(funnel: pl.DataFrame, reports: Mapping[str, Any], licences: Mapping[str, int]) -> str:
    """Return counts, sources and licences as Markdown.

    Args:
        funnel: the table FunnelRow.
        reports: the stages' reports, by name.
        licences: passages by licence.
    """
    steps = funnel.group_by("step", maintain_order=True).agg("what", "rows")
    rows = [
        [label(name), f"{sum(numbers):,}", f"{numbers[0]:,}", _counted(dict(zip(what[1:], numbers[1:], strict=True)))]
        for name, what, numbers in steps.iter_rows()
    ]
    made, kept = reports["generate"]["queries"], reports["filter"]["kept"]
    trained = reports["balance"]["origins"]
    origins = [
        [escape(origin), f"{number:,}", f"{kept.get(origin, 0):,}", f"{trained.get(origin, 0):,}"]
        for origin, number in made.items()
    ]
    stated = [[escape(licence), f"{number:,}"] for licence, number in licences.items()]
    return f"""{table(["step", "came", "stayed", "left, by reason"], rows)}

{table(["queries from", "written", "found again", "training rows, copies counted"], origins)}

{_sizes("retrieval", reports["balance"])}
{_sizes("sts", reports["balance"])}
- Training texts that stand in an evaluation suite and were left out: {reports["balance"]["leaks_dropped"]}.
- Training queries that repeat one of the dev or test split and were left out: \
{reports["balance"]["repeats_of_dev_and_test_dropped"]}.
- Candidates of the miner: {_counted(reports["mine"]["verdicts"])}.

{_unprepared(reports["prepare"]["rejected"])}

{table(["licence of the passages", "passages"], stated)}

Queries cut or written from a passage share its licence."""


def _counted(numbers: Mapping[str, int]) -> str:
    return ", ".join(f"{label(name)} {number:,}" for name, number in numbers.items()) or "none"


def _sizes(kind: str, balance: Mapping[str, Any]) -> str:
    rows, unique = balance[kind]["rows"], balance[kind]["unique"]
    how = "each once" if rows == unique else f"{unique:,} distinct ones {'repeated' if rows > unique else 'sampled'}"
    return f"- Trained on {rows:,} {kind} rows{f' ({how})' if rows else ''}."


def _unprepared(rejected: Mapping[str, Mapping[str, int]]) -> str:
    rows = [
        [label(item), label(reason), f"{number:,}"] for item, out in rejected.items() for reason, number in out.items()
    ]
    if not rows:
        return "Nothing in the set was left out when it was read."
    return table(["left out of the set", "reason", "how many"], rows)


def review_section(curation: Mapping[str, Any]) -> str:
    """Return what people judged, how far they agree, and how many negatives are false, as Markdown."""
    if not curation["answers"]:
        return (
            "No judgements yet: nobody has looked at queries or negatives. How far people agree, and how many of the "
            "mined negatives are false, is unknown."
        )
    said = (
        f"{curation['answers']:,} answers by {curation['annotators']} people on {curation['records_judged']:,} "
        f"records: {curation['queries_rewritten']} queries rewritten, {curation['negatives_promoted']} negatives "
        f"made positives, {curation['negatives_certified']} hard negatives certified, {curation['pairs_regraded']} "
        "pairs graded anew.",
        *(f"Agreement on {label(name)}: {_alpha(found)}." for name, found in curation["agreement"].items()),
        *_false_negatives(curation["false_negative_rate"]),
    )
    return "\n".join(f"- {sentence}" for sentence in said)


def _alpha(found: Mapping[str, Any]) -> str:
    if found["alpha"] is None:
        return "not measurable, for want of things that two people answered, or of any that differ"
    interval = "" if found["low"] is None else f" (95% interval {found['low']:.2f} to {found['high']:.2f})"
    wanting = found["more_records"]
    more = f"; an interval {wanting['width']:g} wide takes about {wanting['records']:,} more records"
    return (
        f"Krippendorff's alpha {found['alpha']:.2f}{interval}, on {found['units']} things that several people answered"
        f"{more if wanting['records'] else ''}"
    )


def _false_negatives(found: Mapping[str, Any]) -> Iterator[str]:
    """Yield the rate with its population and its interval, what it hangs on, and how many judgements are wanting."""
    about = f"False negatives among the {escape(found['population'])}"
    if found["rate"] is None:
        yield f"{about}: no judgements yet."
        return
    unseen = ", ".join(map(label, found["strata_without_answers"]))
    yield (
        f"{about}: {found['rate']:.1%} (95% interval {found['low']:.1%} to {found['high']:.1%}), from "
        f"{found['judged_negatives']} negatives of {found['judged_queries']} audited queries. {_errors(found)}"
        f"{f' Nothing is known of the strata {unseen}.' if unseen else ''}"
    )
    wanting = found["more_queries"]
    if wanting["queries"]:
        yield (
            f"An interval {wanting['width']:g} wide takes about {wanting['queries']:,} more audited queries, if they "
            "are like these."
        )
    if found["cut_out"]:
        yield (
            f"{found['cut_out']:,} of these queries were cut out of the passages, for the set has no others: nobody "
            "asked them, and what is said of their negatives says little of what people ask."
        )


def _errors(found: Mapping[str, Any]) -> str:
    """Return what is known of people's errors."""
    ties = (
        f" People tie on {found['ties']} of them, and nobody has settled it: with all of these as no, most people's "
        f"word alone gives {found['ties_as_no']:.1%}, with all as yes {found['ties_as_yes']:.1%}."
        if found["ties"]
        else ""
    )
    if found["errors"]["missed"] is None:
        return f"It is the rate as these people see it: how they err cannot be told where one person judges.{ties}"
    return (
        f"People are held to miss {found['errors']['missed']:.0%} of the answers and to mark "
        f"{found['errors']['false_alarms']:.1%} of the rest wrongly, which the rate allows for.{ties}"
    )
