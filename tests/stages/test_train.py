import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest
import torch
import yaml
from safetensors import safe_open

from nestling.errors import UserError
from nestling.retrieval.encoders import dimension, load_encoder, save_encoder, trained_dims
from nestling.tables.corpus import NearDuplicate, Passage
from nestling.tables.io import empty, write_table
from nestling.tables.training import RetrievalRow, StsRow
from stages.train import TrainParams, check, dev_sets, examples, main, work_key
from tests.encoders import static_encoder, stored_in, tiny_bert
from tests.project import REPOSITORY

draw = random.Random(1)
WORDS = [
    f"{first}{second}" for first in ("mul", "non", "por", "cor", "sen", "rif") for second in ("ino", "ata", "ette")
]
TEXTS = [" ".join(draw.sample(WORDS, 8)) for _ in range(60)]
RANKING = {"kind": "nested_mnrl", "scale": 20.0, "distil": 0.5}
COSENT = {"kind": "cosent", "scale": 20.0}
GIST = {"kind": "gist", "temperature": 0.05, "guide": "current"}
RETRIEVAL = {"data": "retrieval", "negatives": 1, "weight": 1.0, "loss": RANKING}
STS = {"data": "sts", "negatives": 0, "weight": 0.1, "loss": COSENT}
PHASE = {
    "name": "contrastive",
    "tasks": [RETRIEVAL],
    "mixing": "proportional",
    "sampler": "batch_sampler",
    "epochs": 1.0,
    "batch_size": 8,
    "accumulate": 1,
    "learning_rate": 0.01,
    "warmup": 0.1,
    "weight_decay": 0.0,
    "schedule": "cosine",
    "checkpoints": 2,
}
ORDER = {"name": "order", "tasks": [STS], "sampler": "no_duplicates", "epochs": 4.0, "checkpoints": 1}
TWO = [PHASE, PHASE | ORDER]


def write_params(folder, **changes):
    whole = yaml.safe_load((REPOSITORY / "params.yaml").read_text(encoding="utf-8"))
    small = {"dims": [16, 8], "weights": [1.0, 0.5], "precision": "fp32", "dev_passages": 50, "phases": [PHASE]}
    tree = {"shared": whole["shared"], "train": whole["train"] | small | changes}
    (folder / "params.yaml").write_text(yaml.safe_dump(tree), encoding="utf-8")


def retrieval(numbers):
    rows = [
        (f"q{n}", f"{n:020x}", 0, "recorded", " ".join(TEXTS[n].split()[:3]), TEXTS[n], [], [], [f"{n:020x}"])
        for n in numbers
    ]
    return pl.DataFrame(rows, schema=empty(RetrievalRow).schema, orient="row")


def similarity(numbers):
    rows = [(f"{n:020x}", 0, TEXTS[n], TEXTS[-n - 1], n % 7 / 6) for n in numbers]
    return pl.DataFrame(rows, schema=empty(StsRow).schema, orient="row")


def passages():
    known = {"title": "", "start": 0, "end": 9, "language": "it", "licence": None, "group_id": "g", "split": "train"}
    rows = [{"passage_id": f"{n:020x}", "document_id": f"d{n}", "text": text, **known} for n, text in enumerate(TEXTS)]
    return pl.DataFrame(rows, schema=empty(Passage).schema)


def furnish(folder, dev=10, pairs=20, base=None):
    """Write all that the stage reads."""
    sets = folder / "data/balanced"
    write_table(passages(), folder / "data/prepared/passages.parquet", Passage)
    write_table(empty(NearDuplicate), folder / "data/prepared/near.parquet", NearDuplicate)
    write_table(retrieval(range(dev, 60)), sets / "retrieval/train.parquet", RetrievalRow)
    write_table(retrieval(range(dev)), sets / "retrieval/dev.parquet", RetrievalRow)
    write_table(similarity(range(pairs)), sets / "sts/train.parquet", StsRow)
    write_table(similarity(range(40, 40 + dev)), sets / "sts/dev.parquet", StsRow)
    save_encoder(base or static_encoder(TEXTS, 16), folder / "models/base")
    write_params(folder)


