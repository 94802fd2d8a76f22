"""People's answers: read from files, the last word of each person kept.

A round is a file data/annotations/<round>.jsonl, one answer a line. Beside it may lie <round>.records.jsonl, the
records as they were shown, so that answers outlive a change of encoder or of mining parameters: what somebody said of
a query and a passage is used wherever that query and that passage meet again.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from nestling.corpus.cleaning import normalized
from nestling.tables.io import empty
from nestling.tables.review import QUALITIES, QUESTIONS, Answer

_FIELDS = ("record_id", "question", "value", "annotator", "status", "submitted_at")
_ANSWERS = empty(Answer).schema
_WORD = ["record_id", "question", "annotator", "referee"]
RECORDS = pl.Schema(
    {**dict.fromkeys(("record_id", "query", "passage_id"), pl.String()), "candidates": pl.List(pl.String)}
)


def read_answers(folder: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the last answer of each person to each question of each record, and the lines that are none (Rejected).

    Rounds add up in the order of submission, whose times are brought to UTC; a time without a zone is taken for UTC.
    Drafts and discarded answers do not count.
    """
    lines, rejected = read_lines(folder)
    return last_words(lines), rejected


def read_lines(folder: Path) -> tuple[list[dict[str, Any]], pl.DataFrame]:
    """Return every submitted answer, with the `annotator_id` that a desk knows the person by, and the other lines."""
    answers, rejected = [], []
    for name, number, line in _lines(folder, records=False):
        found, reason = _answer(line)
        if reason:
            rejected.append(("answer", f"{name}:{number}", reason, "", line[:200]))
        else:
            value = json.dumps(found["value"], ensure_ascii=False, sort_keys=True)
            answers.append({"referee": False, "suggested": False, **found, "value": value, "round": name})
    schema = dict.fromkeys(("item", "item_id", "reason", "detail", "text"), pl.String)
    return answers, pl.DataFrame(rejected, schema=schema, orient="row")


def last_words(lines: Iterable[Mapping[str, Any]]) -> pl.DataFrame:
    """Return the last answer of each person to each question of each record, as Answer rows.

    A person is who has one `annotator_id`, and is called by the newest name; without one, by the name alone. What
    somebody says as a referee does not replace what the same person said as an annotator.

    Args:
        lines: as `read_lines` gives them.
    """
    rows = sorted(lines, key=lambda line: (line["submitted_at"], line["round"]))
    # an id in the place of a name is of somebody whom the desk knows no more
    named = [row for row in rows if row.get("annotator_id", "") not in ("", row["annotator"])]
    names = {row["annotator_id"]: row["annotator"] for row in named}
    once = {row["annotator"]: names[row["annotator_id"]] for row in named}
    gone = once.keys() - names.values()  # names that nobody bears now

    def name(row: Mapping[str, Any]) -> str:
        called = names.get(row.get("annotator_id", ""), row["annotator"])
        return str(once[called] if called in gone else called)

    told = [{key: row[key] for key in _ANSWERS} | {"annotator": name(row)} for row in rows]
    return _last(pl.DataFrame(told, schema=_ANSWERS))


def _last(ordered: pl.DataFrame) -> pl.DataFrame:
    return ordered.unique(_WORD, keep="last", maintain_order=True).sort(_WORD)


def under_names_of_now(answers: pl.DataFrame, records: pl.DataFrame, earlier: pl.DataFrame) -> pl.DataFrame:
    """Return the answers, those to an earlier record that asked and showed the same under the name that it has now.

    A record is named by the hash of its query as it is written, and the set may come to hold another spelling of it.

    Args:
        answers: Answer rows.
        records: record_id, query, passage_id, candidates of now.
        earlier: the same of those shown before.
    """
    now = {shown: name for name, shown in _as_shown(records)}
    known = set(records["record_id"])
    names = {name: now[shown] for name, shown in _as_shown(earlier) if name not in known and shown in now}
    renamed = answers.with_columns(pl.col("record_id").replace(names))
    return _last(renamed.sort("submitted_at", "round", maintain_order=True))


def _as_shown(records: pl.DataFrame) -> Iterator[tuple[str, tuple[str, ...]]]:
    for name, query, passage_id, candidates in records.select(RECORDS.names()).iter_rows():
        yield name, (normalized(query), passage_id, *sorted(candidates))


