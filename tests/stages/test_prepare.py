"""The rules of the stage on frames of a few rows, and the stage itself in a folder of its own."""

import gzip
import json
import shutil
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from nestling.corpus.copies import drop_duplicates
from nestling.corpus.ids import content_id
from nestling.corpus.splits import LEDGER
from nestling.errors import UserError
from nestling.tables.corpus import Document, Passage, Rejected, SplitQuery, SuiteDocument, SuitePair, SuiteQuery
from nestling.tables.io import check, empty, read_table
from stages.prepare import PrepareParams, clean_documents, judge, main, make_pairs, make_passages

NOTHING = pl.DataFrame(schema=LEDGER)  # was ever held out
REPOSITORY = Path(__file__).parents[2]
MILL = "Il mulino del paese apre alle nove del mattino e macina il grano portato dai contadini della valle."
BOAT = "La barca rientra in porto prima del tramonto quando il vento di terra non la trattiene al largo."
BREAD = "Il pane cotto nel forno a legna resta morbido per tre giorni se lo si avvolge in un panno di lino."
ENGLISH = "The mill of the village opens at nine in the morning and grinds the wheat that the farmers bring."
NUMBERS = "12 34 56 78 90 12 34 56 78 90 uno due tre quattro"
CHANT = " ".join([BREAD] * 6)
WORDS = [
    "gatto",
    "cane",
    "lupo",
    "gufo",
    "orso",
    "volpe",
    "cervo",
    "lepre",
    "falco",
    "corvo",
    "merlo",
    "rana",
    "trota",
]


def params(**changes):
    given = {
        "set": "mine", "seed": 1, "languages": ["it"], "titles": True, "max_words": 60, "min_words": 8,
        "min_language_share": 0.5, "min_letters": 0.5, "min_distinct": 0.2, "near_duplicate": 0.8, "max_copies": 10,
        "dev_share": 0.05, "test_share": 0.05, "max_document_mb": 1.0,
    }  # fmt: skip
    return PrepareParams(**given | changes)


def documents(*texts, titles=None, languages=None):
    rows = [(f"d{number}", "", text, None, None, "file") for number, text in enumerate(texts)]
    frame = pl.DataFrame(rows, schema=empty(Document).schema, orient="row")
    frame = frame.with_columns(title=pl.Series(titles)) if titles else frame
    return frame.with_columns(language=pl.Series(languages, dtype=pl.String)) if languages else frame


def prepared(*texts, titles=None, **changes):
    made = params(**changes)
    found, _ = make_passages(clean_documents(documents(*texts, titles=titles), made.languages), NOTHING, made)
    return check(found.kept, Passage, "test"), check(found.left_out, Rejected, "test")


def test_every_reason_for_leaving_a_text_out_comes_once():
    passages, out = prepared(
        MILL, "\x00 \x07", "Much too short.", ENGLISH, NUMBERS, CHANT, MILL.upper(), max_words=200
    )
    assert passages["document_id"].to_list() == ["d0"]
    assert sorted(out.select("item", "item_id", "reason", "detail").rows()) == [
        ("document", "d1", "empty", ""),
        ("passage", "d2", "too_short", ""),
        ("passage", "d3", "wrong_language", "taken for en (1.00)"),
        ("passage", "d4", "few_letters", ""),
        ("passage", "d5", "repetitive", ""),
        ("passage", "d6", "exact_duplicate", "d0"),
    ]


def test_markup_paths_and_endless_words_pass_as_plain_text():
    strange = f"{MILL} <script>alert(1)</script> {{{{ 7*7 }}}} {'x' * 10_000} ../../etc/passwd {BOAT}"
    passages, out = prepared(strange, titles=["../../etc/passwd <b>"])
    assert passages["text"].to_list() == [f"../../etc/passwd <b>\n{strange}"]
    assert out.is_empty()


def test_ids_are_of_the_text_that_is_encoded():
    passages, _ = prepared(MILL, BOAT, titles=["Orari", ""])
    assert passages["passage_id"].to_list() == [content_id(f"Orari\n{MILL}"), content_id(BOAT)]


