"""Print how many records people judge until false negatives are found, by the order in which they are shown.

    python benchmarks/review_queue.py                                  the sample, in a minute
    python benchmarks/review_queue.py --beir DIR --language it         any BEIR folder

Sets whose unlabelled answers are known are made by lot (benchmarks/second_pages.py, which says how and with what
limits), built with params.yaml up to mining, and judged by simulated people who err. Compared are a random order, the
margin heuristic that `select` used once, the expected value before any answer, and the same learning from each batch.
Counted are false negatives among mined negatives that lie in the records judged so far. All records are asked about;
the audit sample is left aside. `--without kinship` shows what the order is worth without a feature.
"""

import argparse
import contextlib
import io
import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.second_pages import Made, Making, make, read_beir, read_sample
from nestling.retrieval.embeddings import Encoder
from nestling.review.records import make_records
from nestling.review.worth import Features, Passages, Told, features, worth
from nestling.tables.io import empty
from nestling.tables.queries import Judged
from stages import base, filter, generate, mine, prepare
from stages.select import REPEAT, SelectParams, cluster, rank_active

ROOT = Path(__file__).resolve().parents[1]
FEATURES = ("standing", "score", "kinship")
SHARES = (0.5, 0.8, 0.95)  # of the false negatives
SHUFFLES, PEOPLE, BATCH = 50, 3, 20  # random orders, simulated crews, answers between two lessons


@dataclass(frozen=True)
class Case:
    """A built set as the queue sees it.

    Attributes:
        records: ReviewRecord rows.
        candidates: Candidate rows.
        known: their features.
        topics: passage_id, cluster.
        truth: query, passage_id of all that answers.
        params: of `select`.
    """

    records: pl.DataFrame
    candidates: pl.DataFrame
    known: Features
    topics: pl.DataFrame
    truth: pl.DataFrame
    params: SelectParams

    def found(self) -> dict[str, int]:
        """Return how many false negatives each record shows, by record_id."""
        mined = self.known.shown.filter("mined").join(self.truth, on=["query", "passage_id"])
        return dict(mined["record_id"].value_counts().iter_rows())


