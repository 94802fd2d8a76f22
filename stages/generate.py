"""Give every passage its queries: recorded ones, ones cut out of the text, ones written by an LLM.

Reads   data/prepared/passages.parquet (Passage), data/prepared/places.parquet (Place),
        data/prepared/recorded.parquet (RecordedQuery)
Writes  data/generated/queries.parquet (Query), data/generated/answerable.parquet (Answerable),
        data/generated/rejected.parquet (Rejected), reports/generate.json
"""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import polars as pl
from pydantic import Field

from nestling.cli import run, say
from nestling.corpus.cleaning import one_line, words
from nestling.corpus.ids import content_id
from nestling.corpus.passages import body_of
from nestling.llm.backend import ChatRequest, load_backend
from nestling.params import StageParams, Strict
from nestling.queries.extractive import ExtractiveParams, Extractor, Source
from nestling.tables.corpus import Passage, Place, RecordedQuery, Rejected
from nestling.tables.io import read_table, write_json, write_table
from nestling.tables.queries import Answerable, Query
from nestling.tables.sieve import reasons, rejected, sieve

OUT = Path("data/generated")
INSTRUCTION = "Write one question, in the language of the text, that the text answers. Reply with the question alone."


class Recorded(Strict):
    """Queries that existed before."""

    kind: Literal["recorded"]


class Extractive(ExtractiveParams):
    """Queries cut out of the passage."""

    kind: Literal["extractive"]


class Llm(Strict):
    """Queries written by an LLM."""

    kind: Literal["llm"]
    backend: str


SourceParams = Annotated[Recorded | Extractive | Llm, Field(discriminator="kind")]
SCHEMA = {"text": pl.String, "origin": pl.String, "kind": pl.String, "passage_id": pl.String}


class GenerateParams(StageParams, section="generate", shared=("seed",)):
    seed: int
    sources: list[SourceParams] = Field(min_length=1)
    min_words: int = Field(ge=1)  # of a query
    max_words: int = Field(ge=1)


def from_recorded(places: pl.DataFrame, recorded: pl.DataFrame) -> pl.DataFrame:
    """Return recorded queries beside every passage of the documents that they name; null where none is left."""
    named = recorded.join(places, on="document_id", how="left", maintain_order="left_right")
    return named.select("text", origin=pl.lit("recorded"), kind=pl.lit("recorded"), passage_id="passage_id")


def from_text(passages: pl.DataFrame, params: Extractive, seed: int) -> pl.DataFrame:
    """Return queries cut out of every passage."""
    sources = [
        Source(row["passage_id"], row["title"], body_of(row["title"], row["text"]), row["language"])
        for row in passages.iter_rows(named=True)
    ]
    rows = [(cut.text, "extractive", cut.kind, cut.passage_id) for cut in Extractor(sources, params, seed).cut()]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def from_llm(passages: pl.DataFrame, params: Llm, seed: int) -> pl.DataFrame:
    """Return one query a passage, as the backend wrote it."""
    backend = load_backend(params.backend)
    requests = (
        ChatRequest(row["passage_id"], (("system", INSTRUCTION), ("user", row["text"])), seed)
        for row in passages.iter_rows(named=True)
    )
    rows = [(answer.text, "llm", "question", answer.key) for answer in backend.answer(requests)]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def generate(
    passages: pl.DataFrame, places: pl.DataFrame, recorded: pl.DataFrame, params: GenerateParams
) -> pl.DataFrame:
    """Return one row a query and passage that may answer it, of all sources, in their order."""
    make: dict[type[Strict], Callable[[SourceParams], pl.DataFrame]] = {
        Recorded: lambda _: from_recorded(places, recorded),
        Extractive: lambda source: from_text(passages, source, params.seed),  # type: ignore[arg-type]
        Llm: lambda source: from_llm(passages, source, params.seed),  # type: ignore[arg-type]
    }
    return pl.concat([make[type(source)](source) for source in params.sources])


def tidy(rows: pl.DataFrame, passages: pl.DataFrame, params: GenerateParams) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the rows whose query is of a sensible length, with id, language and split, and the rest with a reason.

    A query that names passages of several splits stands in the last of train, dev, test: it is never trained on.
    """
    texts = [one_line(text) for text in rows["text"]]
    about = passages.select("passage_id", "language", "split", "document_id")
    marked = rows.with_columns(text=pl.Series(texts, dtype=pl.String)).join(
        about, on="passage_id", how="left", maintain_order="left"
    )
    # a recorded query is one query however it is written and whichever passages may answer it; any other belongs to
    # its own passage
    owner = pl.when(pl.col("origin") == "recorded").then(pl.lit("")).otherwise(pl.col("passage_id"))
    same = pl.col("text").map_elements(lambda text: " ".join(words(text)) or text, return_dtype=pl.String)
    named = marked.with_columns(
        query_id=pl.struct(text=pl.when(owner == "").then(same).otherwise("text"), owner=owner).map_elements(
            lambda row: content_id(row["text"], row["owner"]), return_dtype=pl.String
        ),
        words=pl.col("text").str.split(" ").list.len(),
    ).with_columns(
        split=pl.col("split").max().over("query_id"),
        language=pl.col("language").drop_nulls().first().over("query_id"),
    )
    return sieve(
        named,
        {
            "no_passage": pl.col("document_id").is_not_null(),  # nothing of the document that it names was kept
            "empty": pl.col("text").str.len_chars() > 0,
            "too_short": pl.col("words") >= params.min_words,
            "too_long": pl.col("words") <= params.max_words,
        },
    )


def main() -> None:
    params = GenerateParams.load()
    passages = read_table("data/prepared/passages.parquet", Passage)
    recorded = read_table("data/prepared/recorded.parquet", RecordedQuery)
    places = read_table("data/prepared/places.parquet", Place)
    rows, out = tidy(generate(passages, places, recorded, params), passages, params)
    queries = rows.unique("query_id", keep="first", maintain_order=True)
    write_table(queries, OUT / "queries.parquet", Query)
    write_table(rows.unique(["query_id", "passage_id"]), OUT / "answerable.parquet", Answerable)
    left_out = rejected(out, "query", "query_id", detail="passage_id").sort(pl.all())
    write_table(left_out, OUT / "rejected.parquet", Rejected)
    report = {
        "queries": dict(sorted(queries["origin"].value_counts().iter_rows())),
        "kinds": dict(sorted(queries["kind"].value_counts().iter_rows())),
        "splits": dict(sorted(queries["split"].cast(pl.String).value_counts().iter_rows())),
        "passages_with_queries": rows["passage_id"].n_unique(),
        "rejected": reasons(left_out),
    }
    write_json(report, "reports/generate.json")
    say(f"generate: {queries.height} queries for {rows['passage_id'].n_unique()} passages {report['queries']}")


if __name__ == "__main__":
    run(main)
