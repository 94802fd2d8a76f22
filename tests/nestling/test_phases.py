import copy
import random
import shutil

import polars as pl
import pytest
import torch
from dvclive import Live
from pydantic import ValidationError

from nestling.errors import UserError
from nestling.retrieval.encoders import load_encoder
from nestling.training.dev import DevEvaluator, DevSettings
from nestling.training.examples import may_answer, retrieval_examples, sts_examples
from nestling.training.objectives import build_loss
from nestling.training.phases import WHOLE, PhaseParams, TaskParams, Work, check_precision, steps_of, train_phase
from tests.encoders import static_encoder, tiny_bert

WORDS = [
    "mulino",
    "nonna",
    "porto",
    "coro",
    "sentiero",
    "rifugio",
    "affitto",
    "pesca",
    "sale",
    "neve",
    "forno",
    "corda",
    "barca",
    "canto",
    "legno",
]
draw = random.Random(1)
TEXTS = [" ".join(draw.sample(WORDS, 6)) for _ in range(24)]
ROWS = pl.DataFrame(
    {
        "query_id": [f"q{n}" for n in range(24)],
        "positive_id": [f"p{n}" for n in range(24)],
        "copy": 0,
        "origin": "recorded",
        "anchor": [" ".join(text.split()[:2]) for text in TEXTS],
        "positive": TEXTS,
        "negatives": [[]] * 24,
        "negative_ids": [[]] * 24,
        "answer_ids": [[f"p{n}"] for n in range(24)],
    },
    schema_overrides={name: pl.List(pl.String) for name in ("negatives", "negative_ids", "answer_ids")},
)
PAIRS = pl.DataFrame(
    {"sentence1": TEXTS[:10], "sentence2": TEXTS[10:20], "score": [number / 9 for number in range(10)]}
)
PASSAGES = pl.DataFrame({"passage_id": ROWS["positive_id"], "document_id": ROWS["positive_id"], "text": TEXTS})
SETS = {"r": retrieval_examples(ROWS, 1, seed=1), "s": sts_examples(PAIRS)}
RETRIEVAL = {"data": "retrieval", "negatives": 1, "weight": 1.0, "loss": {"kind": "mnrl", "scale": 20.0}}
STS = {"data": "sts", "negatives": 0, "weight": 0.1, "loss": {"kind": "cosent", "scale": 20.0}}
PHASE = {
    "name": "one",
    "tasks": [RETRIEVAL, STS],
    "mixing": "proportional",
    "sampler": "batch_sampler",
    "epochs": 4.0,
    "batch_size": 4,
    "accumulate": 1,
    "learning_rate": 0.05,
    "warmup": 0.1,
    "weight_decay": 0.01,
    "schedule": "cosine",
    "checkpoints": 4,
}


def phase(**changes):
    return PhaseParams.model_validate(PHASE | changes)


def evaluator(measures=True):
    rows, pairs = (ROWS.tail(6), PAIRS) if measures else (ROWS.clear(), PAIRS.clear())
    return DevEvaluator(rows, pairs, PASSAGES, DevSettings([8, 4], 24, 1, "fp32"))


def train(folder, params, model=None, sets=SETS, measures=True, precision="fp32", answers=None):
    model = model or static_encoder(TEXTS, 8)
    live = Live(dir=str(folder / "live"), save_dvc_exp=False, dvcyaml=None, report=None, resume=True)
    kinds = {name: params.tasks["rs".index(name)].loss for name in sets}
    losses = {
        name: build_loss(model, kind, lambda _: copy.deepcopy(model), [8, 4], [1.0, 1.0], answers)
        for name, kind in kinds.items()
    }
    work = Work(folder / "checkpoints", precision, 1, evaluator(measures), live)
    done = train_phase(model, dict(sets), losses, params, work)
    live.end()
    return model, done


def checkpoints(folder):
    return sorted(int(path.name.split("-")[1]) for path in folder.glob("checkpoints/checkpoint-*"))


def curve(folder, name):
    lines = (folder / f"live/plots/metrics/{name}.tsv").read_text().splitlines()
    assert lines[0] == f"step\t{name}"
    return [(int(step), float(value)) for step, value in (line.split("\t") for line in lines[1:])]


def test_what_remains_is_the_best_checkpoint_and_not_the_last(tmp_path):
    wrong = ROWS.with_columns(positive=pl.col("positive").reverse())
    harmful = phase(learning_rate=0.5, schedule="constant", checkpoints=6)
    model, done = train(tmp_path, harmful, sets={"r": retrieval_examples(wrong, 0, seed=1)})
    dev = curve(tmp_path, "dev_ndcg@10")
    assert done["best_dev"] == max(value for _, value in dev) > dev[-1][1]
    assert done["best_step"] == max(dev, key=lambda point: (point[1], -point[0]))[0]
    best = load_encoder(tmp_path / f"checkpoints/checkpoint-{done['best_step']}")
    assert torch.equal(best[0].turn, model[0].turn)
    assert evaluator()(model)["dev_ndcg@10"] == done["best_dev"]


