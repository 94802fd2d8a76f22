"""What people's judgements changed in the training set, in words: tables of one build in, lines for a screen out.

The build's own tables before and after the judgements are compared, nothing is applied anew; only which bad word
people used for a query is taken from their answers. Texts are data: what could move a cursor is shown as a question
mark.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from nestling.corpus.ids import content_id
from nestling.errors import UserError
from nestling.tables.sieve import reasons

LISTED = 10  # lines of a section, unless all are wanted
EXCERPT = 80  # characters of a passage or a sentence
QUERY = 200  # characters of a query: all of it, unless somebody brought a page
SAME = 1e-6  # steps of a grade that are rounding
GOES_BY = ("quality", "duplicate")  # reasons that curate notes under the query's id from before the judgements
WORDS = {
    "vague": "people find it vague",
    "not_answerable": "people find it not answerable",
    "wrong_language": "people find it in the wrong language",
    "quality": "people find it bad",
    "duplicate": "in its better words it is there already",
    "no_relevant_passage": "no passage answers it",
}


@dataclass(frozen=True)
class Built:
    """The tables of one build, and what people call its queries.

    Attributes:
        found: FoundQuery rows.
        mined: their negatives, Candidate rows.
        passages: of the corpus.
        pairs: SentencePair rows with the grades that they were brought with.
        queries: CuratedQuery rows.
        positives: Positive rows.
        negatives: Negative rows.
        graded: SentencePair rows with people's grades.
        rejected: of curate.
        called: query, passage_id, quality, as `nestling.review.apply.quality` gives it.
    """

    found: pl.DataFrame
    mined: pl.DataFrame
    passages: pl.DataFrame
    pairs: pl.DataFrame
    queries: pl.DataFrame
    positives: pl.DataFrame
    negatives: pl.DataFrame
    graded: pl.DataFrame
    rejected: pl.DataFrame
    called: pl.DataFrame


@dataclass(frozen=True)
class Section:
    """One kind of change.

    Attributes:
        count: how many there are.
        what: they are; the title.
        lines: one each, as far as they are not told elsewhere.
        note: said beside the title.
    """

    count: int
    what: str
    lines: list[str]
    note: str = ""


def effect_lines(built: Built, report: Mapping[str, Any], every: bool) -> list[str]:
    """Return what the screen shows: a line of counts, then a section for each kind of change that there is.

    Args:
        built: the tables.
        report: of curate, reports/curation.json.
        every: whether all changes are listed, or the first of each section.
    """
    kept, out = traced(built)
    if kept.height != built.queries.height or reasons(out) != report["queries_out"]:
        raise UserError("data/filtered and data/curated are not of one build: run `dvc repro`")
    sections = [
        queries_out(out, built.called),
        better_words(kept),
        made_positives(kept, built),
        no_longer_positives(kept, built),
        negatives_out(kept, out, built),
        negatives_in(kept, built),
        regraded(built, report["pairs_regraded"]),
    ]
    changes = [section for section in sections if section.count]
    told = ", ".join(f"{section.count} {section.what}" for section in changes)
    fitting = report["answers"] - report["answers_that_no_longer_fit"]
    first = f"{fitting} of {report['answers']} answers fit: {told or 'all of it stands as it was'}"
    return [first, *(line for section in changes for line in _laid_out(section, every))]


def traced(built: Built) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the queries that stand (query_id, text, rewritten_from, old_id, own) and those that went out.

    A query in better words has another id than before, the hash of the words and its own passage; that leads back.
    Those that went out have old_id, words, own and `reason`.
    """
    noted = built.rejected.filter((pl.col("item") == "query") & pl.col("reason").is_in(GOES_BY))
    noted = noted.select(old_id="item_id", reason="reason").unique("old_id")
    before = built.found.select(old_id="query_id", words="text", own="passage_id")
    before = before.join(noted, on="old_id", how="left", maintain_order="left")
    there = before.filter(pl.col("reason").is_null())
    after = built.queries.select("query_id", "text", "rewritten_from")
    same = after.filter(pl.col("rewritten_from").is_null()).with_columns(old_id="query_id")
    same = same.join(there.select("old_id", "own"), on="old_id")
    other = after.join(there.select("old_id", "own", rewritten_from="words"), on="rewritten_from")
    names = [content_id(*row) for row in other.select("text", "own").iter_rows()]
    other = other.filter(pl.col("query_id") == pl.Series(names, dtype=pl.String))
    kept = pl.concat([same, other.select(same.columns)])
    out = before.join(kept, on="old_id", how="anti", maintain_order="left")
    return kept, out.with_columns(pl.col("reason").fill_null("no_relevant_passage"))


def queries_out(out: pl.DataFrame, called: pl.DataFrame) -> Section:
    """Return the queries that went, by reason: people's word for a bad one where their answers still have it."""
    words = called.filter(pl.col("quality").is_in(list(WORDS)))
    told = out.join(words, left_on=["words", "own"], right_on=["query", "passage_id"], how="left")
    bad = pl.when(pl.col("reason") == "quality").then("quality")
    rows = told.select("words", reason=pl.coalesce(bad, "reason")).sort("reason", "words")
    note = ", ".join(f"{count} {reason.replace('_', ' ')}" for reason, count in reasons(rows).items())
    lines = [f"{shown(words, QUERY)}: {WORDS[reason]}" for words, reason in rows.iter_rows()]
    return Section(out.height, "queries out", lines, note)