def test_titles_can_stay_off():
    made = params(titles=False)
    found, _ = make_passages(clean_documents(documents(MILL, titles=["Orari"]), ["it"]), NOTHING, made)
    assert found.kept["text"].to_list() == [MILL]


def test_a_declared_language_holds_only_if_it_is_wanted():
    given = documents(MILL, MILL, languages=["es", "de"])
    assert clean_documents(given, ["it", "es"])["language"].to_list() == ["es", "it"]


@pytest.mark.parametrize(("body", "kept"), [("उत्तर में पहाड़ हैं और दक्षिण में समुद्र है जहाँ मछुआरे रहते हैं।", "hi"), (MILL, "it")])
def test_vowel_signs_count_as_letters(body, kept):
    frame = documents(body).with_columns(body=pl.lit(body), words=pl.lit(14), said=pl.lit(None, dtype=pl.String))
    passages, _ = judge(frame, params(languages=["it", "hi"], min_letters=0.8))
    assert passages["language"].to_list() == [kept]


def test_a_body_that_opens_with_anothers_title_is_the_same_text():
    rest = f"{BOAT} {BREAD}"
    passages, out = prepared(f"Orari del mulino e della barca del paese vecchio\n{MILL}", MILL, rest, titles=[
        "", "Orari del mulino e della barca del paese vecchio", ""
    ])  # fmt: skip
    assert passages["document_id"].to_list() == ["d0", "d2"]
    assert out.select("reason", "detail").rows() == [("exact_duplicate", "d0")]


def test_documents_that_share_a_passage_share_a_group():
    frame = pl.DataFrame(
        {"document_id": ["b", "b", "c", "a", "e"], "body": [MILL, BOAT, BOAT, BREAD, ENGLISH]}
    ).with_columns(text="body")
    kept, out = drop_duplicates(frame, 0.8, 10)
    assert kept.select("document_id", "group_id").rows() == [("b", "b"), ("b", "b"), ("a", "a"), ("e", "e")]
    assert out.select("document_id", "group_id", "duplicate_of").rows() == [("c", "b", "b")]


ROME = "Lo sportello di Roma riceve il pubblico dal lunedì al venerdì, dalle nove alle dodici e trenta, senza bisogno"


def test_pages_of_a_template_stay_each_with_its_own_text_in_one_split_and_one_cluster():
    cities = [ROME.replace("Roma", city) for city in ("Roma", "Milano", "Torino")]
    passages, out = prepared(*cities, MILL, BOAT, BREAD, titles=["Orari"] * 3 + [""] * 3)
    assert out.is_empty()
    assert passages["text"].to_list() == [*(f"Orari\n{text}" for text in cities), MILL, BOAT, BREAD]
    assert passages[:3]["split"].n_unique() == passages[:3]["group_id"].n_unique() == 1
    made, _ = make_passages(clean_documents(documents(*cities, MILL), ["it"]), NOTHING, params())
    assert made.kept["near_id"].to_list() == [min(made.kept[:3]["passage_id"])] * 3 + [made.kept["passage_id"][3]]


@pytest.mark.parametrize(
    "other", ["costa 5 $ al giorno", "costa -5 € al giorno", "costa 5 % al giorno", "costa 5 €+ al giorno"]
)
def test_texts_that_differ_in_a_sign_are_no_copies(other):
    text = f"{MILL} Il biglietto costa 5 € al giorno"
    passages, out = prepared(text, text.replace("costa 5 € al giorno", other), f"{text}.")
    assert passages["document_id"].to_list() == ["d0", "d1"]
    assert passages["group_id"].n_unique() == 1
    assert out.select("reason", "detail").rows() == [("exact_duplicate", "d0")]


@pytest.mark.parametrize(("names", "kept"), [(["a.md", "b/c d.md"], 1), (["a", "c d"], 2), (["1", "2"], 2)])
def test_a_title_that_is_the_name_of_a_file_makes_no_other_text(names, kept):
    titles = ["a", "c d"]
    text = [f"{title}\n{MILL}" for title in titles]
    frame = pl.DataFrame({"document_id": names, "title": titles, "body": MILL, "text": text})
    assert drop_duplicates(frame, 0.8, 10)[0].height == kept