@pytest.mark.parametrize("mixing", ["round_robin", "proportional"])
@pytest.mark.parametrize(
    ("epochs", "batch_size", "accumulate", "sampler"),
    [
        (1.0, 5, 1, "no_duplicates"),
        (2.5, 5, 2, "batch_sampler"),
        (0.3, 4, 3, "no_duplicates"),
        (2.0, 50, 4, "batch_sampler"),
        (0.01, 4, 1, "batch_sampler"),
    ],
)
def test_the_steps_foretold_are_the_steps_taken(mixing, sampler, epochs, batch_size, accumulate, tmp_path):
    sizes = {"epochs": epochs, "batch_size": batch_size, "accumulate": accumulate}
    params = phase(mixing=mixing, sampler=sampler, **sizes)
    _, done = train(tmp_path, params, measures=False)
    assert done["steps"] == steps_of(SETS, params)


def test_a_phase_has_as_many_checkpoints_as_asked_and_its_end(tmp_path):
    train(tmp_path, phase(checkpoints=3))
    assert [step for step, _ in curve(tmp_path, "dev_ndcg@10")] == [12, 24, 36]
    assert len(checkpoints(tmp_path)) <= 2


def test_curves_stand_at_the_step_they_were_measured_at(tmp_path):
    train(tmp_path, phase(checkpoints=3))
    assert [step for step, _ in curve(tmp_path, "loss")] == list(range(1, 37))
    rates = dict(curve(tmp_path, "learning_rate"))
    assert rates[1] == 0  # warm-up begins
    assert rates[1] < rates[5] == max(rates.values()) > rates[36]
    assert {"dev_spearman.tsv", "grad_norm.tsv"} <= {path.name for path in tmp_path.rglob("*.tsv")}


def kill_after(folder, step):
    """Leave what a kill leaves that comes just after the checkpoint at `step` was written."""
    for path in folder.glob("checkpoints/checkpoint-*"):
        if int(path.name.split("-")[1]) > step:
            shutil.rmtree(path)


@pytest.mark.parametrize("encoder", ["static", "bert"])
@pytest.mark.parametrize("sampler", ["batch_sampler", "no_duplicates"])
def test_a_killed_phase_goes_on_to_the_same_weights_and_curves(sampler, encoder, tmp_path):
    params = phase(sampler=sampler, learning_rate=0.01)
    make = {"static": lambda: static_encoder(TEXTS, 8), "bert": tiny_bert}[encoder]
    whole, done = train(tmp_path / "a", params, make())
    train(tmp_path / "b", params, make())
    kill_after(tmp_path / "b", checkpoints(tmp_path / "b")[0])
    resumed, again = train(tmp_path / "b", params, make())
    assert again == done
    assert all(torch.equal(value, resumed.state_dict()[name]) for name, value in whole.state_dict().items())
    for name in ("loss", "dev_ndcg@10", "dev_spearman", "learning_rate"):
        assert curve(tmp_path / "a", name) == curve(tmp_path / "b", name)


def test_a_phase_that_is_done_is_not_trained_again(tmp_path):
    whole, done = train(tmp_path, phase())
    curves = curve(tmp_path, "loss")
    again, same = train(tmp_path, phase())
    assert same == done
    assert torch.equal(whole[0].turn, again[0].turn)
    assert curve(tmp_path, "loss") == curves


@pytest.mark.parametrize("missing", [WHOLE, "model.safetensors", "optimizer.pt", "trainer_state.json"])
def test_a_checkpoint_that_is_not_whole_is_removed_and_not_resumed(missing, tmp_path):
    _, done = train(tmp_path, phase())
    last = max(checkpoints(tmp_path))
    (tmp_path / f"checkpoints/checkpoint-{last}" / missing).unlink()
    (tmp_path / "checkpoints/checkpoint-999").mkdir()
    _, again = train(tmp_path, phase())
    assert again == done
    assert 999 not in checkpoints(tmp_path)


def test_without_dev_data_the_last_weights_remain(tmp_path):
    model, done = train(tmp_path, phase(), measures=False)
    last = load_encoder(tmp_path / f"checkpoints/checkpoint-{done['steps']}")
    assert done["best_step"] is None
    assert done["best_dev"] is None
    assert torch.equal(last[0].turn, model[0].turn)


def test_training_makes_the_dev_set_better_on_a_task_that_can_be_learned(tmp_path):
    model = tiny_bert()
    before = evaluator()(model)["dev_ndcg@10"]
    _, done = train(tmp_path, phase(learning_rate=0.005, epochs=8.0, schedule="linear"), model)
    assert done["best_dev"] > before + 0.05


