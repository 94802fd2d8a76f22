"""Turn a set into clean passages without duplicates, split by group, and bring queries, pairs and suites into tables.

Reads   data/raw/<set>/
Writes  data/prepared/passages.parquet (Passage), places.parquet (Place),
        recorded.parquet (RecordedQuery), pairs.parquet (SentencePair),
        rejected.parquet (Rejected), data/suites/{documents,queries,qrels,pairs}.parquet (Suite...),
        reports/prepare.json
"""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from unicodedata import category

import polars as pl
from pydantic import Field, PositiveInt

from nestling.cli import run, say
from nestling.corpus.brought import check_left, keeping, read_set
from nestling.corpus.cleaning import clean, one_line, words
from nestling.corpus.duplicates import groups, near_duplicates
from nestling.corpus.ids import content_id
from nestling.corpus.language import best_language
from nestling.corpus.passages import cut, with_title
from nestling.corpus.recorded import Suites
from nestling.corpus.splits import assign
from nestling.params import StageParams
from nestling.tables.corpus import (
    Passage,
    Place,
    RecordedQuery,
    Rejected,
    SentencePair,
    SuiteDocument,
    SuitePair,
    SuiteQrel,
    SuiteQuery,
)
from nestling.tables.io import write_json, write_table
from nestling.tables.sieve import reasons, rejected, sieve

OUT, SUITES = Path("data/prepared"), Path("data/suites")


class PrepareParams(StageParams, section="prepare", shared=("set", "seed", "languages")):
    set: str
    seed: int
    languages: list[str] = Field(min_length=1)  # ISO 639-1; the first is taken where nothing tells
    titles: bool  # put a document's title before each of its passages
    max_words: PositiveInt
    min_words: PositiveInt
    min_language_share: float = Field(ge=0, le=1)  # probability of the wanted languages
    min_letters: float = Field(ge=0, le=1)  # share of letters among a passage's characters, blanks aside
    min_distinct: float = Field(ge=0, le=1)  # share of distinct words, for passages of 50 words and more
    near_duplicate: float = Field(gt=0, le=1)  # Jaccard similarity over neighbouring words
    max_copies: PositiveInt  # a passage that stands in more places is boilerplate, and no bond between documents
    dev_share: float = Field(ge=0, lt=0.5)
    test_share: float = Field(ge=0, lt=0.5)
    max_document_mb: float = Field(gt=0)


def clean_documents(documents: pl.DataFrame, languages: list[str]) -> pl.DataFrame:
    """Return the documents with title and text cleaned and a language, declared or recognised."""
    texts = [clean(text) for text in documents["text"]]
    known = best_language(texts, languages) if texts else []
    return documents.with_columns(
        title=pl.Series([one_line(title) for title in documents["title"]], dtype=pl.String),
        text=pl.Series(texts, dtype=pl.String),
        language=pl.Series(
            [
                said if said in languages else found
                for said, (found, _) in zip(documents["language"], known, strict=True)
            ],
            dtype=pl.String,
        ),
    )


def cut_documents(documents: pl.DataFrame, params: PrepareParams) -> pl.DataFrame:
    """Return one row a passage, in the order of the documents, with `body`, the text without its title."""
    rows = []
    for row in documents.iter_rows(named=True):
        for span in cut(row["text"], row["language"], params.max_words, params.min_words):
            body = row["text"][span.start : span.end]
            text = with_title(row["title"], body) if params.titles else body
            rows.append({**row, "text": text, "body": body, "start": span.start, "end": span.end, "words": span.words})
    extra = {"body": pl.String, "start": pl.UInt32, "end": pl.UInt32, "words": pl.UInt32}
    return pl.DataFrame(rows, schema={**documents.schema, **extra})


