"""Print what BM25 has on evaluation sets with and without stemming, how many ties matter, and what ir_measures says.

    python benchmarks/bm25.py it=DIR/squad-it it=DIR/qa4faq-it en=DIR/xquad-en

Each argument is a language and a BEIR folder. A set is added and prepared as a user's is. The last column is the
largest difference of a metric from what ir_measures finds in the run that was written.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

import ir_measures
import polars as pl
import yaml

from nestling.evaluation.bm25 import Bm25Params
from nestling.evaluation.metrics import METRICS, TIED
from nestling.evaluation.runs import write_qrels, writing
from nestling.retrieval.embeddings import EncodeParams
from nestling.tables.corpus import SuiteQrel, SuiteQuery
from nestling.tables.io import empty, write_table
from stages.evaluate import EvaluateParams, read_suites, score_bm25

ROOT = Path(__file__).resolve().parents[1]
ORACLE = ["nDCG@10", "RR@10", "AP@100", "Success@1", "Success@10", "R@100", "Judged@10"]  # in the order of METRICS


def prepare(folder: Path, language: str, beir: Path) -> None:
    """Bring a BEIR folder into a project and prepare it."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["shared"] |= {"set": "bench", "languages": [language]}
    (folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for module in (
        ["nestling.commands.main", "add", "beir", str(beir.resolve()), "--set", "bench"],
        ["stages.prepare"],
    ):
        if os.spawnvpe(os.P_WAIT, sys.executable, [sys.executable, "-m", *module], environment):
            sys.exit(f"{' '.join(module)} failed")
    write_table(empty(SuiteQuery), "data/heldout/queries.parquet", SuiteQuery)
    write_table(empty(SuiteQrel), "data/heldout/qrels.parquet", SuiteQrel)


def row(stem: bool | str, language: str) -> list[str]:
    """Return nDCG@10, queries, queries with ties, and the largest difference from the oracle."""
    settings = {"seed": 1, "languages": [language], "bm25": Bm25Params(k1=1.5, b=0.75, stem=stem), "replicates": 1}
    encode = EncodeParams(device="cpu", precision="fp32", batch_size=1)
    suite = read_suites()[0][0]
    scores = score_bm25(suite, EvaluateParams(**settings, encode=encode), Path("runs"))
    with writing(Path("runs/qrels")) as file:
        write_qrels(suite.qrels, file)
    (path,) = Path("runs", suite.name).glob("bm25.run*")
    measures = [ir_measures.parse_measure(name) for name in ORACLE]
    theirs = ir_measures.calc_aggregate(
        measures, ir_measures.read_trec_qrels("runs/qrels"), ir_measures.read_trec_run(str(path))
    )
    ours = dict(scores.group_by("metric").agg(pl.col("value").mean()).iter_rows())
    apart = max(abs(ours[name] - theirs[measure]) for name, measure in zip(METRICS, measures, strict=True))
    tied = int(scores.filter(metric=TIED)["value"].sum())
    return [f"{ours['ndcg@10']:.4f}", str(scores["query_id"].n_unique()), str(tied), f"{apart:.6f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="+", help="LANGUAGE=FOLDER")
    given = [(one.partition("=")[0], Path(one.partition("=")[2]).resolve()) for one in parser.parse_args().sets]
    print("| set | stem | nDCG@10 | queries | with ties | from ir_measures |\n|---|---|---|---|---|---|")
    for language, beir in given:
        with tempfile.TemporaryDirectory() as temporary:
            os.chdir(temporary)
            prepare(Path(temporary), language, beir)
            for stem in (False, "auto"):
                print(f"| {beir.name} | {stem} | {' | '.join(row(stem, language))} |", flush=True)
            os.chdir(ROOT)


if __name__ == "__main__":
    main()
