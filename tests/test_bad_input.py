"""Bad input and bad days through the real stages: one sentence and nothing spoilt, or the row left out and counted."""

import json
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tests.project import Project

GERMAN = (
    "Der Zug nach München fährt heute eine halbe Stunde später ab, weil die Strecke gesperrt ist und gewartet wird. "
)
DOCUMENTS = "data/raw/tiny/documents"

pytestmark = pytest.mark.slow


@pytest.fixture
def bare(built, tmp_path) -> Project:
    """A copy of the built project without DVC and git, for stages run by themselves."""
    return built.copy(tmp_path / "project", without=[".git", ".dvc"])


def refused(done: subprocess.CompletedProcess[str]) -> str:
    """Return the one sentence that a command ended with; it stands on a line of its own, whatever bar was moving."""
    assert done.returncode == 1, done.stderr
    said = [line for line in re.split(r"[\r\n]+", done.stderr) if line.strip() and "it/s]" not in line]
    assert len(said) == 1, done.stderr
    assert said[0].startswith("error: ")
    return said[0]


# --- what a person has to mend


def missing_section(project: Project) -> None:
    project.write_params({name: section for name, section in project.params().items() if name != "prepare"})


def missing_parameter(project: Project) -> None:
    tree = project.params()
    del tree["prepare"]["min_words"]
    project.write_params(tree)


def not_yaml(project: Project) -> None:
    (project.root / "params.yaml").write_text("shared: [it\nprepare: {", encoding="utf-8")


def empty_corpus(project: Project) -> None:
    shutil.rmtree(project.root / DOCUMENTS)


def broken_corpus(project: Project) -> None:
    shutil.rmtree(project.root / DOCUMENTS)
    write(project, "only.parquet", b"PAR1 and nothing more")


def another_language(project: Project) -> None:
    for file in (project.root / DOCUMENTS).glob("*.jsonl"):
        rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        texts = [{**row, "title": "", "text": f"{number}. {GERMAN * 2}"} for number, row in enumerate(rows)]
        file.write_text("\n".join(json.dumps(row) for row in texts), encoding="utf-8")


def unknown_ids(project: Project) -> None:
    qrels = project.root / "data/raw/tiny/eval/gold/qrels/test.tsv"
    head, first, *others = qrels.read_text(encoding="utf-8").splitlines()
    qrels.write_text("\n".join([head, f"{first.split()[0]}\tnowhere\t1", *others]), encoding="utf-8")


def lost_table(project: Project) -> None:
    (project.root / "data/curated/queries.parquet").unlink()


def broken_table(project: Project) -> None:
    (project.root / "data/curated/queries.parquet").write_bytes(b"PAR1 and nothing more")


def other_table(project: Project) -> None:
    shutil.copy(project.root / "data/curated/pairs.parquet", project.root / "data/curated/queries.parquet")


def write(project: Project, name: str, content: bytes) -> None:
    file = project.root / DOCUMENTS / name
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(content)


def changed(**values: object):
    return lambda project: project.change({name.replace("__", "."): value for name, value in values.items()})


REFUSED = [
    ("prepare", changed(prepare__max_word=100), "prepare.max_word is not a parameter; did you mean max_words?"),
    ("prepare", changed(shared__sed=1), "shared.sed is not a parameter; did you mean seed?"),
    ("prepare", changed(prepare__max_words="many"), "prepare.max_words is 'many': input should be a valid integer"),
    ("prepare", changed(prepare__max_words=0), "prepare.max_words is 0: input should be greater than 0"),
    ("prepare", changed(prepare__titles="yes"), "prepare.titles is 'yes': input should be a valid boolean"),
    ("balance", changed(balance__max_repeat="8e0"), "write 2.0e-5"),
    ("generate", changed(generate__sources__1__keyword=3), "generate.sources.1.keyword is not a parameter"),
    ("prepare", missing_section, "the section `prepare` is missing"),
    ("prepare", missing_parameter, "prepare.min_words is missing"),
    ("prepare", not_yaml, "params.yaml is not valid YAML"),
    ("prepare", changed(shared__set="nowhere"), "data/raw/nowhere is not a folder: the sets there are tiny"),
    ("prepare", empty_corpus, "data/raw/tiny has no document"),
    ("prepare", broken_corpus, "data/raw/tiny has no document (1 unreadable)"),
    ("prepare", another_language, "wrong_language): check shared.languages"),
    ("prepare", unknown_ids, "suite gold: the qrels name 1 documents that are not there ('nowhere')"),
    ("balance", lost_table, "data/curated/queries.parquet is missing: run `dvc repro`"),
    ("balance", broken_table, "data/curated/queries.parquet is not a readable Parquet file"),
    ("balance", other_table, "reading data/curated/queries.parquet: not a CuratedQuery table"),
    ("train", changed(train__dims=[128, 32]), "train.dims holds 128, but the encoder has 64 dimensions"),
    ("train", changed(train__dims=[32, 64]), "largest first"),
    ("filter", changed(shared__current="models/nowhere"), "there is no encoder at models/nowhere"),
]


@pytest.mark.parametrize(("stage", "spoil", "sentence"), REFUSED, ids=[case[2][:60] for case in REFUSED])
def test_a_mistake_costs_one_sentence_and_no_output(bare, stage, spoil, sentence):
    spoil(bare)
    before = bare.digests(bare_outs(bare, stage))
    assert sentence in refused(bare.stage(stage, check=False))
    assert before
    assert {**bare.digests(bare_outs(bare, stage)), KEPT: ""} == {**before, KEPT: ""}