def judge(passages: pl.DataFrame, params: PrepareParams) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Split passages into those worth keeping and those too short, in another language, or like boilerplate."""
    bodies = passages["body"].to_list()
    found = best_language(bodies, params.languages) if bodies else []
    marked = passages.with_columns(
        language=pl.Series([code for code, _ in found], dtype=pl.String),
        language_share=pl.Series([share for _, share in found], dtype=pl.Float64),
        letters=pl.Series([_letters(body) for body in bodies], dtype=pl.Float64),
        distinct=pl.Series([_distinct(body) for body in bodies], dtype=pl.Float64),
    )
    return sieve(
        marked,
        {
            "too_short": pl.col("words") >= params.min_words,
            "few_letters": pl.col("letters") >= params.min_letters,
            "wrong_language": pl.col("language_share") >= params.min_language_share,
            "repetitive": pl.col("distinct") >= params.min_distinct,
        },
    )


def _letters(text: str) -> float:
    solid = "".join(text.split())
    return sum(sign.isalpha() or category(sign).startswith("M") for sign in solid) / len(solid) if solid else 0.0


def _distinct(text: str) -> float:
    parts = words(text)
    return len(set(parts)) / len(parts) if len(parts) >= 50 else 1.0


def drop_duplicates(passages: pl.DataFrame, threshold: float, max_copies: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Keep the first of exact and near duplicates; documents that share one get the same `group_id`.

    What stands in more than `max_copies` places, a footer or a notice, is boilerplate: none of it is kept, and it
    joins no documents, or half of a web corpus would be one group.
    """
    texts = passages["body"].to_list()
    keys = [" ".join(words(text)) or text for text in texts]
    # one's title may be another's first line: then the whole texts are alike
    exact = groups(len(texts), [*enumerate(_first_alike(keys)), *enumerate(_first_alike(passages["text"]))])
    unique = [place for place, original in enumerate(exact) if place == original]
    pairs = near_duplicates([texts[place] for place in unique], threshold)
    near = groups(len(unique), [(pair.left, pair.right) for pair in pairs])
    nearest = {place: unique[leader] for place, leader in zip(unique, near, strict=True)}
    original = [nearest[leader] for leader in exact]
    copies = Counter(exact)
    common = [copies[first] > max_copies for first in exact]
    marked = passages.with_columns(
        common=pl.Series(common, dtype=pl.Boolean),
        group_id=pl.Series(_document_groups(passages["document_id"].to_list(), original, common), dtype=pl.String),
        duplicate_of=pl.Series([passages["document_id"][place] for place in original], dtype=pl.String),
        kept_text=pl.Series([passages["text"][place] for place in original], dtype=pl.String),
        exact=pl.Series(exact, dtype=pl.Int64) == pl.int_range(passages.height, eager=True),
        kept=pl.Series(original, dtype=pl.Int64) == pl.int_range(passages.height, eager=True),
    )
    rules = {"boilerplate": ~pl.col("common"), "exact_duplicate": pl.col("exact"), "near_duplicate": pl.col("kept")}
    return sieve(marked, rules)


def _first_alike(texts: Iterable[str]) -> list[int]:
    first: dict[str, int] = {}
    return [first.setdefault(text, place) for place, text in enumerate(texts)]


def _document_groups(document_ids: list[str], original: list[int], common: list[bool]) -> list[str]:
    names = sorted(set(document_ids))
    place = {name: number for number, name in enumerate(names)}
    shared = ((row, first) for row, first in enumerate(original) if not common[row])
    links = [(place[document_ids[row]], place[document_ids[first]]) for row, first in shared]
    leaders = groups(len(names), links)
    return [names[leaders[place[name]]] for name in document_ids]


def make_passages(documents: pl.DataFrame, params: PrepareParams) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Return the table Passage made of cleaned documents, the rows left out on the way (Rejected), and Place."""
    filled, blank = sieve(documents, {"empty": pl.col("text").str.len_chars() > 0})
    kept, unfit = judge(cut_documents(filled, params), params)
    unique, doubled = drop_duplicates(kept, params.near_duplicate, params.max_copies)
    splits = assign(unique["group_id"], params.dev_share, params.test_share, params.seed)
    passages = unique.with_columns(
        passage_id=pl.col("text").map_elements(content_id, return_dtype=pl.String),
        split=pl.col("group_id").replace_strict(splits, return_dtype=pl.Enum(["train", "dev", "test"])),
    )
    left_out = pl.concat(
        [
            rejected(blank, "document", "document_id"),
            rejected(unfit, "passage", "document_id"),
            rejected(doubled, "passage", "document_id", detail="duplicate_of"),
        ]
    )
    return passages, left_out, find_places(unique, doubled)


def find_places(unique: pl.DataFrame, doubled: pl.DataFrame) -> pl.DataFrame:
    """Return the table Place: which passage stands for which document's text, dropped copies too."""
    copies = doubled.filter(~pl.col("common"))
    rows = pl.concat(frame.select("document_id", "kept_text") for frame in (unique, copies))
    return rows.unique(maintain_order=True).select(
        "document_id", passage_id=pl.col("kept_text").map_elements(content_id, return_dtype=pl.String)
    )


def make_pairs(pairs: pl.DataFrame, params: PrepareParams) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the table SentencePair made of graded pairs (score already 0 to 1), and the rows left out.

    Pairs that share a sentence stand in one split, so that no dev sentence is trained on.
    """
    marked = _clean_pairs(pairs)
    kept, out = sieve(
        marked,
        {
            "empty": (pl.col("sentence1").str.len_chars() > 0) & (pl.col("sentence2").str.len_chars() > 0),
            "exact_duplicate": pl.col("pair_id").is_first_distinct(),
        },
    )
    left, right = kept["sentence1"].to_list(), kept["sentence2"].to_list()
    place = {text: number for number, text in enumerate(sorted({*left, *right}))}
    links = [(place[one], place[other]) for one, other in zip(left, right, strict=True)]
    leaders, sentences = groups(len(place), links), list(place)
    named = [sentences[leaders[place[text]]] for text in left]
    splits = assign(named, params.dev_share, 0.0, params.seed)
    split = pl.Series([splits[name] for name in named], dtype=pl.Enum(["train", "dev", "test"]))
    return kept.with_columns(split=split), rejected(out, "pair", "pair_id", text="sentence1")


def _clean_pairs(pairs: pl.DataFrame) -> pl.DataFrame:
    left = [one_line(text) for text in pairs["sentence1"]]
    right = [one_line(text) for text in pairs["sentence2"]]
    ids = [content_id(*sorted(both)) for both in zip(left, right, strict=True)]
    return pairs.with_columns(
        sentence1=pl.Series(left, dtype=pl.String),
        sentence2=pl.Series(right, dtype=pl.String),
        pair_id=pl.Series(ids, dtype=pl.String),
    )


def clean_recorded(recorded: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the recorded queries cleaned, on one line each, and those of which nothing is left (Rejected)."""
    kept, blank = sieve(_clean_queries(recorded), {"empty": pl.col("text").str.len_chars() > 0})
    return kept, rejected(blank, "query", "query_id", detail="document_id")