def test_the_same_words_under_another_title_are_another_text():
    titles = ["Orari di Roma", "Orari di Milano", "orari di roma", "", "d4"]  # d4 is the id of its row
    passages, out = prepared(*[MILL] * 5, titles=titles)
    assert passages["title"].to_list() == ["Orari di Roma", "Orari di Milano", "", "d4"]
    assert passages["group_id"].n_unique() == 1
    assert out.select("reason", "detail").rows() == [("exact_duplicate", "d0")]
    _, out = prepared(*[MILL] * 5, BOAT, titles=[*titles, ""], max_copies=4)
    assert out["reason"].to_list() == ["boilerplate"] * 5


def test_near_duplicates_of_boilerplate_are_no_copies_of_it():
    notice = "Il comune informa i cittadini che tutti i diritti su questi testi sono riservati per legge"
    passages, out = prepared(notice, notice.upper(), notice.title(), f"{notice} dal 1999", MILL, max_copies=2)
    assert passages["document_id"].to_list() == ["d3", "d4"]
    assert out["reason"].to_list() == ["boilerplate"] * 3
    assert passages["group_id"].n_unique() == 2


bodies = st.sampled_from([MILL, MILL.replace("valle", "costa"), BOAT, BOAT.upper(), BREAD, ENGLISH, NUMBERS])


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), bodies), max_size=14))
def test_no_document_and_no_duplicate_straddles_two_groups(rows):
    frame = pl.DataFrame(rows, schema={"document_id": pl.String, "body": pl.String}, orient="row")
    kept, out = drop_duplicates(frame.with_columns(text="body"), 0.8, 10)
    every = pl.concat([kept.with_columns(reason=pl.lit("")), out.select(*kept.columns, "reason")])
    assert every.height == len(rows)
    assert every.group_by("document_id").agg(pl.col("group_id").n_unique())["group_id"].max() in (None, 1)
    group = dict(every.select("document_id", "group_id").rows())
    assert all(group[row["duplicate_of"]] == row["group_id"] for row in every.iter_rows(named=True))
    assert every.group_by("cluster").agg(pl.col("group_id").n_unique())["group_id"].max() in (None, 1)


def animals(words):
    texts = [f"{MILL} Un {word} lo guarda. {BOAT} Un {word} la segue." for word in words]
    return prepared(*texts, near_duplicate=1.0, max_words=22, dev_share=0.4, test_share=0.4)[0]


def test_passages_of_a_document_stand_in_one_split():
    passages = animals(WORDS)
    assert passages.height == 2 * len(WORDS)
    assert passages["split"].n_unique() == 3
    assert passages.group_by("document_id").agg(pl.col("split").n_unique())["split"].max() == 1


def test_new_documents_move_no_old_passage_to_another_split():
    old, new = (dict(animals(words).select("passage_id", "split").rows()) for words in (WORDS[:9], WORDS))
    assert len(old) == 18
    assert {name: new[name] for name in old} == old


def test_a_pair_is_taken_once_in_either_order_and_keeps_its_first_score():
    sentences = {"sentence1": ["a b", "c\x00 d", "\x07"], "sentence2": ["c  d", "a b", "e"]}
    made = make_pairs(pl.DataFrame({**sentences, "score": [0.2, 0.9, 1.0]}), NOTHING, params())
    assert made.kept.select("sentence1", "sentence2", "score").rows() == [("a b", "c d", 0.2)]
    assert sorted(made.left_out["reason"]) == ["empty", "exact_duplicate"]


def test_pairs_that_share_a_sentence_stand_in_one_split():
    numbers = range(200)
    frame = pl.DataFrame(
        {"sentence1": [f"frase {n // 4}" for n in numbers], "sentence2": [f"altra {n}" for n in numbers], "score": 0.5}
    )
    pairs = make_pairs(frame, NOTHING, params(dev_share=0.4)).kept
    assert pairs.group_by("sentence1").agg(pl.col("split").n_unique())["split"].max() == 1
    assert set(pairs["split"]) == {"train", "dev"}


