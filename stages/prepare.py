"""Turn a set into clean passages without copies, split by group, and bring queries, pairs and suites into tables.

Reads   data/raw/<set>/, and data/splits/<set>.jsonl of before
Writes  data/prepared/passages.parquet (Passage), near.parquet (NearDuplicate), places.parquet (Place),
        recorded.parquet (SplitQuery), pairs.parquet (SentencePair),
        rejected.parquet (Rejected), data/suites/{documents,queries,qrels,pairs}.parquet (Suite...),
        data/splits/<set>.jsonl (what was ever held out), reports/prepare.json
"""

from dataclasses import dataclass
from pathlib import Path
from unicodedata import category

import polars as pl
from pydantic import Field, PositiveInt

from nestling.cli import run, say
from nestling.corpus.brought import check_left, keeping, read_set
from nestling.corpus.cleaning import clean, one_line, words
from nestling.corpus.copies import drop_duplicates, find_members, find_places
from nestling.corpus.duplicates import groups
from nestling.corpus.ids import content_id
from nestling.corpus.language import (
    Recognised,
    best_language,
    code_of,
    is_certainly_not,
    is_recognised,
    recognise,
)
from nestling.corpus.passages import cut, with_title
from nestling.corpus.recorded import Suites
from nestling.corpus.splits import (
    DOCUMENT,
    LARGE,
    SENTENCE,
    Shares,
    assign,
    check_room,
    entered,
    entered_queries,
    largest_share,
    ledger_text,
    read_ledger,
    reused_ids,
    split_queries,
    text_name,
)
from nestling.params import StageParams
from nestling.tables.corpus import (
    NearDuplicate,
    Passage,
    Place,
    Rejected,
    SentencePair,
    SplitQuery,
    SuiteDocument,
    SuitePair,
    SuiteQrel,
    SuiteQuery,
)
from nestling.tables.io import write_json, write_table, write_text
from nestling.tables.sieve import reasons, rejected, sieve

OUT, SUITES, SPLITS = Path("data/prepared"), Path("data/suites"), Path("data/splits")


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

    @property
    def ledger(self) -> Path:
        """Where it stands what was ever held out of this set."""
        return SPLITS / f"{self.set}.jsonl"