def _clean_queries(queries: pl.DataFrame) -> pl.DataFrame:
    return queries.with_columns(text=pl.Series([one_line(text) for text in queries["text"]], dtype=pl.String))


def suite_queries(suites: Suites) -> pl.DataFrame:
    """Return the table SuiteQuery, cleaned as recorded queries are, but none is dropped."""
    cleaned = _clean_queries(suites.queries)["text"]
    return suites.queries.with_columns(text=pl.when(cleaned != "").then(cleaned).otherwise("text"))


def suite_documents(suites: Suites, documents: pl.DataFrame, params: PrepareParams) -> pl.DataFrame:
    """Return the table SuiteDocument: each suite's own corpus or the set's, whole: an evaluation drops nothing."""
    own = clean_documents(suites.documents, params.languages)
    borrowing = [name for name in suites.queries["suite"].unique(maintain_order=True) if name not in set(own["suite"])]
    texts = [own.with_columns(own=pl.lit(True))]
    texts += [documents.with_columns(suite=pl.lit(name), own=pl.lit(False)) for name in borrowing]
    names = ["suite", "own", *documents.columns]
    whole = pl.concat([frame.select(names) for frame in texts]).filter(pl.col("text").str.len_chars() > 0)
    parts = cut_documents(whole, params)
    return parts.with_columns(part=pl.int_range(pl.len(), dtype=pl.UInt32).over("suite", "document_id"))


def suite_pairs(pairs: pl.DataFrame) -> pl.DataFrame:
    """Return the table SuitePair; a pair that a suite holds twice counts twice, as elsewhere, under two names."""
    copy = pl.int_range(pl.len()).over("suite", "pair_id")
    return _clean_pairs(pairs).with_columns(
        pair_id=pl.when(copy > 0).then(pl.format("{}-{}", "pair_id", copy)).otherwise("pair_id")
    )


def count(documents: int, passages: pl.DataFrame, pairs: pl.DataFrame, left_out: pl.DataFrame) -> dict[str, object]:
    """Return the numbers of reports/prepare.json."""
    return {
        "documents": documents,
        "passages": dict(sorted(passages["split"].cast(pl.String).value_counts().iter_rows())),
        "words_per_passage": round(passages["body"].str.split(" ").list.len().mean() or 0.0, 1),  # type: ignore[arg-type]
        "languages": dict(sorted(passages["language"].value_counts().iter_rows())),
        "pairs": dict(sorted(pairs["split"].cast(pl.String).value_counts().iter_rows())),
        "rejected": {
            item: reasons(left_out.filter(pl.col("item") == item)) for item in left_out["item"].unique().sort()
        },
    }


def write_suites(suites: Suites, documents: pl.DataFrame, params: PrepareParams) -> None:
    """Write the evaluation suites."""
    write_table(suite_documents(suites, documents, params), SUITES / "documents.parquet", SuiteDocument)
    write_table(suite_queries(suites), SUITES / "queries.parquet", SuiteQuery)
    write_table(suites.qrels, SUITES / "qrels.parquet", SuiteQrel)
    write_table(suite_pairs(suites.pairs), SUITES / "pairs.parquet", SuitePair)


def main() -> None:
    params = PrepareParams.load()
    folder = Path("data/raw") / params.set
    parts: list[pl.DataFrame] = []
    with keeping(parts, OUT / "rejected.parquet"):
        brought = read_set(folder, int(params.max_document_mb * 1_000_000), parts)
        documents = clean_documents(brought.documents, params.languages)
        passages, unfit, places = make_passages(documents, params)
        recorded, unasked = clean_recorded(brought.recorded)
        pairs, doubled = make_pairs(brought.pairs, params)
        left_out = pl.concat([*parts, unfit, unasked, doubled])
        parts[:] = [left_out]
        check_left(folder, left_out, passages)

    write_table(passages, OUT / "passages.parquet", Passage)
    write_table(places, OUT / "places.parquet", Place)
    write_table(recorded, OUT / "recorded.parquet", RecordedQuery)
    write_table(pairs, OUT / "pairs.parquet", SentencePair)
    write_table(left_out.sort(pl.all()), OUT / "rejected.parquet", Rejected)
    write_suites(brought.suites, documents, params)
    write_json(count(documents.height, passages, pairs, left_out), "reports/prepare.json")
    say(f"prepare: {documents.height} documents -> {passages.height} passages; left out {reasons(left_out)}")


if __name__ == "__main__":
    run(main)
