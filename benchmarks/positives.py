"""From which positive is the margin of a query that names several counted? Best, mean and weakest, compared.

    python benchmarks/positives.py BEIR_FOLDER

Of every query with three relevant documents and more each label is hidden in turn. The hidden document answers, so
it should not be mined; `mined` counts how often it is all the same, of the times that the search brings it.
`negatives` is how many negatives all queries with several labels have with all labels in place, and `none` how many
of them have none. The encoder is the static one of params.yaml, made of the corpus; so are the margins.
"""

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
import polars as pl
import yaml

from nestling.retrieval.embeddings import EncodeParams, Encoder
from nestling.retrieval.encoders import StaticParams, make_encoder, save_encoder
from nestling.tables.corpus import NearDuplicate
from nestling.tables.io import empty
from stages.mine import Known, MineParams, judge, mean_scores, near_positives, search

ROOT = Path(__file__).resolve().parents[1]
REFERENCES = {"best": pl.col("score").max(), "mean": pl.col("score").mean(), "weakest": pl.col("score").min()}


def read(folder: Path) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Return passages (passage_id, text), queries (query_id, text) and labels (query_id, positive_id)."""
    rows = [json.loads(line) for line in (folder / "corpus.jsonl").read_text(encoding="utf-8").splitlines()]
    texts = [f"{row.get('title') or ''}\n{row['text']}".strip() for row in rows]
    asked = [json.loads(line) for line in (folder / "queries.jsonl").read_text(encoding="utf-8").splitlines()]
    lines = (folder / "qrels/test.tsv").read_text(encoding="utf-8").splitlines()[1:]
    labels = [line.split("\t")[:2] for line in lines if int(line.split("\t")[2]) > 0]
    return (
        pl.DataFrame({"passage_id": [row["_id"] for row in rows], "text": texts}),
        pl.DataFrame({"query_id": [row["_id"] for row in asked], "text": [row["text"] for row in asked]}),
        pl.DataFrame(labels, schema=["query_id", "positive_id"], orient="row").unique(maintain_order=True),
    )


def hidden_in_turn(queries: pl.DataFrame, labels: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame, dict[str, str]]:
    """Return queries and labels, a copy of each query with three labels and more for each that it lacks, and these."""
    texts = dict(queries.iter_rows())
    asked, told, hidden = [], [], {}
    for (query,), part in labels.group_by("query_id", maintain_order=True):
        names = part["positive_id"].to_list()
        for number, name in enumerate(names if len(names) > 2 else []):
            copy = f"{query}-{number}"
            asked.append((copy, texts[str(query)]))
            told += [(copy, other) for other in names if other != name]
            hidden[copy] = name
    return (
        pl.DataFrame(asked, schema=queries.schema, orient="row"),
        pl.DataFrame(told, schema=labels.schema, orient="row"),
        hidden,
    )


def mined(
    encoder: Encoder, passages: pl.DataFrame, queries: pl.DataFrame, labels: pl.DataFrame, params: MineParams
) -> dict[str, pl.DataFrame]:
    """Return the verdicts on the hits of every query, by what the margin is counted from."""
    asked = encoder.encode(queries["text"].to_list(), "query")
    texts = encoder.encode(passages["text"].to_list(), "document")
    hits = search(encoder, asked, texts, queries["query_id"], passages["passage_id"], params.depth)
    about = passages.select("passage_id", document_id="passage_id", split=pl.lit("train"))
    place = {name: number for number, name in enumerate(passages["passage_id"])}
    row = {name: number for number, name in enumerate(queries["query_id"])}
    ours = labels.filter(pl.col("query_id").is_in(queries["query_id"].to_list()))
    left = asked.take(np.array([row[name] for name in ours["query_id"]]))
    right = texts.take(np.array([place[name] for name in ours["positive_id"]]))
    scored = ours.with_columns(score=pl.Series((left * right).sum(1)))
    positives = ours.with_columns(positive_document="positive_id")
    near = near_positives(hits, positives, passages, empty(NearDuplicate), params.near_duplicate)
    nothing = pl.DataFrame(schema={"query_id": pl.String, "passage_id": pl.String})
    means = queries.select("query_id", query_split=pl.lit("train"), mean_score=mean_scores(asked, texts))
    return {
        name: judge(
            hits.join(about, on="passage_id", maintain_order="left"),
            means.join(
                scored.group_by("query_id").agg(positive_score=reference), on="query_id", maintain_order="left"
            ),
            Known(positives, nothing, near),
            params,
        )
        for name, reference in REFERENCES.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("beir", type=Path, help="a folder in BEIR layout")
    passages, queries, labels = read(parser.parse_args().beir)
    tree = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    encode = EncodeParams(device="cpu", precision="fp32", batch_size=256)
    params = MineParams(seed=1, current="", encode=encode, **tree["mine"])
    several = labels.filter(pl.len().over("query_id") > 1)
    asked = queries.join(several, on="query_id", how="semi", maintain_order="left")
    copies, told, hidden = hidden_in_turn(queries, labels)
    with tempfile.TemporaryDirectory() as folder:
        static = StaticParams(**tree["base"]["encoder"])
        save_encoder(make_encoder(static, passages["text"].to_list(), [], 1), Path(folder) / "base")
        encoder = Encoder(Path(folder) / "base", encode, Path(folder) / "cache")
        whole, cut = mined(encoder, passages, asked, labels, params), mined(encoder, passages, copies, told, params)
    print(f"{asked.height} queries with several labels, {len(hidden)} labels hidden in turn\n")
    print("| counted from | hidden label brought | mined | negatives | none |\n|---|---|---|---|---|")
    for name in REFERENCES:
        lacking = pl.DataFrame({"query_id": [*hidden], "passage_id": [*hidden.values()]})
        brought = cut[name].join(lacking, on=["query_id", "passage_id"])
        false = brought.filter(pl.col("verdict") == "negative").height
        counts = whole[name].group_by("query_id").agg((pl.col("verdict") == "negative").sum())["verdict"]
        print(f"| {name} | {brought.height} | {false} | {counts.sum()} | {(counts == 0).sum()} |")


if __name__ == "__main__":
    main()
