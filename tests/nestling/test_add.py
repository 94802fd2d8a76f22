import gzip
import json
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from nestling.commands.add_files import bring_files
from nestling.commands.landing import Target, slug
from nestling.commands.main import main
from nestling.corpus.qrels import Known
from nestling.corpus.recorded import read_recorded, read_sts, read_suites
from nestling.corpus.sources import read_documents

PARAMS = """# the sets
prepare:
  max_document_mb: 0.001
shared:
  # which set is built
  set: sample  # a folder of data/raw

  seed: 13
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(PARAMS)
    return tmp_path


@pytest.fixture
def nestling(project, capsys):
    """Return a function that runs the command and gives its exit code and what it said."""

    def run(*arguments: object) -> tuple[int, str]:
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        code = ended.value.code
        return (code if isinstance(code, int) else 0), capsys.readouterr().err

    return run


def put(name: str, content: str | bytes) -> Path:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def tree(folder: str) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in Path(folder).rglob("*") if path.is_file())


def test_files_are_copied_and_what_is_left_is_told_with_its_reason(nestling):
    put("Manuali Città/a/uno.md", "# Uno\ntesto")
    put("Manuali Città/due.TXT", "due")
    put("Manuali Città/grande.txt", "x" * 2000)
    put("Manuali Città/foto.png", "x")
    put("Manuali Città/.nota", "x")
    put("fuori.txt", "x")
    Path("Manuali Città/via.txt").symlink_to(Path("fuori.txt").resolve())
    code, said = nestling("add", "files", "Manuali Città")
    assert code == 0
    assert tree("data/raw") == ["manuali-citta/documents/a/uno.md", "manuali-citta/documents/due.TXT"]
    assert "took 2 files: 1 md, 1 txt" in said
    assert "1 hidden (.nota); 1 outside_the_set (via.txt); 1 too_large (grande.txt); 1 unsupported (foto.png)" in said
    assert "git add data/raw/manuali-citta" in said
    assert "set shared.set: manuali-citta in params.yaml" in said
    assert Path("params.yaml").read_text() == PARAMS


def test_a_big_set_is_for_dvc(nestling):
    put("grande/a.jsonl", "".join(json.dumps({"text": f"{n} {'x' * 900}"}) + "\n" for n in range(6000)))
    assert "dvc add data/raw/grande" in nestling("add", "files", "grande")[1]


def test_use_changes_one_line_of_params(nestling):
    put("docs/a.txt", "uno")
    assert nestling("add", "files", "docs", "--set", "no", "--use")[0] == 0
    text = Path("params.yaml").read_text()
    assert text == PARAMS.replace("set: sample ", 'set: "no" ')
    assert yaml.safe_load(text)["shared"]["set"] == "no"


def test_use_without_such_a_line_changes_nothing(nestling):
    put("docs/a.txt", "uno")
    put("params.yaml", "set: sample\nshared:\n  seed: 1\n")
    code, said = nestling("add", "files", "docs", "--use")
    assert (code, said.count("\n")) == (1, 1)
    assert "set shared.set by hand" in said
    assert not Path("data").exists()


def test_other_content_is_overwritten_only_when_told(nestling):
    put("docs/a.txt", "uno")
    assert nestling("add", "files", "docs")[0] == 0
    put("docs/b.txt", "nuovo")
    assert nestling("add", "files", "docs")[0] == 0
    put("docs/a.txt", "due")
    put("docs/c.txt", "tre")
    code, said = nestling("add", "files", "docs")
    assert code == 1
    assert "1 of these files with other content (documents/a.txt)" in said
    assert "--replace" in said
    assert tree("data/raw") == ["docs/documents/a.txt", "docs/documents/b.txt"]
    assert nestling("add", "files", "docs", "--replace")[0] == 0
    assert Path("data/raw/docs/documents/a.txt").read_text() == "due"


def test_licence_and_language_speak_for_a_new_set_only(nestling):
    put("docs/a.txt", "uno")
    assert nestling("add", "files", "docs", "--licence", "CC0-1.0", "--language", "it")[0] == 0
    documents, _ = read_documents(Path("data/raw/docs"), 1000)
    assert documents.select("language", "licence").rows() == [("it", "CC0-1.0")]
    assert nestling("add", "files", "docs", "--licence", "CC0-1.0")[0] == 0
    code, said = nestling("add", "files", "docs", "--licence", "MIT")
    assert code == 1
    assert "does not say `licence: MIT`" in said


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nowhere"], "nowhere is not a folder"),
        (["docs", "--set", "../evil"], "cannot name a set"),
        (["docs", "--set", "Maiuscole"], "cannot name a set"),
        (["photos"], "no file that can be read: 1 unsupported (a.png)"),
        (["."], "lie one in the other"),
    ],
)
def test_what_cannot_be_added_ends_in_one_sentence(nestling, arguments, sentence):
    put("docs/a.txt", "uno")
    put("photos/a.png", "x")
    code, said = nestling("add", "files", *arguments, *([] if "--set" in arguments else ["--set", "mine"]))
    assert code == 1
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert sentence in said
    assert not Path("data/raw").exists()


def test_outside_a_project_nothing_is_added(nestling):
    put("docs/a.txt", "uno")
    Path("params.yaml").unlink()
    code, said = nestling("add", "files", "docs")
    assert (code, "root of the project" in said, Path("data").exists()) == (1, True, False)


def test_what_a_killed_run_left_is_swept_away(nestling):
    put("docs/a.txt", "uno")
    put("data/raw/.docs.999999999.tmp/documents/half.txt", "x")
    assert nestling("add", "files", "docs")[0] == 0
    assert tree("data/raw") == ["docs/documents/a.txt"]


def test_names_of_folders_become_names_of_sets():
    assert [slug(text) for text in ("Città 2026!", "__a--b__", "日本")] == ["citta-2026", "a-b", ""]


@pytest.fixture
def beir(project):
    rows = [{"_id": f"d{n}", "title": "", "text": f"testo {n}"} for n in range(3)]
    put("squad/corpus.jsonl.gz", gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))
    queries = [{"_id": f"q{n}", "text": f"domanda {n}?", "metadata": {}} for n in range(3)]
    put("squad/queries.jsonl", "".join(json.dumps(row) + "\n" for row in queries))
    put("squad/qrels/test.tsv", "query-id\tcorpus-id\tscore\nq0\td0\t1\nq1\td1\t2\nq2\td2\t0\n")
    put("squad/qrels/train.tsv", "query-id\tcorpus-id\tscore\nq2\td2\t1\n")
    return Path("squad")


def test_a_beir_dataset_becomes_documents_and_a_suite_and_nothing_to_train_on(nestling, beir):
    code, said = nestling("add", "beir", beir)
    folder = Path("data/raw/squad")
    assert code == 0
    assert tree(str(folder)) == ["documents/corpus.jsonl", "eval/squad/qrels/test.tsv", "eval/squad/queries.jsonl"]
    assert "took 3 documents; suite squad: 2 queries, 2 qrels of test" in said
    assert "left 1 queries without qrels" in said
    ids = Known(set(read_documents(folder, 1000)[0]["document_id"]))
    suites = read_suites(folder, ids)
    assert suites.queries.rows() == [("squad", "q0", "domanda 0?"), ("squad", "q1", "domanda 1?")]
    assert suites.qrels.rows() == [("squad", "q0", "d0", 1), ("squad", "q1", "d1", 2)]
    assert read_recorded(folder, ids)[0].is_empty()


def test_judgements_of_nought_come_along_for_queries_that_are_asked(nestling, beir):
    put("squad/qrels/test.tsv", "query-id\tcorpus-id\tscore\nq0\td0\t1\nq0\td1\t-1\nq0\td9\t0\nq2\td2\t0\n")
    code, said = nestling("add", "beir", beir)
    assert code == 0
    qrels = Path("data/raw/squad/eval/squad/qrels/test.tsv").read_text()
    assert qrels == "query-id\tcorpus-id\tscore\nq0\td0\t1\nq0\td1\t0\n"
    assert "suite squad: 1 queries, 1 qrels of test" in said
    assert "2 rows that cannot be used (2 not_relevant" in said


def test_a_second_split_is_a_second_suite(nestling, beir):
    assert nestling("add", "beir", beir)[0] == 0
    assert nestling("add", "beir", beir, "--split", "train", "--suite", "dev")[0] == 0
    assert read_suites(Path("data/raw/squad"), Known({"d0", "d1", "d2"})).queries["suite"].to_list() == [
        "dev",
        "squad",
        "squad",
    ]


@pytest.mark.parametrize(
    ("lost", "arguments", "sentence"),
    [
        ("corpus.jsonl.gz", [], "no corpus.jsonl"),
        ("queries.jsonl", [], "no queries.jsonl"),
        (None, ["--split", "dev"], "choose --split among those there (test, train)"),
        (None, ["--split", "../qrels/test"], "choose --split"),
        (None, ["--suite", "a b"], "cannot name a suite"),
    ],
)
def test_a_folder_that_is_not_beir_ends_in_one_sentence(nestling, beir, lost, arguments, sentence):
    if lost:
        (beir / lost).unlink()
    code, said = nestling("add", "beir", beir, *arguments)
    assert (code, sentence in said, said.count("\n")) == (1, True, 1)


def test_beir_qrels_without_their_document_are_refused(nestling, beir):
    put("squad/qrels/test.tsv", "query-id\tcorpus-id\tscore\nq0\td9\t1\n")
    code, said = nestling("add", "beir", beir)
    assert (code, "1 documents that are not there ('d9'" in said) == (1, True)
    assert not Path("data/raw/squad").exists()


def test_pairs_are_for_training_or_for_evaluation(nestling):
    pairs = put("it.csv", "sentence1,sentence2,score\na,b,5\nc,,1\n")
    assert "1 pairs, 1 rows that cannot be used" in nestling("add", "sts", pairs, "--set", "mine")[1]
    assert nestling("add", "sts", pairs, "--set", "mine", "--eval")[0] == 0
    assert tree("data/raw/mine") == ["eval/it.csv", "sts/it.csv"]
    assert read_sts(Path("data/raw/mine"))[0].rows() == [("a", "b", 1.0)]


def test_a_file_without_pairs_is_refused(nestling):
    put("bad.csv", "frase1,frase2\na,b\n")
    code, said = nestling("add", "sts", "bad.csv", "--set", "mine")
    assert (code, "no column sentence1, sentence2, score" in said, Path("data").exists()) == (1, True, False)


@pytest.fixture
def hub(project):
    rows = [{"testo": "uno", "n": 1, "t": "T"}, {"testo": "", "n": 2, "t": ""}, {"testo": "tre", "n": 3, "t": ""}]
    put("Il Dataset/train.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    return ["Il Dataset", "--split", "train", "--column", "testo"]


def test_a_dataset_becomes_one_file_of_documents(nestling, hub):
    more = ["--revision", "local", "--title-column", "t", "--id-column", "n"]
    code, said = nestling("add", "hub", *hub, *more)
    assert (code, "took 2 texts" in said, "left 1 rows" in said) == (0, True, True)
    lines = Path("data/raw/il-dataset/documents/il-dataset-train.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [
        {"_id": "1", "title": "T", "text": "uno"},
        {"_id": "3", "text": "tre"},
    ]


def test_a_limit_takes_the_first_rows(nestling, hub):
    assert "took 1 texts" in nestling("add", "hub", *hub, "--revision", "local", "--limit", "1")[1]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["Il Dataset", "--split", "train", "--column", "testo"], "a version that cannot move"),
        (["some/dataset", "--split", "train", "--column", "text", "--revision", "main"], "a version that cannot move"),
        (["Il Dataset", "--split", "x", "--column", "testo", "--revision", "r"], "cannot be read"),
        (["Il Dataset", "--split", "train", "--column", "x", "--revision", "r"], "there are testo, n, t"),
    ],
)
def test_a_dataset_that_cannot_be_taken_ends_in_one_sentence(nestling, hub, arguments, sentence):
    code, said = nestling("add", "hub", *arguments)
    assert code == 1
    assert said.startswith("error: ")
    assert sentence in said
    assert tree("data/raw") == []


def test_without_a_network_the_hub_is_one_sentence(project):
    command = [sys.executable, "-m", "nestling.commands.main", "add", "hub", "some/dataset", "--revision", "a" * 40]
    ended = subprocess.run(
        [*command, "--split", "train", "--column", "text"],
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    assert ended.stderr == "error: some/dataset cannot be reached: try again with a network, or give a folder\n"


def test_help_and_an_unknown_command_have_their_exit_codes(nestling):
    assert nestling("add", "--help")[0] == 0
    assert nestling("add", "everything")[0] == 2


# --- what people's files hold


def test_rows_that_cannot_be_used_are_told_and_a_file_of_which_none_can_is_left(nestling):
    put("docs/a.csv", "ID;Text\n1;uno\n2\n3;tre\n")
    put("docs/prezzi.csv", "voce;prezzo\npane;2\n")
    put("docs/vuoto.jsonl", '{"testo": "uno"}\n{"testo": "due"}\n')
    code, said = nestling("add", "files", "docs")
    assert code == 0
    assert tree("data/raw") == ["docs/documents/a.csv"]
    assert "read a.csv: 2 documents, 1 rows that cannot be used (1 broken_row; a.csv:3: 1 fields, not 2)" in said
    assert "1 all_rejected (vuoto.jsonl: vuoto.jsonl:1: no key text; there are 'testo')" in said
    assert "1 unreadable (prezzi.csv: no column text; the header is 'voce;prezzo')" in said


def test_a_folder_of_which_no_row_can_be_used_is_refused_with_the_reason(nestling):
    put("docs/a.csv", "voce;prezzo\npane;2\n")
    code, said = nestling("add", "files", "docs")
    assert (code, "no column text; the header is 'voce;prezzo'" in said, Path("data").exists()) == (1, True, False)


def test_pairs_are_read_in_the_dialect_that_they_are_in(nestling):
    put("it.csv", "Sentence1;Sentence2;Score\r\nperché;sì;2,5\r\na;b;0\r\nc;d;5\r\n".encode("cp1252"))
    put("mac.tsv", "sentence1\tsentence2\tscore\ra\tb\t0,5\r".encode("utf-16"))
    code, said = nestling("add", "sts", "it.csv", "mac.tsv", "--set", "mine")
    assert code == 0
    assert "took it.csv: 3 pairs, 0 rows that cannot be used; scores go from 0 to 5, as they show" in said
    assert "took mac.tsv: 1 pairs, 0 rows that cannot be used; scores go from 0 to 1, as they show" in said
    assert read_sts(Path("data/raw/mine"))[0]["score"].to_list() == [0.5, 0.0, 1.0, 0.5]


@pytest.mark.parametrize("scores", [(0, 3, 10), (0, 50, 100), (1, 3, 5), (-1, 0, 1), (0, 1, "alto")])
@pytest.mark.parametrize("where", [[], ["--eval"]])
def test_scores_that_show_no_scale_are_refused_until_it_is_said(nestling, scores, where):
    put("it.csv", "sentence1,sentence2,score\n" + "".join(f"a{n},b{n},{score}\n" for n, score in enumerate(scores)))
    code, said = nestling("add", "sts", "it.csv", "--set", "mine", *where)
    assert (code, said.count("\n"), Path("data").exists()) == (1, 1, False)
    assert "give --scale LOW HIGH (sts_scale in data/raw/mine/set.yaml)" in said
    low, high = min(s for s in scores if s != "alto"), max(s for s in scores if s != "alto")
    assert nestling("add", "sts", "it.csv", "--set", "mine", *where, "--scale", low, high)[0] == 0
    name = "eval/it.csv" if where else "sts/it.csv"
    assert yaml.safe_load(Path("data/raw/mine/set.yaml").read_text())["sts_scale"] == {name: [low, high]}
    pairs = read_suites(Path("data/raw/mine"), Known(set())).pairs if where else read_sts(Path("data/raw/mine"))[0]
    assert (pairs["score"].min(), pairs["score"].max()) == (0, 1)


@pytest.mark.parametrize("scale", [(0, "inf"), ("-inf", 5), (0, "nan"), (5, 0), (-1e308, 1e308)])
def test_a_scale_is_two_finite_numbers(nestling, scale):
    put("it.csv", "sentence1,sentence2,score\na,b,0\nc,d,5\n")
    code, said = nestling("add", "sts", "it.csv", "--set", "mine", "--scale", *scale)
    assert (code, "two finite numbers" in said, Path("data").exists()) == (1, True, False)


def test_a_new_scale_leaves_the_rest_of_set_yaml_as_it_is(nestling):
    text = "# dei colleghi\nlicense: 'MIT' # così\nsts_scale:  # per file\n  sts/a.csv: [0, 10] # dieci\n"
    put("data/raw/mine/set.yaml", text)
    put("b.csv", "sentence1,sentence2,score\nc,d,1\nc,e,5\n")
    assert nestling("add", "sts", "b.csv", "--set", "mine", "--scale", 1, 5)[0] == 0
    said = Path("data/raw/mine/set.yaml").read_text()
    assert yaml.safe_load(said)["sts_scale"] == {"sts/a.csv": [0, 10], "sts/b.csv": [1, 5]}
    assert [line for line in text.splitlines() if line not in said.splitlines()] == []


def test_a_second_file_of_pairs_has_a_scale_of_its_own(nestling):
    put("a.csv", "sentence1,sentence2,score\na,b,0\na,c,10\n")
    put("b.csv", "sentence1,sentence2,score\nc,d,1\nc,e,5\n")
    assert nestling("add", "sts", "a.csv", "--set", "mine", "--scale", 0, 10)[0] == 0
    assert nestling("add", "sts", "b.csv", "--set", "mine", "--scale", 1, 5)[0] == 0
    assert read_sts(Path("data/raw/mine"))[0]["score"].to_list() == [0, 1, 0, 1]
    put("data/raw/mine/set.yaml", "sts_scale: [0, 5]\n")
    code, said = nestling("add", "sts", "b.csv", "--set", "mine", "--scale", 1, 5)
    assert (code, "for all files" in said) == (1, True)


@pytest.mark.parametrize("name", ["heldout", "HELDOUT", "heldout.recorded"])
def test_a_reserved_name_of_a_suite_is_refused(nestling, beir, name):
    put(f"{name}.csv", "sentence1,sentence2,score\na,b,1\n")
    for arguments in (["beir", beir, "--suite", name], ["sts", f"{name}.csv", "--set", "mine", "--eval"]):
        code, said = nestling("add", *arguments)
        assert (code, "the set's own held-out suites" in said, Path("data").exists()) == (1, True, False)


def test_a_name_that_another_suite_has_is_refused(nestling, beir):
    put("gold.csv", "sentence1,sentence2,score\na,b,1\n")
    assert nestling("add", "sts", "gold.csv", "--set", "squad", "--eval")[0] == 0
    assert nestling("add", "sts", "gold.csv", "--set", "squad", "--eval")[0] == 0
    code, said = nestling("add", "beir", beir, "--suite", "gold")
    assert (code, "two suites in eval/ are named gold" in said) == (1, True)


def test_beirs_qrels_are_read_by_their_header_and_its_document_may_be_a_title(nestling, beir):
    put("squad/qrels/test.tsv", "votes\tscore\tcorpus-id\tquery-id\n3\t1.0\td0 \tq0\n9\t2\td1\tq1\n")
    rows = [{"_id": "d0", "title": "Solo titolo", "text": ""}, {"_id": "d1", "text": "uno"}]
    (beir / "corpus.jsonl.gz").unlink()
    put("squad/corpus.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    assert nestling("add", "beir", beir)[0] == 0
    qrels = Path("data/raw/squad/eval/squad/qrels/test.tsv").read_text()
    assert qrels == "query-id\tcorpus-id\tscore\nq0\td0\t1\nq1\td1\t2\n"
    put("squad/corpus.jsonl", json.dumps({"_id": "d0", "text": " "}) + "\n" + json.dumps(rows[1]))
    code, said = nestling("add", "beir", beir, "--set", "other")
    assert (code, "1 documents without text ('d0': corpus.jsonl:1" in said) == (1, True)


def test_a_hub_datasets_ids_stay_as_they_are(nestling):
    put("ds/train.csv", "id;title;testo\n007;T;uno\n;;due\n9;;tre\n10;Solo;\n")
    arguments = ["ds", "--revision", "local", "--split", "train", "--column", "testo"]
    code, said = nestling("add", "hub", *arguments, "--title-column", "title", "--id-column", "id")
    assert (code, "took 4 texts" in said) == (0, True)
    assert "note: 1 of the texts have no id in column id: their content names them" in said
    lines = Path("data/raw/ds/documents/ds-train.jsonl").read_text().splitlines()
    assert [json.loads(line).get("_id") for line in lines] == ["007", None, "9", "10"]


@pytest.mark.parametrize(
    ("option", "said"),
    [("klingon", "klingon"), ("", "say something"), ("italiano", ""), ("km", ""), ("it-IT", ""), ("no", "")],
)
def test_a_language_must_be_one(nestling, option, said):
    put("docs/a.txt", "uno")
    code, told = nestling("add", "files", "docs", "--language", option)
    assert (code, said in told, Path("data/raw/docs").exists()) == (int(bool(said)), True, not said)
    if not said:
        assert read_documents(Path("data/raw/docs"), 1000)[0]["language"].to_list() == [option]


def test_an_empty_licence_is_none(nestling):
    put("docs/a.txt", "uno")
    assert nestling("add", "files", "docs", "--licence", "")[0] == 1


def test_a_link_to_a_folder_is_that_folder(nestling):
    put("docs/a/b.txt", "uno")
    Path("linked").symlink_to("docs")
    assert nestling("add", "files", "linked", "--set", "mine")[0] == 0
    assert tree("data/raw") == ["mine/documents/a/b.txt"]


def test_repeats_are_no_documents_as_in_prepare(nestling):
    put("docs/a.csv", "id,text\n1,uno\n1,uno\n2,due\n")
    put("docs/b.csv", "id,text\n2,altro\n3,tre\n")
    said = nestling("add", "files", "docs")[1]
    assert "read a.csv: 2 documents, 1 rows that cannot be used (1 duplicate_id" in said
    assert "read b.csv: 1 documents, 1 rows that cannot be used (1 duplicate_id" in said
    documents, rejected = read_documents(Path("data/raw/docs"), 1000)
    assert (documents.height, rejected.height) == (3, 2)


def test_a_gzip_file_that_was_cut_is_no_dataset_and_half_a_file_of_documents(nestling, beir):
    whole = gzip.compress(
        "".join(json.dumps({"_id": f"d{n}", "text": f"t{n**9}"}) + "\n" for n in range(900)).encode()
    )
    put("squad/corpus.jsonl.gz", whole[:-200])
    code, said = nestling("add", "beir", beir)
    assert (code, said.count("\n"), "corpus.jsonl.gz: broken gzip" in said) == (1, 1, True)
    put("docs/b.jsonl.gz", whole[:-200])
    code, said = nestling("add", "files", "docs")
    assert (code, "1 rows that cannot be used (1 damaged; b.jsonl.gz: broken gzip" in said) == (0, True)
    put("ds/train.jsonl.gz", whole[:-200])
    code, said = nestling("add", "hub", "ds", "--split", "train", "--column", "text", "--revision", "r", "--set", "h")
    assert (code, "cannot be read" in said) == (1, True)


@pytest.mark.parametrize(
    "arguments", [["sts", "mia prova.csv", "--set", "mine", "--eval"], ["beir", "--suite", "a b"]]
)
def test_a_name_that_no_suite_can_have_says_what_to_rename(nestling, beir, arguments):
    put("mia prova.csv", "sentence1,sentence2,score\na,b,1\n")
    code, said = nestling("add", arguments[0], *([beir] if arguments[0] == "beir" else []), *arguments[1:])
    assert (code, "cannot name a suite" in said, "in eval/" in said) == (1, True, False)


def test_a_row_of_a_hub_dataset_that_is_broken_is_told_as_such(nestling):
    put("ds/train.csv", 'id,testo\n1,"Il mulino" apre\n2,\n3,tre\n')
    said = nestling("add", "hub", "ds", "--revision", "r", "--split", "train", "--column", "testo")[1]
    assert "left 1 rows without text, 1 rows that cannot be used (1 broken_row; train.csv:2: a stray quote)" in said


def test_what_cannot_be_moved_in_leaves_the_set_as_it_was(nestling):
    put("docs/a.txt", "uno")
    assert nestling("add", "files", "docs", "--set", "mine")[0] == 0
    put("docs/a.txt", "due")
    put("docs/b/c.txt", "tre")
    put("data/raw/mine/documents/b", "a file where a folder should be")
    before = {path: Path("data/raw", path).read_text() for path in tree("data/raw")}
    code, said = nestling("add", "files", "docs", "--set", "mine", "--replace")
    assert (code, "a file and a folder have one name; nothing was changed" in said) == (1, True)
    assert {path: Path("data/raw", path).read_text() for path in tree("data/raw")} == before


def test_a_move_that_fails_on_the_way_is_taken_back(nestling):
    put("docs/a.txt", "uno")
    assert nestling("add", "files", "docs", "--set", "mine")[0] == 0
    put("docs/a.txt", "due")
    put("docs/z.txt", "tre")
    before = {path: Path("data/raw", path).read_text() for path in tree("data/raw")}
    aim = Path("data/raw/mine/documents/z.txt")
    with landing_that_fails_at(aim), pytest.raises(OSError, match="no room"):
        bring_files(Path("docs"), Target("mine", replace=True))
    assert {path: Path("data/raw", path).read_text() for path in tree("data/raw")} == before


@contextmanager
def landing_that_fails_at(aim: Path):
    """A disk that takes no file of this name."""
    real = Path.replace

    def replace(self, target):
        if Path(target) == aim:
            raise OSError("no room")
        return real(self, target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "replace", replace)
        yield
