"""Give every passage its queries: recorded ones, ones cut out of the text, ones written by an LLM.

Reads   data/prepared/passages.parquet (Passage), data/prepared/places.parquet (Place),
        data/prepared/recorded.parquet (SplitQuery), data/responses.jsonl and data/response_cache (answers of LLMs)
Writes  data/generated/queries.parquet (Query), data/generated/answerable.parquet (Answerable),
        data/generated/judged.parquet (Judged), data/generated/rejected.parquet (Rejected),
        data/responses.jsonl (the answers that these tables rest on), reports/generate.json
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import polars as pl
from pydantic import Field, model_validator

from nestling.cli import run, say
from nestling.corpus.cleaning import normalized, one_line
from nestling.corpus.ids import content_id
from nestling.corpus.passages import body_of
from nestling.corpus.segmentation import word_count
from nestling.errors import UserError
from nestling.llm.response_cache import ResponseCache
from nestling.params import StageParams, Strict
from nestling.queries.extractive import ExtractiveParams, Extractor, Source
from nestling.queries.synthetic import LlmParams, Synthetic, check_answered, synthesise
from nestling.tables.corpus import SPLITS, Passage, Place, Rejected, SplitQuery
from nestling.tables.io import empty, read_table, write_json, write_table
from nestling.tables.queries import Answerable, Judged, Query
from nestling.tables.sieve import reasons, rejected, sieve

OUT, RESPONSES = Path("data/generated"), Path("data/responses.jsonl")
CACHE = Path("data/response_cache/responses.sqlite")


class Recorded(Strict):
    """Queries that existed before."""

    kind: Literal["recorded"]


class Extractive(ExtractiveParams):
    """Queries cut out of the passage."""

    kind: Literal["extractive"]


class FromLlm(Strict):
    """Queries written by the LLM of `generate.llm`."""

    kind: Literal["llm"]


SourceParams = Annotated[Recorded | Extractive | FromLlm, Field(discriminator="kind")]
SCHEMA: dict[str, Any] = {"text": pl.String, "origin": pl.String, "kind": pl.String, "passage_id": pl.String}
NAMED = SCHEMA | {"document_id": pl.String, "held": pl.Enum(SPLITS)}  # null where the query was made from a passage


class GenerateParams(StageParams, section="generate", shared=("seed",)):
    seed: int
    sources: list[SourceParams] = Field(min_length=1)
    min_words: int = Field(ge=1)  # of a query
    max_words: int = Field(ge=1)
    llm: LlmParams  # of the source of that kind

    @model_validator(mode="after")
    def _one_llm(self) -> Self:
        if sum(isinstance(source, FromLlm) for source in self.sources) > 1:
            raise ValueError("sources hold more than one of kind llm: there is one generate.llm")
        return self


@dataclass(frozen=True)
class Generated:
    """Queries of all sources, and what the LLM left beside them, if it is one."""

    rows: pl.DataFrame
    synthetic: Synthetic | None


def from_recorded(places: pl.DataFrame, recorded: pl.DataFrame) -> pl.DataFrame:
    """Return recorded queries beside every passage of the documents that they name; null where none is left."""
    named = recorded.join(places, on="document_id", how="left", maintain_order="left_right")
    said = pl.lit("recorded")
    return named.select("text", "passage_id", "document_id", origin=said, kind=said, held="split")


def from_text(passages: pl.DataFrame, params: Extractive, seed: int) -> pl.DataFrame:
    """Return queries cut out of every passage."""
    sources = [
        Source(row["passage_id"], row["title"], body_of(row["title"], row["text"]), row["language"])
        for row in passages.iter_rows(named=True)
    ]
    rows = [(cut.text, "extractive", cut.kind, cut.passage_id) for cut in Extractor(sources, params, seed).cut()]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def generate(
    passages: pl.DataFrame, places: pl.DataFrame, recorded: pl.DataFrame, params: GenerateParams, cache: ResponseCache
) -> Generated:
    """Return one row a query and passage that may answer it, of all sources, in their order."""
    rows, synthetic = [], None
    for source in params.sources:
        if isinstance(source, FromLlm):
            synthetic = synthesise(passages, params.llm, params.seed, cache)
            made = synthetic.rows.select("text", origin=pl.lit("llm"), kind="kind", passage_id="passage_id")
        elif isinstance(source, Extractive):
            made = from_text(passages, source, params.seed)
        else:
            made = from_recorded(places, recorded)
        rows.append(made)
    return Generated(pl.concat([pl.DataFrame(schema=NAMED), *rows], how="diagonal"), synthetic)


def tidy(rows: pl.DataFrame, passages: pl.DataFrame, params: GenerateParams) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the rows whose query is of a sensible length, with id, language and split, and the rest with a reason.

    A query that names passages of several splits, or ever named some, stands in the last of train, dev, test: it is
    never trained on. Rows of recorded queries come first: what a person asked is theirs, whatever else asks the same.
    """
    texts = [one_line(text) for text in rows["text"]]
    about = passages.select("passage_id", "language", "split", holder="document_id")
    marked = (
        rows.with_columns(text=pl.Series(texts, dtype=pl.String))
        .join(about, on="passage_id", how="left", maintain_order="left")
        .with_columns(
            document_id=pl.coalesce("document_id", "holder"),
            split=pl.when(pl.col("held") > pl.col("split")).then("held").otherwise("split"),
        )
        .sort(pl.col("origin") != "recorded", maintain_order=True)
    )
    # what a person or a model asks is one query however it is written and whichever passages may answer it; what is
    # cut out of a passage belongs to that passage
    owner = pl.when(pl.col("origin") == "extractive").then(pl.col("passage_id")).otherwise(pl.lit(""))
    same = pl.col("text").map_elements(normalized, return_dtype=pl.String)
    named = marked.with_columns(
        query_id=pl.struct(text=pl.when(owner == "").then(same).otherwise("text"), owner=owner).map_elements(
            lambda row: content_id(row["text"], row["owner"]), return_dtype=pl.String
        ),
        words=pl.col("text").map_elements(word_count, return_dtype=pl.Int64),
    ).with_columns(
        split=pl.col("split").max().over("query_id"),
        language=pl.col("language").drop_nulls().first().over("query_id"),
    )
    return sieve(
        named,
        {
            "no_passage": pl.col("holder").is_not_null(),  # nothing of the document that it names was kept
            "empty": pl.col("text").str.len_chars() > 0,
            "too_short": pl.col("words") >= params.min_words,
            "too_long": pl.col("words") <= params.max_words,
        },
    )


