"""Run one phase of a recipe through SentenceTransformerTrainer; a kill costs what came since the last checkpoint."""

import math
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import torch
from datasets import Dataset
from dvclive import Live
from pydantic import Field, NonNegativeInt, PositiveInt, model_validator
from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer, SentenceTransformerTrainingArguments
from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from nestling.errors import UserError
from nestling.params import Strict
from nestling.retrieval.embeddings import PROMPTS, Role
from nestling.retrieval.encoders import Precision
from nestling.tables.io import write_text
from nestling.training.dev import DevEvaluator
from nestling.training.objectives import LossParams

LABELS = ("label", "score")  # columns that are no text
WHOLE = "whole"  # stands in a checkpoint that was written to its end, and names its files


class TaskParams(Strict):
    """A data set and the loss it is trained with."""

    data: Literal["retrieval", "sts"]
    negatives: NonNegativeInt  # hard negatives a retrieval row brings along; 0 for sts
    weight: float = Field(gt=0)  # of the loss; CoSENT's gradient is a hundred times that of ranking
    loss: LossParams = Field(discriminator="kind")

    @model_validator(mode="after")
    def _gist_takes_one(self) -> Self:
        if self.loss.kind == "gist" and self.negatives > 1:
            raise ValueError("gist takes at most one hard negative a row; cached_gist takes any number")
        return self


class PhaseParams(Strict):
    """Tasks that are trained together, and how."""

    name: str
    tasks: list[TaskParams] = Field(min_length=1)
    mixing: Literal["round_robin", "proportional"]  # which task the next batch is taken from
    sampler: Literal["no_duplicates", "batch_sampler"]
    epochs: float = Field(gt=0)
    batch_size: PositiveInt
    accumulate: PositiveInt  # batches a step; adds no in-batch negatives
    learning_rate: float = Field(gt=0)
    warmup: float = Field(ge=0, lt=1)  # share of the steps
    weight_decay: float = Field(ge=0)
    schedule: Literal["cosine", "linear", "constant"]
    checkpoints: PositiveInt  # evaluations, and thereby checkpoints, in the phase


@dataclass(frozen=True)
class Work:
    """What a phase works on.

    Attributes:
        folder: for checkpoints; outlives a kill, and is removed by the caller when all is done.
        precision: of the forward and backward pass.
        seed: of batches and dropout.
        evaluator: of the dev sets.
        live: where the curves are logged.
    """

    folder: Path
    precision: Precision
    seed: int
    evaluator: DevEvaluator
    live: Live


def check_precision(precision: Precision) -> None:
    """Raise a UserError when this machine cannot train in the precision that is asked for."""
    if precision == "fp16" and not torch.cuda.is_available():
        raise UserError("train.precision is fp16, which needs a GPU: write bf16 or fp32")
    if precision == "bf16" and torch.cuda.is_available() and not torch.cuda.is_bf16_supported():
        raise UserError("train.precision is bf16, which this GPU does not know: write fp16 or fp32")


class _Log(TrainerCallback):
    """Curves to DVCLive; a mark in every checkpoint that is whole."""

    def __init__(self, live: Live) -> None:
        self.live = live

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Mapping[str, float] | None = None,
        **_: Any,
    ) -> None:
        self.live.step = state.global_step
        for name, value in (logs or {}).items():
            if name in ("loss", "learning_rate", "grad_norm") or name.startswith("eval_dev"):
                self.live.log_metric(name.removeprefix("eval_"), value)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        checkpoint = Path(str(args.output_dir), f"checkpoint-{state.global_step}")
        write_text("\n".join(_files(checkpoint)), checkpoint / WHOLE)


class _Trainer(SentenceTransformerTrainer):
    """Without the card that would quote training texts."""

    def add_model_card_callback(self, default_args_dict: dict[str, Any]) -> None:
        pass


def train_phase(
    model: SentenceTransformer,
    sets: dict[str, Dataset],
    losses: Mapping[str, nn.Module],
    params: PhaseParams,
    work: Work,
) -> dict[str, Any]:
    """Train `model` in place and return what happened: steps, best step, best dev metric.

    Args:
        model: the student; ends as the best checkpoint by dev nDCG@10.
        sets: task name -> examples.
        losses: task name -> loss.
        params: of the phase.
        work: where and how.
    """
    arguments = _arguments(model, sets, params, work)
    trainer = _Trainer(
        model=model,
        args=arguments,
        train_dataset=sets,
        loss=dict(losses),
        evaluator=work.evaluator if work.evaluator.measures else None,
        callbacks=[_Log(work.live)],
    )
    checkpoint = _last_whole(work.folder)
    _cut_curves(Path(work.live.plots_dir), _step(checkpoint) if checkpoint else -1)
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    _must_be_best(trainer)
    return {
        "name": params.name,
        "steps": trainer.state.global_step,
        "best_step": trainer.state.best_global_step,
        "best_dev": trainer.state.best_metric,
    }