def test_a_dev_sentence_stays_dev_whatever_pairs_come_and_go():
    sentences = [f"frase {number}" for number in range(300)]
    frame = pl.DataFrame({"sentence1": sentences[::2], "sentence2": sentences[1::2], "score": 0.5})
    before = make_pairs(frame, NOTHING, params(dev_share=0.2))
    names = [f"Aggiunta {number}" for number in range(300)]  # each shares a sentence with an old pair, and sorts first
    more = pl.DataFrame({"sentence1": names, "sentence2": sentences, "score": 0.5})
    after = make_pairs(pl.concat([frame[40:], more]), before.ledger, params(dev_share=0.2)).kept
    held_out, now = (set(pairs.filter(split="dev")["sentence1"]) for pairs in (before.kept, after))
    assert held_out & set(frame[40:]["sentence1"]) <= now
    assert 0 < len(held_out) < 60


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A project with an empty set, where the stage runs."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/raw/mine/documents").mkdir(parents=True)
    tree = yaml.safe_load((REPOSITORY / "params.yaml").read_text(encoding="utf-8"))
    tree["shared"]["set"] = "mine"
    tree["prepare"]["max_document_mb"] = 1.0
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(tree), encoding="utf-8")
    return tmp_path / "data/raw/mine"


def put(folder, **texts):
    for name, text in texts.items():
        (folder / "documents" / f"{name}.txt").write_text(text, encoding="utf-8")


def test_a_document_of_fifty_megabytes_is_rejected_and_the_rest_goes_on(folder):
    put(folder, good=MILL)
    with (folder / "documents/huge.txt").open("wb") as file:
        file.truncate(50_000_000)
    main()
    rejected = read_table("data/prepared/rejected.parquet", Rejected)
    assert rejected.select("item_id", "reason").rows() == [("huge.txt", "too_large")]
    assert json.loads(Path("reports/prepare.json").read_text())["passages"] == {"train": 1}


def test_a_corpus_wholly_in_another_language_says_so_and_writes_why(folder):
    put(folder, a=ENGLISH, b=ENGLISH.replace("mill", "windmill"))
    with pytest.raises(UserError, match=r"leaves no passage \(2 wrong_language\): check shared.languages") as raised:
        main()
    assert "\n" not in str(raised.value)
    assert left_out() == ["wrong_language"] * 2
    assert not Path("reports").exists()


def left_out():
    """The reasons of data/prepared/rejected.parquet, which is all that a refused set leaves."""
    assert [path.name for path in Path("data/prepared").iterdir()] == ["rejected.parquet"]
    return read_table("data/prepared/rejected.parquet", Rejected)["reason"].to_list()


@pytest.mark.parametrize(
    ("name", "content", "sentence", "reason"),
    [
        (
            "a.parquet",
            b"PAR1 no more",
            r"no document \(1 unreadable\): bring .* first documents/a.parquet: ",
            "unreadable",
        ),
        ("a.csv", b"ID;Testo\n1;uno\n", r"no column text; the header is 'ID;Testo'", "unreadable"),
        ("a.txt", "Zażółć gęślą jaźń".encode("cp1250"), r"invalid start byte at byte 2", "invalid_utf8"),
        ("a.jsonl", b'{"Testo": "uno"}', r"a.jsonl:1: no key text; there are 'testo'", "missing_text"),
    ],
)
def test_a_set_of_which_no_file_can_be_read_says_and_keeps_the_reason(folder, name, content, sentence, reason):
    (folder / "documents" / name).write_bytes(content)
    with pytest.raises(UserError, match=sentence) as raised:
        main()
    assert "in data/prepared/rejected.parquet" in str(raised.value)
    assert left_out() == [reason]


