"""Raise the base encoder: phases of (data, loss) tasks at every dimension; the best checkpoint by dev nDCG@10 stays.

Reads   data/balanced/{retrieval,sts}/{train,dev}.parquet (RetrievalRow, StsRow),
        data/prepared/{passages,near}.parquet (Passage, NearDuplicate), models/base/,
        the current encoder's folder (if a loss wants a guide)
Writes  models/tuned/, reports/train.json, reports/training/ (DVCLive)
"""

import hashlib
import shutil
from pathlib import Path
from typing import Any

import polars as pl
from datasets import Dataset
from dvclive import Live
from pydantic import Field, PositiveInt
from sentence_transformers import SentenceTransformer

from nestling.cli import run, say
from nestling.errors import UserError
from nestling.models import fingerprint
from nestling.params import StageParams
from nestling.plausible import order_fault, rate_fault, repeats_fault
from nestling.retrieval.encoders import Precision, check_dims, limit_tokens, load_encoder, save_encoder, traits_of
from nestling.retrieval.static import StaticBag
from nestling.tables.corpus import NearDuplicate, Passage
from nestling.tables.io import read_table, write_json
from nestling.tables.training import RetrievalRow, StsRow
from nestling.training.dev import DevEvaluator, DevSettings
from nestling.training.examples import may_answer, retrieval_examples, sts_examples
from nestling.training.objectives import RANKING, Weighted, build_loss
from nestling.training.phases import PhaseParams, TaskParams, Work, check_precision, train_phase
from nestling.training.vocabulary import FoldingParams, folded_in

BASE, OUT, LOGS = Path("models/base"), Path("models/tuned"), Path("reports/training")
SETS, PREPARED = Path("data/balanced"), Path("data/prepared")
PASSAGES, NEAR = PREPARED / "passages.parquet", PREPARED / "near.parquet"
TRAIN = SETS / "retrieval/train.parquet"
CHECKPOINTS = Path(".cache/train")


class TrainParams(StageParams, section="train", shared=("seed", "current")):
    seed: int
    current: str
    dims: list[PositiveInt] = Field(min_length=1)  # largest first
    weights: list[float]
    precision: Precision
    folding: FoldingParams  # of queries' words into a static encoder, before training
    max_tokens: PositiveInt  # of a text in training, at most; a static encoder has no limit
    dev_passages: PositiveInt  # passages that dev queries search, at most
    phases: list[PhaseParams] = Field(min_length=1)


def check(params: TrainParams, model: SentenceTransformer) -> None:
    """Raise a UserError for parameters that cannot work together."""
    if wrong := order_fault(params.dims, params.weights):
        raise UserError(wrong)
    check_dims(params.dims, model, "train.dims")
    check_precision(params.precision)
    for phase in params.phases:
        for task in phase.tasks:
            if (task.loss.kind in RANKING) != (task.data == "retrieval"):
                raise UserError(f"train.phases {phase.name}: {task.loss.kind} does not train {task.data} data")
        if rate := rate_fault(phase.name, phase.learning_rate, traits_of(model)):
            say(f"train: {rate}")
        if phase.accumulate > 1 and any(task.loss.kind in ("mnrl", "gist") for task in phase.tasks):
            say(f"train: {phase.name}: accumulate adds no in-batch negatives; a cached loss with a larger batch does")


def examples(task: TaskParams, seed: int) -> Dataset:
    """Return a task's training examples."""
    if task.data == "sts":
        return sts_examples(read_table(SETS / "sts/train.parquet", StsRow))
    return retrieval_examples(read_table(TRAIN, RetrievalRow), task.negatives, seed, near_duplicates())


def near_duplicates() -> dict[str, str]:
    """Return the cluster of each passage that has near-duplicates."""
    return dict(read_table(NEAR, NearDuplicate).select("passage_id", "near_id").iter_rows())


def must_mask(phase: PhaseParams, task: TaskParams, rows: Dataset) -> None:
    """Raise a UserError where copies of a passage would be taken for negatives of the query that it answers."""
    wrong = repeats_fault(phase.name, task.loss.kind, phase.sampler)
    if wrong and len(set(rows["positive"])) < len(rows):
        raise UserError(wrong)