@pytest.fixture
def project(tmp_path, monkeypatch):
    furnish(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def report():
    return json.loads(Path("reports/train.json").read_text(encoding="utf-8"))


def contents(folder):
    found = {path for name in ("models/tuned", "reports") for path in (folder / name).rglob("*") if path.is_file()}
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def test_it_writes_the_encoder_its_dimensions_the_report_and_the_curves_and_clears_up(project):
    main()
    assert trained_dims(Path("models/tuned")) == [16, 8]
    assert report()["phases"][0]["steps"] == 7
    assert dev_sets(TrainParams.load())(load_encoder("models/tuned")) == pytest.approx(report()["dev_after"])
    curves = {path.name for path in Path("reports/training/phase-1/plots/metrics").iterdir()}
    assert curves == {f"{name}.tsv" for name in ("loss", "learning_rate", "grad_norm", "dev_ndcg@10", "dev_spearman")}
    assert json.loads(Path("reports/training/phase-1/metrics.json").read_text())["step"] == 7
    assert list(Path(".cache/train").iterdir()) == []


def test_dev_queries_without_room_are_told(project, capsys):
    dev_sets(TrainParams.load())
    assert not capsys.readouterr().err
    write_params(project, dev_passages=4)
    assert len(dev_sets(TrainParams.load()).queries) == 4
    assert "6 dev queries are not asked" in capsys.readouterr().err


def test_the_tuned_encoder_quotes_no_training_text(project):
    main()
    quoting = [
        path
        for path in Path("models/tuned").rglob("*")
        if path.is_file() and any(text.encode() in path.read_bytes() for text in TEXTS)
    ]
    assert not quoting
    assert not list(Path("models/tuned").rglob("*.md"))


def test_the_same_inputs_give_the_same_bytes(project):
    main()
    once = contents(project)
    main()
    assert contents(project) == once


def test_phases_follow_each_other_and_each_has_its_curves(project):
    write_params(project, phases=TWO)
    main()
    assert [(phase["name"], phase["steps"]) for phase in report()["phases"]] == [("contrastive", 7), ("order", 12)]
    assert {path.name for path in Path("reports/training").iterdir()} == {"phase-1", "phase-2"}
    two = contents(project)
    write_params(project, phases=TWO[:1])
    main()
    assert contents(project)["models/tuned/model.safetensors"] != two["models/tuned/model.safetensors"]
    assert {path.name for path in Path("reports/training").iterdir()} == {"phase-1"}


def test_a_guide_is_a_transformer_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    furnish(tmp_path)
    write_params(tmp_path, phases=[PHASE | {"tasks": [RETRIEVAL | {"loss": GIST}]}])
    with pytest.raises(UserError, match="gist wants a transformer"):
        check(TrainParams.load(), tiny_bert())


@pytest.mark.parametrize("loss", [RANKING, GIST])
def test_a_transformer_is_trained_as_well(loss, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    furnish(tmp_path, base=tiny_bert())
    write_params(tmp_path, phases=[PHASE | {"tasks": [RETRIEVAL | {"loss": loss}, STS], "epochs": 0.5}])
    main()
    assert dimension(load_encoder("models/tuned")) == 16
    assert not list(Path("models/tuned").glob("README.md"))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_weights_stored_in_half_precision_are_trained_and_kept_in_full(precision, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    furnish(tmp_path)
    shutil.rmtree("models/base")
    before = load_encoder(stored_in(torch.bfloat16, Path("models/base"))).state_dict()
    gentle = PHASE | {"learning_rate": 2.0e-5, "epochs": 0.5, "schedule": "constant", "warmup": 0.0}
    write_params(tmp_path, phases=[gentle], precision=precision)
    main()
    with safe_open("models/tuned/model.safetensors", "pt") as weights:
        assert {weights.get_tensor(name).dtype for name in weights.keys()} == {torch.float32}  # noqa: SIM118
    after = load_encoder("models/tuned").state_dict()
    layers = [
        name for name in before if ".attention.self." in name and name.endswith(("query.weight", "value.weight"))
    ]
    assert layers
    assert all((after[name] != before[name]).float().mean() > 0.95 for name in layers)


def test_texts_are_cut_in_training_and_read_whole_afterwards(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    furnish(tmp_path, base=tiny_bert())
    write_params(tmp_path, phases=[PHASE | {"epochs": 0.3}], max_tokens=4)
    main()
    short = contents(tmp_path)["models/tuned/model.safetensors"]
    assert load_encoder("models/tuned").max_seq_length == 48
    write_params(tmp_path, phases=[PHASE | {"epochs": 0.3}], max_tokens=512)
    main()
    assert contents(tmp_path)["models/tuned/model.safetensors"] != short


def test_without_dev_data_it_trains_to_the_end(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    furnish(tmp_path, dev=0)
    main()
    assert report()["phases"] == [{"name": "contrastive", "steps": 8, "best_step": None, "best_dev": None}]
    assert report()["dev_before"] == report()["dev_after"] == {}
    assert Path("models/tuned/model.safetensors").exists()


def test_a_task_without_rows_is_left_out_and_said(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    furnish(tmp_path, pairs=0)
    write_params(tmp_path, phases=[PHASE | {"tasks": [RETRIEVAL, STS]}])
    main()
    assert "contrastive: no rows for 1-sts; training goes on without" in capfd.readouterr().err
    write_params(tmp_path, phases=[PHASE | {"tasks": [STS]}])
    with pytest.raises(UserError, match="contrastive: none of its tasks has a row to train on"):
        main()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"dims": [8, 16]}, r"train.dims is \[8, 16\]: write each dimension once, largest first"),
        ({"dims": [16, 16]}, r"train.dims is \[16, 16\]: write each dimension once"),
        ({"dims": [32, 8]}, "train.dims holds 32, but the encoder has 16 dimensions: lower train.dims"),
        ({"weights": [1.0]}, "train.dims has 2 entries and train.weights 1: one a dimension"),
        ({"dims": []}, "train.dims"),
        ({"precision": "fp16"}, "train.precision is fp16, which needs a GPU"),
        ({"phases": [PHASE | {"tasks": [RETRIEVAL | {"loss": COSENT}]}]}, "cosent does not train retrieval data"),
        ({"phases": [PHASE | {"tasks": [STS | {"loss": RANKING}]}]}, "nested_mnrl does not train sts data"),
        ({"phases": [PHASE | {"tasks": [RETRIEVAL | {"loss": {"kind": "mrnl"}}]}]}, "mrnl"),
        ({"phases": [PHASE | {"tasks": [RETRIEVAL | {"loss": GIST}]}]}, "gist wants a transformer, as encoder and as"),
        ({"phases": [PHASE | {"learning_rate": "2e-5"}]}, r"write 2\.0e-5"),
    ],
)
def test_parameters_that_cannot_work_stop_it_with_a_sentence_and_nothing_written(changes, sentence, project):
    write_params(project, **changes)
    with pytest.raises(UserError, match=sentence) as error:
        main()
    assert "\n" not in str(error.value)
    assert not Path("models/tuned").exists()
    assert not Path("reports").exists()


def test_accumulating_batches_of_a_ranking_loss_is_remarked_upon(project, capfd):
    task = RETRIEVAL | {"loss": {"kind": "mnrl", "scale": 20.0}}
    write_params(project, phases=[PHASE | {"tasks": [task], "accumulate": 2}])
    check(TrainParams.load(), load_encoder("models/base"))
    assert "accumulate adds no in-batch negatives" in capfd.readouterr().err


def test_a_rate_that_no_transformer_stands_is_remarked_upon(project, capfd):
    check(TrainParams.load(), tiny_bert())
    assert "learning_rate 0.01 is a static encoder's and ruins a transformer" in capfd.readouterr().err
    check(TrainParams.load(), load_encoder("models/base"))
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("kind", ["mnrl", "nested_mnrl"])
@pytest.mark.parametrize("sampler", ["batch_sampler", "no_duplicates"])
def test_a_loss_that_knows_no_repeats_does_not_get_any(kind, sampler, project):
    twice = pl.concat(
        [retrieval(range(10, 60)), retrieval(range(10, 20)).with_columns(query_id=pl.col("query_id") + "b")]
    )
    write_table(twice, Path("data/balanced/retrieval/train.parquet"), RetrievalRow)
    loss = {"kind": kind, "scale": 20.0} | ({"distil": 0.5} if kind == "nested_mnrl" else {})
    write_params(project, phases=[PHASE | {"tasks": [RETRIEVAL | {"loss": loss}], "sampler": sampler, "epochs": 0.2}])
    if (kind, sampler) != ("mnrl", "batch_sampler"):
        main()
        return
    with pytest.raises(
        UserError, match="contrastive: mnrl takes the copies of a passage in a batch for negatives: write"
    ):
        main()
    assert not Path("models/tuned").exists()


def test_negatives_of_a_task_become_columns(project):
    task = TrainParams.load().phases[0].tasks[0]
    assert examples(task, 1).column_names == ["anchor", "positive", "negative_1", "label"]


def change_a_parameter(folder):
    write_params(folder, phases=[PHASE | {"learning_rate": 0.02}])


def change_a_row(folder):
    write_table(retrieval(range(11, 60)), folder / "data/balanced/retrieval/train.parquet", RetrievalRow)


def change_the_base(folder):
    save_encoder(static_encoder(TEXTS[1:], 16), folder / "models/base")


def change_a_near_duplicate(folder):
    alike = pl.DataFrame({"passage_id": [f"{n:020x}" for n in range(2)], "near_id": f"{0:020x}"})
    write_table(alike, folder / "data/prepared/near.parquet", NearDuplicate)


def change_a_passage(folder):
    write_table(passages().tail(59), folder / "data/prepared/passages.parquet", Passage)


@pytest.mark.parametrize(
    "change", [change_a_parameter, change_a_row, change_the_base, change_a_passage, change_a_near_duplicate]
)
def test_checkpoints_of_other_work_are_not_resumed(change, project):
    before = work_key(TrainParams.load())
    assert work_key(TrainParams.load()) == before
    change(project)
    assert work_key(TrainParams.load()) != before


# --- a kill


def stage(folder):
    apart = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "stages.train"],
        cwd=folder,
        env=os.environ | apart,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def killed_when(folder, pattern):
    """Run the stage and kill it as soon as a file of that name is there."""
    running = stage(folder)
    while not any(folder.glob(pattern)):
        assert running.poll() is None, "it ended before the kill"
        time.sleep(0.002)
    os.kill(running.pid, signal.SIGKILL)
    assert running.wait() == -signal.SIGKILL


def long(folder):
    furnish(folder)
    write_params(folder, phases=[phase | {"epochs": 60.0, "checkpoints": 8} for phase in TWO])


@pytest.mark.slow
def test_kills_cost_time_and_change_no_byte(tmp_path):
    disturbed, undisturbed = tmp_path / "disturbed", tmp_path / "undisturbed"
    for folder in (disturbed, undisturbed):
        long(folder)
    killed_when(disturbed, ".cache/train/*/phase-1/checkpoints/checkpoint-*/model.safetensors")  # half a checkpoint
    killed_when(disturbed, ".cache/train/*/phase-2/checkpoints/checkpoint-*/whole")
    for folder in (disturbed, undisturbed):
        assert stage(folder).wait() == 0
    assert contents(disturbed) == contents(undisturbed)