def check_left(rows: pl.DataFrame, out: pl.DataFrame, by_llm: pl.DataFrame) -> None:
    """Make sure that every source of which something was rejected left a query.

    Args:
        rows: queries that are kept.
        out: those that `tidy` left out.
        by_llm: what the gates and the judge left out of an LLM's answers.

    Raises:
        UserError: one left none, or none left any; says which reason took how many.
    """
    lost = {str(origin): reasons(some) for (origin,), some in out.group_by("origin", maintain_order=True)}
    if by_llm.height:
        lost["llm"] = {**reasons(by_llm), **lost.get("llm", {})}
    gone = {origin: why for origin, why in lost.items() if origin not in set(rows["origin"])}
    if rows.is_empty() or gone:
        told = "; ".join(
            f"{origin}: " + ", ".join(f"{number} {reason}" for reason, number in why.items())
            for origin, why in gone.items()
        )
        raise UserError(
            f"generate.sources leave no query of {told or 'any source, for none made one'}: mend the source or take "
            f"it out of generate.sources; every query that was left out is in {OUT}/rejected.parquet"
        )


def report(queries: pl.DataFrame, rows: pl.DataFrame, left_out: pl.DataFrame, made: Generated) -> dict[str, Any]:
    """Return the stage's figures; those under `llm.run` are of this run, all others of the tables."""
    told: dict[str, Any] = {
        "queries": dict(sorted(queries["origin"].value_counts().iter_rows())),
        "kinds": dict(sorted(queries["kind"].value_counts().iter_rows())),
        "splits": dict(sorted(queries["split"].cast(pl.String).value_counts().iter_rows())),
        "passages_with_queries": rows["passage_id"].n_unique(),
        "rejected": reasons(left_out),
    }
    return told | ({"llm": made.synthetic.report} if made.synthetic else {})


def main() -> None:
    params = GenerateParams.load()
    passages = read_table("data/prepared/passages.parquet", Passage)
    recorded = read_table("data/prepared/recorded.parquet", SplitQuery)
    places = read_table("data/prepared/places.parquet", Place)
    with ResponseCache(CACHE) as cache:
        cache.load(RESPONSES)
        made = generate(passages, places, recorded, params, cache)
        cache.save(made.synthetic.used if made.synthetic else (), RESPONSES)
    rows, out = tidy(made.rows, passages, params)
    queries = rows.unique("query_id", keep="first", maintain_order=True)
    by_llm = made.synthetic.left_out if made.synthetic else empty(Rejected)
    left_out = pl.concat([rejected(out, "query", "query_id", detail="document_id"), by_llm]).sort(pl.all())
    write_table(left_out, OUT / "rejected.parquet", Rejected)  # first: it says why, should nothing be left
    if made.synthetic:
        check_answered(made.synthetic)
    check_left(rows, out, by_llm)
    write_table(queries, OUT / "queries.parquet", Query)
    answers = rows.unique(list(Answerable.primary_key()), keep="first", maintain_order=True)
    write_table(answers, OUT / "answerable.parquet", Answerable)
    write_table(made.synthetic.judged if made.synthetic else empty(Judged), OUT / "judged.parquet", Judged)
    told = report(queries, rows, left_out, made)
    write_json(told, "reports/generate.json")
    say(f"generate: {queries.height} queries for {rows['passage_id'].n_unique()} passages {told['queries']}")


if __name__ == "__main__":
    run(main)