def run_phase(model: SentenceTransformer, params: TrainParams, phase: PhaseParams, work: Work) -> dict[str, Any]:
    """Train one phase; a task without a row is left out, and said."""

    def guide(name: str) -> SentenceTransformer:
        return load_encoder(BASE if name == "base" else params.current, str(model.device))

    tasks = {f"{number}-{task.data}": (task, examples(task, params.seed)) for number, task in enumerate(phase.tasks)}
    if idle := [name for name, (_, rows) in tasks.items() if not len(rows)]:
        say(f"train: {phase.name}: no rows for {', '.join(idle)}; training goes on without")
    tasks = {name: (task, rows) for name, (task, rows) in tasks.items() if len(rows)}
    if not tasks:
        raise UserError(f"train.phases {phase.name}: none of its tasks has a row to train on")
    for task, rows in tasks.values():
        must_mask(phase, task, rows)
    answers = may_answer(read_table(TRAIN, RetrievalRow), near_duplicates())
    losses = {
        name: Weighted(build_loss(model, task.loss, guide, params.dims, params.weights, answers), task.weight)
        for name, (task, _) in tasks.items()
    }
    return train_phase(model, {name: rows for name, (_, rows) in tasks.items()}, losses, phase, work)


def work_key(params: TrainParams) -> str:
    """Return what decides the training: a checkpoint of anything else must not be resumed."""
    digest = hashlib.sha256(params.model_dump_json().encode())
    digest.update(fingerprint(BASE).encode() + fingerprint(Path(params.current)).encode())
    for file in [*sorted(SETS.rglob("*.parquet")), PASSAGES, NEAR, *sorted(Path("nestling/training").glob("*.py"))]:
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:16]


def folded(model: SentenceTransformer) -> SentenceTransformer:
    """Return the model as it is shipped: a static encoder's map is merged into its vectors."""
    if isinstance(model[0], StaticBag):
        return SentenceTransformer(modules=[model[0].folded()], device="cpu", similarity_fn_name="cosine")
    return model


def started(params: TrainParams) -> SentenceTransformer:
    """Return the base encoder as training begins: a static one with the words of those who ask folded in."""
    model = load_encoder(BASE)
    check(params, model)
    if not isinstance(model[0], StaticBag):
        return model
    rows = read_table(TRAIN, RetrievalRow)
    told = rows.filter(pl.col("origin").is_in(params.folding.origins))
    bag = folded_in(model[0], told["anchor"].to_list(), told["positive"].to_list(), params.folding)
    return SentenceTransformer(modules=[bag], device="cpu", similarity_fn_name="cosine")


def dev_sets(params: TrainParams) -> DevEvaluator:
    """Return the evaluator of the dev sets."""
    rows = read_table(SETS / "retrieval/dev.parquet", RetrievalRow)
    pairs = read_table(SETS / "sts/dev.parquet", StsRow)
    passages = read_table(PASSAGES, Passage)
    how = DevSettings(params.dims, params.dev_passages, params.seed, params.precision)
    evaluator = DevEvaluator(rows, pairs, passages, how)
    if evaluator.left_out:
        say(f"train: {evaluator.left_out} dev queries are not asked: train.dev_passages has no room for what answers")
    return evaluator


def publish(model: SentenceTransformer, params: TrainParams, folder: Path) -> None:
    """Save the encoder and the curves of all phases, then forget the checkpoints."""
    save_encoder(folded(model), OUT, params.dims)
    shutil.rmtree(LOGS, ignore_errors=True)
    for number in range(1, len(params.phases) + 1):
        shutil.copytree(folder / f"phase-{number}/live", LOGS / f"phase-{number}")
    gone = folder.with_name(f".{folder.name}.done")
    shutil.rmtree(gone, ignore_errors=True)
    folder.rename(gone)  # at one stroke: curves without their checkpoints, or the reverse, would be resumed wrongly
    shutil.rmtree(gone)


def _line(metrics: dict[str, float]) -> str:
    return ", ".join(f"{name.removeprefix('dev_')} {value:.4f}" for name, value in metrics.items()) or "nothing"


def main() -> None:
    params = TrainParams.load()
    model = started(params)
    whole = limit_tokens(model, min(params.max_tokens, model.max_seq_length or params.max_tokens))
    evaluator = dev_sets(params)
    folder = CHECKPOINTS / work_key(params)
    before = evaluator(model)
    done = []
    for number, phase in enumerate(params.phases, start=1):
        here = folder / f"phase-{number}"
        live = Live(dir=str(here / "live"), save_dvc_exp=False, dvcyaml=None, report=None, resume=True)
        work = Work(here / "checkpoints", params.precision, params.seed, evaluator, live)
        done.append(run_phase(model, params, phase, work))
        live.end()
    after = evaluator(model)
    write_json({"phases": done, "dev_before": before, "dev_after": after}, "reports/train.json")
    limit_tokens(model, whole)  # what was cut in training is encoded whole
    publish(model, params, folder)
    say(f"train: dev {_line(before)} -> {_line(after)}")
    if any(after[name] < before[name] for name in after):
        say("train: on a dev metric the tuned encoder is below where it began: look at reports/metrics.json")


if __name__ == "__main__":
    run(main)