def steps_of(sets: Mapping[str, Dataset], params: PhaseParams) -> int:
    """Return the steps of a phase, as round-robin or proportional mixing has them."""
    batches = [-(-len(rows) // params.batch_size) for rows in sets.values()]
    epoch = min(batches) * len(batches) if params.mixing == "round_robin" else sum(batches)
    return max(1, math.ceil(params.epochs * math.ceil(epoch / params.accumulate)))


def _arguments(
    model: SentenceTransformer, sets: Mapping[str, Dataset], params: PhaseParams, work: Work
) -> SentenceTransformerTrainingArguments:
    every, log_every = _rhythm(steps_of(sets, params) // params.checkpoints)
    measures = work.evaluator.measures
    return SentenceTransformerTrainingArguments(
        output_dir=str(work.folder),
        prompts=_prompts(model, sets),
        num_train_epochs=params.epochs,
        per_device_train_batch_size=params.batch_size,
        gradient_accumulation_steps=params.accumulate,
        learning_rate=params.learning_rate,
        warmup_steps=params.warmup,
        weight_decay=params.weight_decay,
        lr_scheduler_type=params.schedule,
        bf16=work.precision == "bf16",
        fp16=work.precision == "fp16",
        use_cpu=not torch.cuda.is_available(),
        seed=work.seed,
        data_seed=work.seed,
        batch_sampler=params.sampler,
        multi_dataset_batch_sampler=params.mixing,
        eval_strategy="steps" if measures else "no",
        eval_steps=every,
        save_strategy="steps",
        save_steps=every,
        save_total_limit=2,
        load_best_model_at_end=measures,
        metric_for_best_model=f"eval_{work.evaluator.primary_metric}" if measures else None,
        greater_is_better=True,
        logging_steps=log_every,
        report_to=[],
        dataloader_pin_memory=torch.cuda.is_available(),
    )


def _rhythm(between: int) -> tuple[int, int]:
    """Return the steps between checkpoints, and between points of the curves.

    A checkpoint falls on a point: what a point averages would else be lost in part when training goes on from there.
    """
    return (between - between % 4, between // 4) if between >= 40 else (max(1, between), 1)


def _prompts(model: SentenceTransformer, sets: Mapping[str, Dataset]) -> dict[str, str]:
    """Return what stands before the texts of each column, as it will when they are encoded."""
    columns = dict.fromkeys(name for rows in sets.values() for name in rows.column_names if name not in LABELS)
    roles: dict[str, Role] = {"anchor": "query", "sentence1": "pair", "sentence2": "pair"}
    sides = {name: PROMPTS[roles.get(name, "document")] for name in columns}
    return {name: prompt for name, side in sides.items() if (prompt := model.prompts.get(side))}


def _last_whole(folder: Path) -> Path | None:
    """Return the last whole checkpoint and remove those that a kill left half written or half removed."""
    whole = []
    for checkpoint in sorted(folder.glob("checkpoint-*"), key=_step):
        mark = checkpoint / WHOLE
        if mark.exists() and mark.read_text(encoding="utf-8").splitlines() == _files(checkpoint):
            whole.append(checkpoint)
        else:
            shutil.rmtree(checkpoint)
    return whole[-1] if whole else None


def _files(checkpoint: Path) -> list[str]:
    found = (path for path in checkpoint.rglob("*") if path.is_file() and path.name != WHOLE)
    return sorted(path.relative_to(checkpoint).as_posix() for path in found)


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])


def _cut_curves(folder: Path, step: int) -> None:
    """Forget what was logged after `step`, which will be logged again."""
    for file in folder.rglob("*.tsv"):
        lines = [line for line in file.read_text(encoding="utf-8").splitlines(keepends=True) if line.endswith("\n")]
        kept = [line for line in lines[1:] if int(line.partition("\t")[0]) <= step]
        if kept:
            write_text("".join([*lines[:1], *kept]), file)
        else:
            file.unlink()


def _must_be_best(trainer: SentenceTransformerTrainer) -> None:
    best = trainer.state.best_model_checkpoint
    if best and not Path(best).is_dir():  # the trainer logs this and goes on with the last weights
        raise RuntimeError(f"the best checkpoint {best} is gone, so the best model could not be loaded")
