"""Of a recorded query that names several documents: does the best alone teach as much as all? How are all to count?

    python -m benchmarks.labels BEIR_FOLDER --language en

Half of the queries that people wrote are trained on as recorded queries and the other half measured; then the other
way round, so that every query is measured once by an encoder that has not seen it. Three trainings on as many rows,
with the parameters of params.yaml, differ in the recorded rows alone:

best   the labelled passage that the base encoder ranks first, as often as all labels together
rows   a row a label: a query with ten counts ten times, each time with its other labels kept out of the negatives
even   labels in turn, every query as often as any other: what the mean over a query's labels within a loss comes to
"""

import argparse
import json
import random
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import polars as pl
import yaml

from benchmarks.encoders import ROOT, STAGES, run
from nestling.evaluation.bootstrap import paired_difference
from nestling.tables.evaluation import QueryScore
from nestling.tables.io import read_table, write_table
from nestling.tables.queries import FoundQuery
from nestling.tables.training import RetrievalRow

TRAIN, SET = Path("data/balanced/retrieval/train.parquet"), Path("data/raw/bench")
VARIANTS = ("best", "rows", "even")


def lay(folder: Path, beir: Path, language: str, trained: set[str]) -> None:
    """Lay out a project whose recorded queries are the trained ones, and whose suite `gold` holds the others."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["shared"] |= {"set": "bench", "languages": [language]}
    params["balance"]["contamination"] = "drop"
    (folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    (folder / "data/annotations").mkdir(parents=True)
    queries = (beir / "queries.jsonl").read_text(encoding="utf-8").splitlines()
    head, *qrels = (beir / "qrels/test.tsv").read_text(encoding="utf-8").splitlines()
    write(folder / SET / "documents/corpus.jsonl", (beir / "corpus.jsonl").read_text(encoding="utf-8").splitlines())
    for place, wanted in (("", True), ("eval/gold/", False)):
        name = "train" if wanted else "test"
        asked = (line for line in queries if (json.loads(line)["_id"] in trained) is wanted)
        judged = (line for line in qrels if (line.split("\t")[0] in trained) is wanted)
        write(folder / SET / f"{place}queries.jsonl", asked)
        write(folder / SET / f"{place}qrels/{name}.tsv", [head, *judged])


def write(path: Path, lines: Iterable[str]) -> None:
    """Write lines into a file in a new folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def variant(name: str, rows: pl.DataFrame, best: pl.DataFrame) -> pl.DataFrame:
    """Return the rows with the recorded ones among them, as many as before, drawn in one of three ways.

    Args:
        name: of the way.
        rows: RetrievalRow rows.
        best: query_id, positive_id of the labelled passage that ranks first.
    """
    recorded = rows.filter(pl.col("origin") == "recorded")
    one_each = recorded.unique(["query_id", "positive_id"], keep="first", maintain_order=True)
    if name == "rows":
        return rows
    if name == "best":
        one_each = one_each.join(best, on=["query_id", "positive_id"], how="semi", maintain_order="left")
    labels = one_each.with_row_index("row").group_by("query_id", maintain_order=True).agg("row")["row"].to_list()
    turns = -(-recorded.height // len(labels))
    drawn = [each[turn % len(each)] for turn in range(turns) for each in labels][: recorded.height]
    copy = pl.int_range(pl.len(), dtype=pl.UInt32).over("query_id", "positive_id")
    return pl.concat([rows.filter(pl.col("origin") != "recorded"), one_each[drawn].with_columns(copy=copy)])


def measured(folder: Path) -> dict[str, pl.DataFrame]:
    """Return query_id, dim, value (nDCG@10 on the suite gold) of every variant, and of `base`."""
    for stage in STAGES[: STAGES.index("train")]:
        run(folder, [f"stages.{stage}"])
    rows = read_table(folder / TRAIN, RetrievalRow)
    best = read_table(folder / "data/filtered/queries.parquet", FoundQuery).select(
        "query_id", positive_id="passage_id"
    )
    found = {}
    for name in VARIANTS:
        write_table(variant(name, rows, best), folder / TRAIN, RetrievalRow)
        for stage in ("train", "evaluate"):
            run(folder, [f"stages.{stage}"])
        scores = read_table(folder / "data/scores/queries.parquet", QueryScore).filter(suite="gold", metric="ndcg@10")
        for system in ("base", "tuned"):
            values = scores.filter(system=system).select("query_id", "dim", "value").sort("dim", "query_id")
            found["base" if system == "base" else name] = values
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("beir", type=Path, help="a folder in BEIR layout")
    parser.add_argument("--language", default="it", help="of the corpus, ISO 639-1")
    options = parser.parse_args()
    lines = (options.beir / "queries.jsonl").read_text(encoding="utf-8").splitlines()
    names = sorted(json.loads(line)["_id"] for line in lines)
    random.Random(1).shuffle(names)
    halves = [{*names[::2]}, {*names[1::2]}]
    parts = []
    for trained in halves:
        with tempfile.TemporaryDirectory() as temporary:
            lay(Path(temporary), options.beir, options.language, trained)
            parts.append(measured(Path(temporary)))
    whole = {name: pl.concat([part[name] for part in parts]) for name in ("base", *VARIANTS)}
    dims = sorted(whole["base"]["dim"].unique(), reverse=True)
    values = {
        (name, dim): scores.filter(dim=dim)["value"].to_numpy() for name, scores in whole.items() for dim in dims
    }
    print(f"{len(values['base', dims[0]])} queries, nDCG@10\n\n| | {' | '.join(map(str, dims))} |")
    print(f"|---|{'---|' * len(dims)}")
    for name in whole:
        print(f"| {name} | {' | '.join(f'{values[name, dim].mean():.3f}' for dim in dims)} |")
    for name, other in (("rows", "best"), ("even", "rows"), ("rows", "base")):
        print(f"| {name} - {other} | {' | '.join(gap(values[name, dim], values[other, dim]) for dim in dims)} |")


def gap(one: np.ndarray, other: np.ndarray) -> str:
    """Return the mean difference over queries and its 95% interval."""
    found = paired_difference(one, other, seed=1)
    return f"{found.mean:+.3f} ({found.low:+.3f} to {found.high:+.3f})"


if __name__ == "__main__":
    main()