def clean_documents(documents: pl.DataFrame, languages: list[str]) -> pl.DataFrame:
    """Return the documents cleaned, with `said`, the language declared, and `language`: that one or a guess."""
    texts = [clean(text) for text in documents["text"]]
    known = best_language(texts, languages) if texts else []
    said = [code_of(language) for language in documents["language"]]
    return documents.with_columns(
        title=pl.Series([one_line(title) for title in documents["title"]], dtype=pl.String),
        text=pl.Series(texts, dtype=pl.String),
        said=pl.Series(said, dtype=pl.String),
        language=pl.Series(
            [code if code in languages else found for code, (found, _) in zip(said, known, strict=True)],
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
    found = recognise(bodies, params.languages) if bodies else []
    tongues = [
        _tongue(body, said, seen, params)
        for body, said, seen in zip(bodies, passages["said"].to_list(), found, strict=True)
    ]
    marked = passages.with_columns(
        language=pl.Series([code for code, _, _ in tongues], dtype=pl.String),
        wanted=pl.Series([wanted for _, wanted, _ in tongues], dtype=pl.Boolean),
        detail=pl.Series([detail for _, _, detail in tongues], dtype=pl.String),
        letters=pl.Series([_letters(body) for body in bodies], dtype=pl.Float64),
        distinct=pl.Series([_distinct(body) for body in bodies], dtype=pl.Float64),
    )
    kept, out = sieve(
        marked,
        {
            "too_short": pl.col("words") >= params.min_words,
            "few_letters": pl.col("letters") >= params.min_letters,
            "wrong_language": pl.col("wanted"),
            "repetitive": pl.col("distinct") >= params.min_distinct,
        },
    )
    return kept, out.with_columns(detail=pl.when(pl.col("reason") == "wrong_language").then("detail"))


def _tongue(body: str, said: str | None, seen: Recognised, params: PrepareParams) -> tuple[str, bool, str]:
    """Return a passage's language, whether it is a wanted one, and where not, what the passage was taken for."""
    if said and said not in params.languages:
        return seen.code, False, f"declared {said}"
    wanted = seen.share >= params.min_language_share
    taken = f"taken for {seen.other or 'no language'} ({seen.other_share:.2f})"
    if not said:
        unknown = [code for code in params.languages if not is_recognised(code)]
        taken += f"; {', '.join(unknown)} must be declared, for no text is recognised in it" if unknown else ""
        return seen.code, wanted, "" if wanted else taken
    stands = (wanted and seen.code == said) or not is_certainly_not(body, said, seen.other)
    return said, stands, "" if stands else f"{taken}, declared {said}"


def _letters(text: str) -> float:
    solid = "".join(text.split())
    return sum(sign.isalpha() or category(sign).startswith("M") for sign in solid) / len(solid) if solid else 0.0


def _distinct(text: str) -> float:
    parts = words(text)
    return len(set(parts)) / len(parts) if len(parts) >= 50 else 1.0


@dataclass(frozen=True)
class Made:
    """What documents or pairs became.

    Attributes:
        kept: Passage rows with `near_id`, or SentencePair rows.
        left_out: Rejected rows.
        members: of the groups that stand in one split each, with their splits.
        ledger: of what was ever held out, with what is now.
    """

    kept: pl.DataFrame
    left_out: pl.DataFrame
    members: pl.DataFrame
    splits: dict[str, str]
    ledger: pl.DataFrame


def make_passages(documents: pl.DataFrame, ledger: pl.DataFrame, params: PrepareParams) -> tuple[Made, pl.DataFrame]:
    """Return the passages made of cleaned documents, and the table Place."""
    filled, blank = sieve(documents, {"empty": pl.col("text").str.len_chars() > 0})
    kept, unfit = judge(cut_documents(filled, params), params)
    unique, doubled = drop_duplicates(kept, params.near_duplicate, params.max_copies)
    shares = Shares(params.dev_share, params.test_share, params.seed)
    members = find_members(unique, doubled)
    reused = reused_ids(members, ledger)
    splits = assign(members, ledger.filter(~((pl.col("item") == DOCUMENT) & pl.col("name").is_in(reused))), shares)
    check_room(members, splits, params.ledger)
    warn_of_reused_ids(reused)
    passages = unique.with_columns(
        passage_id=pl.col("text").map_elements(content_id, return_dtype=pl.String),
        split=pl.col("group_id").replace_strict(splits, return_dtype=pl.Enum(["train", "dev", "test"])),
    ).with_columns(near_id=pl.col("passage_id").min().over("cluster"))
    left_out = pl.concat(
        [
            rejected(blank, "document", "document_id"),
            rejected(unfit, "passage", "document_id", detail="detail"),
            rejected(doubled, "passage", "document_id", detail="duplicate_of"),
        ]
    )
    held_out = entered(ledger, members, splits, shares)
    return Made(passages, left_out, members, splits, held_out), find_places(unique, doubled)


def make_pairs(pairs: pl.DataFrame, ledger: pl.DataFrame, params: PrepareParams) -> Made:
    """Return the table SentencePair made of graded pairs (score already 0 to 1).

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
    left, right = ([text_name(text) for text in kept[side]] for side in ("sentence1", "sentence2"))
    names = sorted({*left, *right})
    place = {name: number for number, name in enumerate(names)}
    leaders = groups(len(names), [(place[one], place[other]) for one, other in zip(left, right, strict=True)])
    group = pl.Series([names[leader] for leader in leaders], dtype=pl.String)
    members = pl.DataFrame({"group": group, "name": pl.Series(names, dtype=pl.String)}).select(
        "group", "name", item=pl.lit(SENTENCE)
    )
    shares = Shares(params.dev_share, 0.0, params.seed)
    splits = assign(members, ledger, shares)
    check_room(members, splits, params.ledger)
    split = pl.Series([splits[group[place[name]]] for name in left], dtype=pl.Enum(["train", "dev", "test"]))
    return Made(
        kept.with_columns(split=split),
        rejected(out, "pair", "pair_id", text="sentence1"),
        members,
        splits,
        entered(ledger, members, splits, shares),
    )


def _clean_pairs(pairs: pl.DataFrame) -> pl.DataFrame:
    left = [one_line(text) for text in pairs["sentence1"]]
    right = [one_line(text) for text in pairs["sentence2"]]
    ids = [content_id(*sorted(both)) for both in zip(left, right, strict=True)]
    return pairs.with_columns(
        sentence1=pl.Series(left, dtype=pl.String),
        sentence2=pl.Series(right, dtype=pl.String),
        pair_id=pl.Series(ids, dtype=pl.String),
    )


def clean_queries(queries: pl.DataFrame) -> pl.DataFrame:
    """Return recorded queries, or those of suites, cleaned, on one line each."""
    return queries.with_columns(text=pl.Series([one_line(text) for text in queries["text"]], dtype=pl.String))


def suite_documents(suites: Suites, documents: pl.DataFrame, params: PrepareParams) -> pl.DataFrame:
    """Return the table SuiteDocument: each suite's own corpus or the set's, whole: an evaluation drops nothing."""
    own = clean_documents(suites.documents, params.languages)
    borrowing = [name for name in suites.queries["suite"].unique(maintain_order=True) if name not in set(own["suite"])]
    texts = [own.with_columns(own=pl.lit(True))]
    texts += [documents.with_columns(suite=pl.lit(name), own=pl.lit(False)) for name in borrowing]
    names = ["suite", "own", *documents.columns]
    parts = cut_documents(pl.concat([frame.select(names) for frame in texts]), params)
    return parts.with_columns(part=pl.int_range(pl.len(), dtype=pl.UInt32).over("suite", "document_id"))


def suite_pairs(pairs: pl.DataFrame) -> pl.DataFrame:
    """Return the table SuitePair; a pair that a suite holds twice counts twice, as elsewhere, under two names."""
    copy = pl.int_range(pl.len()).over("suite", "pair_id")
    return _clean_pairs(pairs).with_columns(
        pair_id=pl.when(copy > 0).then(pl.format("{}-{}", "pair_id", copy)).otherwise("pair_id")
    )


def write_passages(passages: pl.DataFrame, places: pl.DataFrame) -> None:
    """Write the passages, which of them nearly repeat others, and where their text stands."""
    write_table(passages, OUT / "passages.parquet", Passage)
    write_table(passages.filter(pl.len().over("near_id") > 1), OUT / "near.parquet", NearDuplicate)
    write_table(places, OUT / "places.parquet", Place)


def write_suites(suites: Suites, documents: pl.DataFrame, params: PrepareParams) -> None:
    """Write the evaluation suites."""
    write_table(suite_documents(suites, documents, params), SUITES / "documents.parquet", SuiteDocument)
    write_table(clean_queries(suites.queries), SUITES / "queries.parquet", SuiteQuery)
    write_table(suites.qrels, SUITES / "qrels.parquet", SuiteQrel)
    write_table(suite_pairs(suites.pairs), SUITES / "pairs.parquet", SuitePair)


def count(documents: int, made: Made, graded: Made, left_out: pl.DataFrame) -> dict[str, object]:
    """Return the numbers of reports/prepare.json."""
    passages, pairs = made.kept, graded.kept
    return {
        "documents": documents,
        "passages": dict(sorted(passages["split"].cast(pl.String).value_counts().iter_rows())),
        "words_per_passage": round(float(passages["words"].mean() or 0), 1),  # type: ignore[arg-type]
        "near_duplicates": passages.filter(pl.len().over("near_id") > 1).height,
        "groups": {"number": len(made.splits), "largest_share": round(largest_share(made.members), 4)},
        "languages": dict(sorted(passages["language"].value_counts().iter_rows())),
        "pairs": dict(sorted(pairs["split"].cast(pl.String).value_counts().iter_rows())),
        "rejected": {
            item: reasons(left_out.filter(pl.col("item") == item)) for item in left_out["item"].unique().sort()
        },
    }


def warn_of_reused_ids(reused: list[str]) -> None:
    """Say it when ids that were held out stand for other documents now."""
    if reused:
        say(
            f"prepare: warning: {len(reused)} ids of documents that were held out ({', '.join(reused[:3])} ...) stand "
            "for other text now, and theirs stands under other ids: as numbers of rows they keep no document in its "
            "split, text alone does. Give documents ids of their own"
        )


def warn_of_a_large_group(made: Made) -> None:
    """Say it when documents that share text are so many that the splits hardly split."""
    share = largest_share(made.members)
    if share > LARGE and len(made.splits) > 1 / LARGE:
        say(f"prepare: one group of documents that share text holds {share:.0%} of all: docs/sets.md, Splits")


def warn_of_unknown_languages(documents: pl.DataFrame) -> None:
    """Say it when documents declare what is no language that is known: their texts tell it then."""
    odd = [said for said in documents["language"] if said and not code_of(said)]
    if odd:
        named = ", ".join(repr(said) for said in list(dict.fromkeys(odd))[:3])
        say(f"prepare: {len(odd)} documents declare a language that is not known ({named}): their texts tell it")


def main() -> None:
    params = PrepareParams.load()
    folder = Path("data/raw") / params.set
    ledger, parts = read_ledger(params.ledger), list[pl.DataFrame]()
    with keeping(parts, OUT / "rejected.parquet"):
        brought = read_set(folder, int(params.max_document_mb * 1_000_000), parts)
        warn_of_unknown_languages(pl.concat([brought.documents, brought.suites.documents.drop("suite")]))
        documents = clean_documents(brought.documents, params.languages)
        made, places = make_passages(documents, ledger, params)
        holders = places.join(made.kept.select("passage_id", "split"), on="passage_id").select("document_id", "split")
        recorded = split_queries(clean_queries(brought.recorded), holders, ledger)
        pairs = make_pairs(brought.pairs, ledger, params)
        left_out = pl.concat([*parts, made.left_out, pairs.left_out])
        parts[:] = [left_out]
        check_left(folder, left_out, made.kept)

    write_passages(made.kept, places)
    write_table(recorded, OUT / "recorded.parquet", SplitQuery)
    write_table(pairs.kept, OUT / "pairs.parquet", SentencePair)
    write_table(left_out.sort(pl.all()), OUT / "rejected.parquet", Rejected)
    write_suites(brought.suites, documents, params)
    write_text(ledger_text(pl.concat([entered_queries(made.ledger, recorded), pairs.ledger])), params.ledger)
    write_json(count(documents.height, made, pairs, left_out), "reports/prepare.json")
    say(f"prepare: {documents.height} documents -> {made.kept.height} passages; left out {reasons(left_out)}")
    warn_of_a_large_group(made)


if __name__ == "__main__":
    run(main)