def read_shown_records(folder: Path) -> pl.DataFrame:
    """Return the records of earlier rounds as they were shown: record_id, query, passage_id, candidates."""
    rows = []
    for _, _, line in _lines(folder, records=True):
        row = _parsed(line)
        if isinstance(row, dict) and all(
            isinstance(row.get(key), str) for key in ("record_id", "query", "passage_id")
        ):
            candidates = row.get("candidates")
            rows.append(
                {**row, "candidates": [str(one) for one in candidates] if isinstance(candidates, list) else []}
            )
    frame = pl.DataFrame([{key: row[key] for key in RECORDS} for row in rows], schema=RECORDS)
    return frame.unique("record_id", keep="last", maintain_order=True)


def all_records(records: pl.DataFrame, earlier: pl.DataFrame, queries: pl.Series) -> pl.DataFrame:
    """Return record_id, query, passage_id and candidates of the records of now, then of those shown earlier alone.

    A query that the set has in the same words but other letters and signs stands as the set has it: of a query in
    several spellings the set keeps one, which another order of its file changes; it asks the same.

    Args:
        records: ReviewRecord rows.
        earlier: as `read_shown_records` gives it.
        queries: the texts of those of now.
    """
    others = earlier.join(records, on="record_id", how="anti", maintain_order="left")
    shown = pl.concat([frame.select(RECORDS.names()) for frame in (records, others)])
    now = {normalized(text): text for text in reversed(queries.to_list())}
    there = set(queries)
    texts = [text if text in there else now.get(normalized(text), text) for text in shown["query"]]
    return shown.with_columns(query=pl.Series(texts, dtype=pl.String))


def _lines(folder: Path, records: bool) -> Iterator[tuple[str, int, str]]:
    for file in sorted(folder.glob("*.jsonl")):
        if file.name.endswith(".records.jsonl") == records:
            with file.open(encoding="utf-8-sig", errors="replace") as lines:
                for number, line in enumerate(lines, start=1):
                    if line.strip():
                        yield file.stem, number, line.strip()


def _parsed(line: str) -> Any:
    try:
        row = json.loads(line)
        json.dumps(row, ensure_ascii=False).encode("utf-8")  # half a surrogate pair is valid JSON and no valid text
    except (ValueError, RecursionError):
        return None
    return row


def _moment(text: str) -> str | None:
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC).isoformat("T", "microseconds")
    except (ValueError, OverflowError):
        return None


def _answer(line: str) -> tuple[dict[str, Any], str]:
    if "\ufffd" in line:  # what could not be decoded
        return {}, "invalid_utf8"
    row = _parsed(line)
    if not isinstance(row, dict):
        return {}, "broken_json"
    if missing := [key for key in _FIELDS if key not in row]:
        return row, f"missing_{missing[0]}"
    if row["status"] != "submitted":
        return row, "not_submitted"
    named = all(isinstance(row[key], str) for key in ("record_id", "annotator", "submitted_at"))
    named = named and isinstance(row.get("annotator_id", ""), str)
    told = named and all(isinstance(row.get(key, False), bool) for key in ("referee", "suggested"))
    if not told or row["question"] not in QUESTIONS or not _valid(row["question"], row["value"]):
        return row, "invalid_value"
    if not (moment := _moment(row["submitted_at"])):
        return row, "invalid_time"
    return row | {"submitted_at": moment}, ""


def _valid(question: str, value: Any) -> bool:
    if question == "query_quality":
        return value in QUALITIES
    if question == "relevant":
        return isinstance(value, list) and all(isinstance(one, str) for one in value)
    if question == "similarity":
        return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 5
    return isinstance(value, str)


def majority(votes: list[str]) -> str | None:
    """Return the most frequent vote, or None for a tie."""
    ranked = Counter(votes).most_common(2)
    tied = len(ranked) == 2 and ranked[0][1] == ranked[1][1]
    return None if tied or not ranked else ranked[0][0]


def unprimed(answers: pl.DataFrame) -> pl.DataFrame:
    """Return the answers from which something can be measured: those given with no machine's suggestion in sight.

    People follow what is suggested, so that a machine would be measured against itself. A referee's answer goes too
    where all annotators were shown a suggestion: only what they dispute reaches a referee, which is no fair sample.
    """
    own_mind = (~pl.col("suggested") & ~pl.col("referee")).any() | ~pl.col("suggested").any()
    return answers.filter(~pl.col("suggested") & own_mind.over("record_id", "question"))


def by_annotator(answers: pl.DataFrame) -> dict[str, dict[str, int]]:
    """Return, by name, how many answers each person gave, on how many records, and how many as a referee."""
    counts = answers.group_by("annotator").agg(
        answers=pl.len(), records=pl.col("record_id").n_unique(), as_referee=pl.col("referee").sum()
    )
    return {row.pop("annotator"): row for row in counts.sort("annotator").iter_rows(named=True)}
