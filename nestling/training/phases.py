"""Run one phase of a recipe through SentenceTransformerTrainer; a kill costs what came since the last checkpoint."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from datasets import Dataset
from dvclive import Live
from pydantic import Field, NonNegativeInt, PositiveInt
from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer, SentenceTransformerTrainingArguments
from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from nestling.errors import UserError
from nestling.params import Strict
from nestling.retrieval.encoders import Precision
from nestling.training.dev import DevEvaluator
from nestling.training.objectives import LossParams

WHOLE = "whole"  # stands in a checkpoint that was written to its end


class TaskParams(Strict):
    """A data set and the loss it is trained with."""

    data: Literal["retrieval", "sts"]
    negatives: NonNegativeInt  # hard negatives a retrieval row brings along; 0 for sts
    weight: float = Field(gt=0)  # of the loss; CoSENT's gradient is a hundred times that of ranking
    loss: LossParams = Field(discriminator="kind")


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


class _Log(TrainerCallback):  # type: ignore[misc]
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
        for name, value in (logs or {}).items():
            if name in ("loss", "learning_rate", "grad_norm") or name.startswith("eval_dev"):
                self.live.log_metric(name.removeprefix("eval_"), value)
        self.live.step = state.global_step

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        Path(args.output_dir, f"checkpoint-{state.global_step}", WHOLE).touch()


def train_phase(
    model: SentenceTransformer, sets: dict[str, Dataset], losses: dict[str, nn.Module], params: PhaseParams, work: Work
) -> dict[str, Any]:
    """Train `model` in place and return what happened: steps, best step, best dev metric.

    Args:
        model: the student; ends as the best checkpoint by dev nDCG@10.
        sets: task name -> examples.
        losses: task name -> loss.
        params: of the phase.
        work: where and how.
    """
    arguments = _arguments(sets, params, work)
    trainer = SentenceTransformerTrainer(
        model=model,
        args=arguments,
        train_dataset=sets,
        loss=losses,
        evaluator=work.evaluator if work.evaluator.measures else None,
        callbacks=[_Log(work.live)],
    )
    trainer.train(resume_from_checkpoint=_last_whole(work.folder))
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
    return max(1, int(epoch * params.epochs / params.accumulate))


def _arguments(sets: Mapping[str, Dataset], params: PhaseParams, work: Work) -> SentenceTransformerTrainingArguments:
    every = max(1, steps_of(sets, params) // params.checkpoints)
    measures = work.evaluator.measures
    return SentenceTransformerTrainingArguments(
        output_dir=str(work.folder),
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
        logging_steps=max(1, every // 4),
        report_to=[],
        dataloader_pin_memory=torch.cuda.is_available(),
    )


def _last_whole(folder: Path) -> str | None:
    whole = sorted(folder.glob(f"checkpoint-*/{WHOLE}"), key=lambda mark: int(mark.parent.name.rpartition("-")[2]))
    for half in folder.glob("checkpoint-*"):
        if not (half / WHOLE).exists():
            shutil.rmtree(half)
    return str(whole[-1].parent) if whole else None


def _must_be_best(trainer: SentenceTransformerTrainer) -> None:
    best = trainer.state.best_model_checkpoint
    if best and not Path(best).is_dir():  # the trainer logs this and goes on with the last weights
        raise RuntimeError(f"the best checkpoint {best} is gone, so the best model could not be loaded")