def test_suites_pairs_and_queries_of_which_nothing_is_left_are_named_with_their_first_reasons(folder):
    put(folder, a=MILL)
    (folder / "eval/gold/qrels").mkdir(parents=True)
    (folder / "eval/gold/queries.jsonl").write_text('{"_id": "q", "text": "quando apre"}')
    (folder / "eval/gold/qrels/test.tsv").write_text("query-id\tcorpus-id\tscore\nq\ta.txt\t0.5\n")
    (folder / "eval/it.csv").write_text("sentence1,sentence2,score\na,b,alto\n")
    (folder / "sts").mkdir()
    (folder / "sts/it.csv").write_text("frase1,frase2,voto\na,b,1\n")
    (folder / "queries.jsonl").write_text('{"_id": "q", "text": "quando apre"}')
    with pytest.raises(UserError, match="nothing is left of") as raised:
        main()
    for said in (
        "suite gold (1 broken_row, 1 no_qrels: eval/gold/qrels/test.tsv:2: the score '0.5' is not a whole number",
        "file eval/it.csv (1 score_not_a_number: eval/it.csv:2: the score is 'alto')",
        "file sts/it.csv (1 unreadable: sts/it.csv: no column sentence1",
        "file queries.jsonl (1 no_document: q: nothing says which document answers it)",
    ):
        assert said in str(raised.value)
    assert left_out().count("all_rejected") == 4


def test_what_lies_in_a_set_and_is_not_read_is_told(folder, capsys):
    put(folder, a=MILL)
    (folder / "documents/b.csv").write_text("ID;Testo\n1;uno\n")
    (folder / "documents/c.png").write_bytes(b"x")
    (folder / "queries.csv").write_text("id,text\n1,uno\n")
    (folder / "qrels").mkdir()
    (folder / "qrels/test.tsv").write_text("q1\td1\t1\n")
    main()
    said = capsys.readouterr().err
    assert "warning: queries.csv is left out: nothing of this name belongs at the top of a set" in said
    assert "warning: documents/b.csv is left out: no column text; the header is 'ID;Testo'" in said
    assert "warning: qrels/test.tsv is left out: a set's own judgements are qrels/train.tsv" in said
    assert "c.png" not in said


def test_a_suite_that_names_a_document_without_text_says_so_and_keeps_the_rejects(folder):
    put(folder, a=MILL, b="")
    (folder / "eval/gold/qrels").mkdir(parents=True)
    (folder / "eval/gold/queries.jsonl").write_text('{"_id": "q", "text": "quando apre"}')
    (folder / "eval/gold/qrels/test.tsv").write_text("query-id\tcorpus-id\tscore\nq\tb.txt\t1\n")
    (folder / "sts").mkdir()
    (folder / "sts/it.csv").write_text("sentence1,sentence2,score\na,b,0\nc,,5\n")
    with pytest.raises(UserError, match=r"the qrels name 1 documents without text \('b.txt': the file is empty\)"):
        main()
    assert left_out() == ["missing_text"] * 2


def test_what_a_suite_left_out_before_it_stopped_is_kept(folder):
    put(folder, a=MILL)
    (folder / "eval/gold/qrels").mkdir(parents=True)
    (folder / "eval/gold/queries.jsonl").write_text('{"_id": "q", "text": "&shy;"}\n{"_id": "r", "text": "apre?"}')
    (folder / "eval/gold/qrels/test.tsv").write_text("query-id\tcorpus-id\tscore\nq\ta.txt\t1\n")
    with pytest.raises(UserError, match=r"1 queries without text \('q': eval/gold/queries.jsonl:1\)"):
        main()
    assert left_out() == ["missing_text"]


def test_a_pair_of_a_suite_of_which_a_sentence_says_nothing_is_left_out(folder):
    put(folder, a=MILL)
    (folder / "eval").mkdir()
    (folder / "eval/it.csv").write_text("sentence1,sentence2,score\na,b,0\n&nbsp;,d,5\n")
    main()
    assert read_table("data/suites/pairs.parquet", SuitePair)["sentence1"].to_list() == ["a"]
    assert read_table("data/prepared/rejected.parquet", Rejected)["reason"].to_list() == ["missing_text"]


def test_a_file_of_which_a_part_is_read_is_not_called_left_out(folder, capsys):
    rows = "".join(json.dumps({"_id": str(n), "text": f"{MILL} {n**9}"}) + "\n" for n in range(300))
    (folder / "documents/b.jsonl.gz").write_bytes(gzip.compress(rows.encode())[:-100])
    main()
    assert "warning: documents/b.jsonl.gz is read in part: broken gzip" in capsys.readouterr().err