def write_set(made: Made, language: str, folder: Path) -> None:
    """Lay a project out in `folder`: the set, and params.yaml without other queries, splits and cuts."""
    bench = folder / "data/raw/bench"
    (bench / "documents").mkdir(parents=True)
    (bench / "set.yaml").write_text(f"language: '{language}'\n", encoding="utf-8")
    documents = ({"_id": name, "title": "", "text": text} for name, text in made.documents.items())
    queries = ({"text": query, "document_id": name} for query, name in made.named.items())
    for rows, file in ((documents, bench / "documents/all.jsonl"), (queries, bench / "queries.jsonl")):
        file.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["shared"] |= {"set": "bench", "languages": [language]}
    params["prepare"] |= {"max_words": 5000, "dev_share": 0.0, "test_share": 0.0}
    params["generate"]["sources"] = [{"kind": "recorded"}]
    (folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")


def build(made: Made) -> Case:
    """Run the stages up to mining in the present folder, and take up what `select` would see."""
    with contextlib.redirect_stderr(io.StringIO()):  # where stages say what they did
        for stage in (prepare, base, generate, filter, mine):
            stage.main()
    passages = pl.read_parquet("data/prepared/passages.parquet")
    candidates = pl.read_parquet("data/mined/candidates.parquet")
    params = SelectParams.load()
    found = pl.read_parquet("data/filtered/queries.parquet")
    records = make_records(found, candidates, params.candidates, params.strata)
    encoded = Encoder(params.current, params.encode).encode(passages["text"].to_list(), "document")
    vectors = encoded.block(0, len(encoded))
    pairs = [(query, name) for query, names in made.answers.items() for name in sorted(names)]
    places = pl.read_parquet("data/prepared/places.parquet")
    truth = pl.DataFrame(pairs, ["query", "document_id"], orient="row").join(places, on="document_id")
    return Case(
        records=records,
        candidates=candidates,
        known=features(records, candidates, Passages(passages["passage_id"], vectors), empty(Judged)),
        topics=cluster(vectors, passages["passage_id"], params.clusters, params.seed),
        truth=truth.select("query", "passage_id").unique(maintain_order=True),
        params=params,
    )


def nobody() -> Told:
    """Return what nobody said."""
    kinds = {"query": pl.String, "passage_id": pl.String}
    return Told(
        pl.DataFrame(schema=kinds | {"relevant": pl.Boolean}), pl.DataFrame(schema=kinds | {"quality": pl.String})
    )


def people(case: Case, error: float, seed: int) -> Told:
    """Return what people who err would say of every record: each of their marks is wrong with the same chance."""
    matter = ["query", "passage_id"]
    shown = pl.concat([case.known.asked.select(matter), case.known.shown.select(matter)]).unique(maintain_order=True)
    true = shown.join(case.truth.with_columns(relevant=True), on=matter, how="left", maintain_order="left")
    slip = pl.Series(np.random.default_rng(seed).random(true.height) < error)
    relevant = true.with_columns(relevant=pl.col("relevant").fill_null(False) ^ slip)
    own = relevant.join(case.known.asked.select(matter), on=matter, how="semi", maintain_order="left")
    word = pl.when("relevant").then(pl.lit("good")).otherwise(pl.lit("not_answerable"))
    return Told(relevant, own.select(*matter, quality=word))


def by_margin(case: Case) -> list[str]:
    """Return record_ids as `select` ordered them once: narrow margins and outscored passages, topics in turn."""
    above = (
        case.records.select("query_id", passage_id="candidates")
        .explode("passage_id")
        .join(case.candidates, on=["query_id", "passage_id"])
        .group_by("query_id")
        .agg(above=(pl.col("score") > pl.col("positive_score")).sum())
    )
    closeness = 1 - (pl.col("margin").rank() - 1) / pl.max_horizontal(pl.col("margin").count() - 1, 1)
    share = pl.col("above").fill_null(0) / pl.max_horizontal(pl.col("candidates").list.len(), 1)
    ranked = (
        case.records.join(above, on="query_id", how="left", maintain_order="left")
        .join(case.topics, on="passage_id", maintain_order="left")
        .with_columns(old=closeness.fill_null(0.0) + share)
        .sort("old", "record_id", descending=[True, False])
        .with_columns(turn=pl.int_range(pl.len()).over("cluster"))
        .sort("turn", "old", "record_id", descending=[False, True, False])
    )
    return ranked["record_id"].to_list()


def by_worth(case: Case, told: Told, batch: int) -> list[str]:
    """Return record_ids as `select` orders them now, each batch in the light of what is said of those before it."""
    order: list[str] = []
    while len(order) < case.records.height:
        judged = case.records.filter(pl.col("record_id").is_in(order))
        worths = worth(case.known, _said(told, judged))
        left = case.records.filter(~pl.col("record_id").is_in(order))
        order += rank_active(left, worths, case.topics, REPEAT)["record_id"].head(batch).to_list()
    return order


def _said(told: Told, judged: pl.DataFrame) -> Told:
    matter = ["query", "passage_id"]
    own = judged.select(matter)
    shown = pl.concat([own, judged.select("query", passage_id="candidates").explode("passage_id").drop_nulls()])
    return Told(
        told.relevant.join(shown, on=matter, how="semi", maintain_order="left"),
        told.quality.join(own, on=matter, how="semi", maintain_order="left"),
    )


def needed(order: Sequence[str], found: dict[str, int]) -> list[int]:
    """Return how many records are judged until each of SHARES of the false negatives was among them."""
    seen = np.cumsum([found.get(name, 0) for name in order])
    return [int(np.searchsorted(seen, share * seen[-1] - 1e-9)) + 1 for share in SHARES]


def orders(case: Case, error: float) -> dict[str, list[list[int]]]:
    """Return, for each way to order, what `needed` gives in each trial."""
    found, names = case.found(), case.records["record_id"].to_list()
    shuffles = (np.random.default_rng(seed).permutation(names).tolist() for seed in range(SHUFFLES))
    crews = (by_worth(case, people(case, error, seed), BATCH) for seed in range(PEOPLE))
    return {
        "random": [needed(order, found) for order in shuffles],
        "margin, as it was": [needed(by_margin(case), found)],
        "expected value": [needed(by_worth(case, nobody(), case.records.height), found)],
        "expected value, learning": [needed(order, found) for order in crews],
        "who knows": [needed(sorted(names, key=lambda name: -found.get(name, 0)), found)],
    }


def show(trials: list[dict[str, list[list[int]]]]) -> None:
    """Print medians over all trials of all sets, their range, and the mean ratio to random of the same set."""
    print(f"| order | {' | '.join(f'{share:.0%} found | x random' for share in SHARES)} |")
    print(f"|---|{'---|---|' * len(SHARES)}")
    for name in trials[0]:
        cells = []
        for place in range(len(SHARES)):
            counts = [row[place] for trial in trials for row in trial[name]]
            ratios = [_median(trial[name], place) / _median(trial["random"], place) for trial in trials]
            cells += [
                f"{statistics.median(counts):.0f} ({min(counts)}-{max(counts)})",
                f"{statistics.mean(ratios):.2f}",
            ]
        print(f"| {name} | {' | '.join(cells)} |")


def _median(rows: list[list[int]], place: int) -> float:
    return float(statistics.median(row[place] for row in rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--beir", type=Path, help="a folder in BEIR layout; the sample if none is given")
    parser.add_argument("--language", default="it", help="of the set, ISO 639-1")
    parser.add_argument("--sets", type=int, default=3, help="sets made by lot")
    parser.add_argument("--reworded", type=float, default=0.4, help="mean share of words that second pages change")
    parser.add_argument("--error", type=float, default=0.05, help="share of marks that people set wrong")
    parser.add_argument(
        "--without", action="append", default=[], choices=FEATURES, help="a feature held at its average"
    )
    options = parser.parse_args()
    texts, asked = read_beir(options.beir) if options.beir else read_sample(ROOT / "data/raw/sample")
    making = Making(options.language, 0.3, (0.4, 1.0), options.reworded, 1.25, 0.03)
    trials = []
    for seed in range(options.sets):
        made = make(texts, asked, making, seed)
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            write_set(made, options.language, Path(folder))
            case = build(made)
        blunt = case.known.shown.with_columns(pl.lit(0.0).alias(name) for name in options.without)
        case = Case(**vars(case) | {"known": Features(blunt, case.known.asked)})
        shown = case.known.shown.join(case.truth.with_columns(answers=True), on=["query", "passage_id"], how="left")
        mined = shown.filter("mined")
        print(
            f"set {seed}: {case.records.height} records, {mined['answers'].count()} of {mined.height} negatives false"
        )
        trials.append(orders(case, options.error))
    show(trials)


if __name__ == "__main__":
    main()