def better_words(kept: pl.DataFrame) -> Section:
    """Return the queries that people put in better words."""
    rows = kept.drop_nulls("rewritten_from").select("rewritten_from", "text", "query_id").sort(pl.all())
    lines = [f"{shown(old, QUERY)} -> {shown(new, QUERY)}" for old, new, _ in rows.rows()]
    return Section(len(lines), "in better words", lines)


def made_positives(kept: pl.DataFrame, built: Built) -> Section:
    """Return the passages that people found to answer a query whose own they are not."""
    lines = _beside(built.positives.filter(pl.col("source") == "judged"), kept, built)
    return Section(len(lines), "passages made positives", lines)


def no_longer_positives(kept: pl.DataFrame, built: Built) -> Section:
    """Return the own passages that do not answer their query, where another passage does."""
    own = kept.select("query_id", passage_id="own")
    lines = _beside(own.join(built.positives, on=["query_id", "passage_id"], how="anti"), kept, built)
    return Section(len(lines), "passages no longer positives", lines)


def negatives_out(kept: pl.DataFrame, out: pl.DataFrame, built: Built) -> Section:
    """Return the mined negatives that no longer stand; those that are told with their query or as positives, counted.

    A negative of a query that stands goes for one of two reasons: it answers, or people have not settled whether it
    does: they tie, or one alone marked it beside a suggestion.
    """
    mined = built.mined.select("passage_id", old_id="query_id")
    followed = mined.join(out, on="old_id", how="semi").height
    asked = mined.join(kept.select("old_id", "query_id"), on="old_id")
    gone = asked.join(built.negatives, on=["query_id", "passage_id"], how="anti")
    tied = gone.join(built.positives, on=["query_id", "passage_id"], how="anti")
    causes = {
        "made positives": gone.height - tied.height,
        "went with their query": followed,
        "that people have not settled": tied.height,
    }
    note = ", ".join(f"{count} {cause}" for cause, count in causes.items() if count)
    lines = [f"{line} | not settled" for line in _beside(tied, kept, built)]
    return Section(gone.height + followed, "negatives out", lines, note)


def negatives_in(kept: pl.DataFrame, built: Built) -> Section:
    """Return the passages that the miner had kept out, and that people find not to answer."""
    mined = built.mined.select("passage_id", old_id="query_id").join(kept.select("old_id", "query_id"), on="old_id")
    lines = _beside(built.negatives.join(mined, on=["query_id", "passage_id"], how="anti"), kept, built)
    return Section(len(lines), "negatives more, certified by people", lines)


def regraded(built: Built, graded: int) -> Section:
    """Return the sentence pairs whose grade people changed, the widest apart first, on the scale from 0 to 5.

    Args:
        built: the tables.
        graded: how many pairs people graded.
    """
    before = built.pairs.select("pair_id", old=pl.col("score") * 5)
    after = built.graded.select("pair_id", "sentence1", "sentence2", new=pl.col("score") * 5)
    apart = (pl.col("new") - pl.col("old")).abs()
    rows = after.join(before, on="pair_id").filter(apart > SAME).sort(-apart.round(6), "pair_id")
    lines = [
        f"{old:.3g} -> {new:.3g}: {shown(one, EXCERPT)} | {shown(other, EXCERPT)}"
        for old, new, one, other in rows.select("old", "new", "sentence1", "sentence2").iter_rows()
    ]
    confirmed = graded - len(lines)
    return Section(len(lines), "pairs regraded", lines, f"{confirmed} more graded as before" if confirmed > 0 else "")


def shown(text: str, width: int) -> str:
    """Return the beginning of a text on one line, every sign printable."""
    line = "".join(sign if sign.isprintable() else "?" for sign in " ".join(text[: 4 * width].split()))
    return line if len(line) <= width and len(text) <= 4 * width else f"{line[:width].rstrip()}..."


def _beside(rows: pl.DataFrame, kept: pl.DataFrame, built: Built) -> list[str]:
    """Return a line a row (query_id, passage_id): the query's words and the passage's beginning."""
    texts = built.passages.select("passage_id", passage="text")
    told = rows.join(kept.select("query_id", query="text"), on="query_id").join(texts, on="passage_id")
    ordered = told.select("query", "passage", "query_id", "passage_id").sort(pl.all())
    return [f"{shown(row[0], QUERY)} | {shown(row[1], EXCERPT)}" for row in ordered.iter_rows()]


def _laid_out(section: Section, every: bool) -> list[str]:
    few = section.lines if every else section.lines[:LISTED]
    left = len(section.lines) - len(few)
    title = f"{section.what}: {section.count}" + (f" ({section.note})" if section.note else "")
    return ["", title, *(f"  {line}" for line in few), *([f"  ... and {left} more: --all"] if left else [])]