def test_a_language_that_no_detector_knows_is_carried_by_its_owners_word(folder, capsys):
    khmer = "ភាសាខ្មែរជាភាសាផ្លូវការរបស់ប្រទេសកម្ពុជា ហើយមានអ្នកនិយាយជាច្រើនលាននាក់ទូទាំងពិភពលោក"
    rows = [{"text": khmer, "language": "Khmer"}, {"text": MILL, "language": "klingon"}, {"text": f"{khmer} ១"}]
    (folder / "corpus.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    params = Path("params.yaml")
    params.write_text(params.read_text().replace("- it\n", "- it\n  - km\n"))
    main()
    assert sorted(read_table("data/prepared/passages.parquet", Passage)["language"]) == ["it", "km"]
    assert "1 documents declare a language that is not known ('klingon')" in capsys.readouterr().err
    (said,) = read_table("data/prepared/rejected.parquet", Rejected)["detail"]
    assert "km must be declared" in said


def test_a_document_with_its_title_alone_is_searched(folder):
    rows = [{"_id": "a", "text": MILL}, {"_id": "b", "title": "Biblioteca comunale", "text": ""}]
    (folder / "corpus.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    (folder / "eval/gold/qrels").mkdir(parents=True)
    (folder / "eval/gold/queries.jsonl").write_text('{"_id": "q", "text": "dove sono i libri"}')
    (folder / "eval/gold/qrels/test.tsv").write_text("query-id\tcorpus-id\tscore\nq\tb\t1\n")
    main()
    texts = read_table("data/suites/documents.parquet", SuiteDocument).select("document_id", "text").rows()
    assert texts == [("a", MILL), ("b", "Biblioteca comunale")]


def test_an_empty_corpus_says_how_to_bring_documents(folder):
    with pytest.raises(UserError, match=r"mine has no document: bring some with `nestling add`"):
        main()


def test_a_missing_set_names_those_there_are(folder):
    folder.rename(folder.with_name("other"))
    with pytest.raises(UserError, match="mine is not a folder: the sets there are other"):
        main()


def test_a_language_that_is_none_is_named_with_its_parameter(folder):
    put(folder, a=MILL)
    params = Path("params.yaml")
    params.write_text(params.read_text().replace("- it\n", "- xx\n"))
    with pytest.raises(UserError, match=r"^shared.languages holds 'xx'"):
        main()


def test_queries_are_cleaned_and_one_of_which_nothing_is_left_is_rejected(folder):
    put(folder, a=MILL)
    rows = [("q", "quando\x00  apre\nil mulino"), ("r", "\x1b[0m")]
    lines = [json.dumps({"_id": name, "text": text, "document_id": "a.txt"}) for name, text in rows]
    (folder / "queries.jsonl").write_text("\n".join(lines))
    main()
    assert read_table("data/prepared/recorded.parquet", SplitQuery)["text"].to_list() == ["quando apre il mulino"]
    rejected = read_table("data/prepared/rejected.parquet", Rejected)
    assert rejected.select("item", "item_id", "reason").rows() == [("query", "r", "missing_text")]


def test_a_suite_loses_no_document_and_its_queries_are_cleaned(folder):
    put(folder, a=MILL, b="Corto.", c=ENGLISH)
    (folder / "eval/gold/qrels").mkdir(parents=True)
    (folder / "eval/gold/queries.jsonl").write_text(json.dumps({"_id": "q", "text": "perche\u0301\x00  s\u00ec"}))
    (folder / "eval/gold/qrels/test.tsv").write_text("query-id\tcorpus-id\tscore\nq\tb.txt\t1\n")
    main()
    assert read_table("data/suites/queries.parquet", SuiteQuery)["text"].to_list() == ["perché sì"]
    names = read_table("data/suites/documents.parquet", SuiteDocument)["document_id"].to_list()
    assert names == ["a.txt", "b.txt", "c.txt"]


def test_the_same_set_gives_the_same_bytes(folder):
    put(folder, a=f"{MILL} {BOAT}", b=BREAD, c=ENGLISH)
    main()
    before = {path: path.read_bytes() for path in Path("data").rglob("*.parquet")}
    shutil.rmtree("data/prepared")
    main()
    assert {path: path.read_bytes() for path in Path("data").rglob("*.parquet")} == before


def splits():
    passages = read_table("data/prepared/passages.parquet", Passage).with_columns(pl.col("split").cast(pl.String))
    return dict(passages.select(pl.col("text").str.split("\n").list.last(), "split").rows())


def test_renamed_files_stand_where_they_stood_and_the_ledger_is_of_the_set(folder):
    texts = [f"Il {word} dorme nel bosco, ma un altro {word} cammina sul sentiero del monte." for word in WORDS]
    put(folder, **{f"a{number}": text for number, text in enumerate(texts)})
    main()
    before, ledger = splits(), Path("data/splits/mine.jsonl").read_text()
    assert set(before.values()) == {"train", "dev", "test"}
    for number, path in enumerate(sorted(folder.glob("documents/*.txt"))):
        path.rename(path.with_name(f"z{99 - number}.txt"))
    main()
    assert splits() == before
    assert set(ledger.splitlines()) < set(Path("data/splits/mine.jsonl").read_text().splitlines())
    assert json.loads(Path("reports/prepare.json").read_text())["groups"]["number"] == len(WORDS)


def test_a_build_that_died_before_the_ledger_ends_the_same(folder):
    put(folder, a=MILL, b=BOAT, c=BREAD)
    main()
    before = {path: path.read_bytes() for path in Path("data").rglob("*.*")}
    Path("data/splits/mine.jsonl").unlink()
    main()
    main()
    assert {path: path.read_bytes() for path in Path("data").rglob("*.*")} == before


LIMITED = """
import resource, runpy, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, 2_000))
runpy.run_module("stages.prepare", run_name="__main__")
"""


def test_a_disk_that_takes_no_more_ends_the_stage_in_one_sentence(folder):
    put(folder, a=MILL)
    done = subprocess.run([sys.executable, "-c", LIMITED], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith("error: ")
    assert list(Path("data/prepared").iterdir()) == []


def test_a_copys_document_keeps_its_place_at_the_passage_that_stayed():
    made = params()
    found, places = make_passages(clean_documents(documents(MILL, MILL.upper()), made.languages), NOTHING, made)
    assert found.kept.height == 1
    assert places["document_id"].n_unique() == 2
    assert set(places["passage_id"]) == set(found.kept["passage_id"])


def test_a_passage_in_more_places_than_max_copies_is_boilerplate_and_joins_no_documents():
    own = ["il pane si cuoce", "la lana si tinge", "il mare si agita"]
    frame = pl.DataFrame(
        {
            "document_id": [f"d{row // 2}" for row in range(6)],
            "text": [text for body in own for text in (body, "tutti i diritti sono riservati")],
        }
    ).with_columns(body=pl.col("text"))
    kept, out = drop_duplicates(frame, 0.8, 2)
    assert kept["body"].to_list() == own
    assert kept["group_id"].n_unique() == 3
    assert out["reason"].to_list() == ["boilerplate"] * 3


def test_the_owners_word_on_the_language_outweighs_the_detector():
    technical = "Rete LAN: 192.168.1.1; gateway 192.168.1.254; DNS primario 8.8.8.8; DHCP attivo; porta 443 aperta."
    made = params(min_letters=0.1)
    for said, kept in ((None, 0), ("it", 1), ("it-IT", 1), ("de", 0)):
        given = documents(technical, languages=[said])
        found, _ = make_passages(clean_documents(given, ["it"]), NOTHING, made)
        assert found.kept.height == kept, said
        assert kept or found.left_out["reason"].to_list() == ["wrong_language"]


def test_a_reject_says_what_its_text_was_taken_for():
    longer = f"{ENGLISH} On Sundays it stays closed, and nobody answers the telephone."
    given = documents(ENGLISH, longer, MILL, languages=[None, "it", "de"])
    found, _ = make_passages(clean_documents(given, ["it"]), NOTHING, params())
    assert found.left_out["detail"].to_list() == [
        "taken for en (1.00)",
        "taken for en (1.00), declared it",
        "declared de",
    ]