KEPT = "data/prepared/rejected.parquet"  # written also where a set is refused


def bare_outs(project: Project, stage: str) -> list[str]:
    """Return the places of a stage's outputs without reading params.yaml, which may be what is broken."""
    places = {"prepare": ["data/prepared", "data/suites"], "train": ["models/tuned"]}
    return places.get(stage, [f"data/{stage}d", f"data/{stage}ed"])


def test_evaluation_text_among_training_text_stops_the_build_and_is_named(bare):
    gold = bare.root / "data/raw/tiny/eval/gold/queries.jsonl"
    asked = json.loads((bare.root / "data/raw/tiny/queries.jsonl").read_text(encoding="utf-8").splitlines()[0])
    first, *others = gold.read_text(encoding="utf-8").splitlines()
    leaked = {**json.loads(first), "text": asked["text"].upper()}
    gold.write_text("\n".join([json.dumps(leaked), *others]), encoding="utf-8")
    bare.stage("prepare")
    before = bare.digests(["data/balanced", "data/heldout"])
    assert leaked["_id"] in refused(bare.stage("balance", check=False))
    assert bare.digests(["data/balanced", "data/heldout"]) == before
    assert leaked["_id"] in (bare.root / "reports/leaks.jsonl").read_text(encoding="utf-8")


# --- what is left out and counted


COUNTED = [
    ("broken.jsonl", b'{"_id": "x", "text": "mai fin', "line", "broken_json"),
    ("list.jsonl", b'["x", "y"]\n', "line", "not_an_object"),
    ("latin.jsonl", '{"_id": "x", "text": "perché"}'.encode("latin-1"), "line", "invalid_utf8"),
    ("polish.txt", "Zażółć gęślą jaźń".encode("cp1250"), "document", "invalid_utf8"),
    ("broken.parquet", b"PAR1 and nothing more", "file", "unreadable"),
    ("cut.jsonl.gz", b"\x1f\x8b\x08\x00cut", "file", "unreadable"),
    ("empty.txt", b" \n", "document", "missing_text"),
    ("picture.png", b"\x89PNG", "file", "unsupported"),
    ("german.txt", (GERMAN * 2).encode(), "passage", "wrong_language"),
]


@pytest.mark.parametrize(("name", "content", "item", "reason"), COUNTED, ids=[case[0] for case in COUNTED])
def test_a_bad_document_is_left_out_and_counted(bare, built, name, content, item, reason):
    write(bare, name, content)
    bare.stage("prepare")
    report = json.loads((bare.root / "reports/prepare.json").read_text(encoding="utf-8"))
    assert report["rejected"][item] == {reason: 1}
    assert bare.digests(["data/prepared/passages.parquet"]) == built.digests(["data/prepared/passages.parquet"])


@pytest.mark.parametrize("name", ["big.txt", "big.jsonl"])
def test_a_document_of_fifty_megabytes_is_left_out_at_once(bare, name):
    text = "Una riga come le altre, senza fine. " * 1_400_000
    write(bare, name, (text if name == "big.txt" else json.dumps({"_id": "big", "text": text})).encode())
    began = time.monotonic()
    bare.stage("prepare")
    assert time.monotonic() - began < 30
    report = json.loads((bare.root / "reports/prepare.json").read_text(encoding="utf-8"))
    assert sum(counts.get("too_large", 0) for counts in report["rejected"].values()) == 1


# --- no space left


SCRIPT = """
mount -t tmpfs -o size=64m tmpfs $FOLDER || exit 77
cp -a $BEFORE/. $FOLDER
head -c 1G /dev/zero > $FOLDER/filler 2>/dev/null
python -m stages.$STAGE
code=$?
rm $FOLDER/filler
cp -a $FOLDER/. $AFTER
exit $code
"""


@pytest.mark.parametrize(
    ("stage", "folder"),
    [
        ("prepare", "data/prepared"),
        ("balance", "reports"),
        ("base", "models"),
        ("mine", ".cache"),
        ("train", ".cache"),
    ],
)
def test_a_full_disk_costs_one_sentence_and_no_output(bare, tmp_path, stage, folder):
    shutil.rmtree(bare.root / ".cache", ignore_errors=True)  # so that there is something to write into it
    (bare.root / folder).mkdir(exist_ok=True)
    places = {"FOLDER": bare.root / folder, "BEFORE": tmp_path / "before", "AFTER": tmp_path / "after"}
    shutil.copytree(places["FOLDER"], places["BEFORE"])
    places["AFTER"].mkdir()
    named = [f"{name}={place}" for name, place in places.items()]
    done = bare.run("unshare", "-rm", "env", f"STAGE={stage}", *named, "sh", "-c", SCRIPT, check=False)
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip(f"no small disk to be had here: {done.stderr.strip()}")
    assert "no space left on the device" in refused(done)
    files = Project(places["BEFORE"]).digests(["."])
    assert {path: digest for path, digest in Project(places["AFTER"]).digests(["."]).items() if path in files} == files


def test_a_file_size_limit_costs_one_sentence_and_no_output(bare):
    before = bare.digests(["data/generated", "reports"])
    done = bare.run("bash", "-c", "ulimit -f 1 && exec python -m stages.generate", check=False)
    assert "see that the disk has room" in refused(done)
    assert bare.digests(["data/generated", "reports"]) == before


def test_the_command_line_refuses_in_one_sentence(bare):
    assert "nowhere" in refused(bare.run("nestling", "add", "files", "nowhere", check=False))
    assert Path(bare.root / DOCUMENTS).is_dir()