FREE, GUIDED = ("mnrl", "cached_mnrl", "nested_mnrl"), ("gist", "cached_gist")


@pytest.mark.parametrize(
    ("encoder", "kind"), [*(("static", kind) for kind in FREE), *(("bert", kind) for kind in (*FREE, *GUIDED))]
)
def test_the_trainer_takes_every_loss_and_both_kinds_of_encoder(encoder, kind, tmp_path):
    extra = {"gist": {"temperature": 0.05, "guide": "base"}}.get(kind.removeprefix("cached_"), {"scale": 20.0})
    extra |= {"mini_batch": 3} if kind.startswith("cached") else {}
    extra |= {"distil": 0.5} if kind == "nested_mnrl" else {}
    tasks = [RETRIEVAL | {"loss": {"kind": kind, **extra}}, STS | {"loss": {"kind": "cosine"}}]
    params = phase(tasks=tasks, epochs=0.5, checkpoints=1)
    model, done = train(tmp_path, params, tiny_bert() if encoder == "bert" else None)
    assert done["steps"] == 5
    assert all(torch.isfinite(value).all() for value in model.state_dict().values())


def test_bf16_trains_on_a_cpu(tmp_path):
    model, done = train(tmp_path, phase(epochs=1.0), precision="bf16")
    assert done["steps"] == 9
    assert torch.isfinite(model[0].turn).all()


def test_no_duplicates_keeps_a_passage_once_in_a_batch(tmp_path):
    twice = ROWS.with_columns(positive=pl.lit("un solo passo"))
    sets = {"r": retrieval_examples(twice, 0, seed=1)}
    params = phase(tasks=[RETRIEVAL | {"negatives": 0}], sampler="no_duplicates", epochs=1.0, batch_size=24)
    _, done = train(tmp_path, params, sets=sets, measures=False)
    assert done["steps"] == 1  # one row a batch, and no more batches than foretold
    assert curve(tmp_path, "loss")[0][1] == 0  # nothing but its own positive


def test_near_duplicates_reach_the_loss_beside_another_task(tmp_path):
    nested = RETRIEVAL | {"loss": {"kind": "nested_mnrl", "scale": 20.0, "distil": 0.5}}
    rows = ROWS.with_columns(
        pl.lit([], dtype=pl.List(pl.String)).alias(name) for name in ("negatives", "negative_ids")
    )
    params, empty = phase(tasks=[nested, STS], epochs=1.0, checkpoints=1), {}
    for name, known in {"one": dict.fromkeys(ROWS["positive_id"], "p0"), "apart": {}}.items():
        sets = {"r": retrieval_examples(rows, 0, 1, known), "s": sts_examples(PAIRS)}
        train(tmp_path / name, params, sets=sets, measures=False, answers=may_answer(rows, known))
        empty[name] = sum(abs(value) < 1e-6 for _, value in curve(tmp_path / name, "loss"))
    assert empty == {"one": 6, "apart": 0}  # the six batches of queries have no negative; the three of pairs stand


def test_prompts_stand_before_the_texts_of_training_as_of_search(tmp_path):
    model = tiny_bert()
    model.prompts = {"query": "chiede ", "document": "testo "}
    heard = set()

    class Listening(type(model[0].tokenizer)):
        def __call__(self, text, *rest, **named):
            heard.update(text)
            return super().__call__(text, *rest, **named)

    model[0].tokenizer.__class__ = Listening
    train(tmp_path, phase(epochs=1.0), model, measures=False)
    assert heard >= {f"chiede {anchor}" for anchor in ROWS["anchor"]} | {f"testo {text}" for text in TEXTS}
    assert heard >= {f"chiede {text}" for text in TEXTS[:20]}  # sentence pairs
    assert not heard & {*ROWS["anchor"], *TEXTS}


def test_checkpoints_quote_no_training_text(tmp_path):
    train(tmp_path, phase())
    cards = list(tmp_path.rglob("*.md"))
    assert cards
    assert not [card for card in cards for text in TEXTS if text in card.read_text(encoding="utf-8")]


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU can")
def test_fp16_without_a_gpu_is_refused_in_a_sentence():
    with pytest.raises(UserError, match=r"train\.precision is fp16, which needs a GPU: write bf16 or fp32"):
        check_precision("fp16")
    check_precision("bf16")


def test_gist_takes_at_most_one_hard_negative():
    guided = {"kind": "gist", "temperature": 0.05, "guide": "base"}
    TaskParams.model_validate(RETRIEVAL | {"loss": guided, "negatives": 1})
    TaskParams.model_validate(RETRIEVAL | {"loss": guided | {"kind": "cached_gist", "mini_batch": 2}, "negatives": 4})
    with pytest.raises(ValidationError, match="gist takes at most one hard negative"):
        TaskParams.model_validate(RETRIEVAL | {"loss": guided, "negatives": 2})
