"""The stage in a folder of its own: what it writes, that it repeats itself, and that it quotes nothing unasked."""

import json

import polars as pl
import pytest
import yaml

from nestling.errors import UserError
from nestling.tables.corpus import Passage, Rejected, SentencePair
from nestling.tables.io import empty, write_json, write_table
from nestling.tables.queries import FoundQuery, LostQuery, Query
from nestling.tables.retrieval import Candidate
from nestling.tables.review import CuratedQuery, Positive
from nestling.tables.training import RetrievalRow
from stages.report import ReportParams, counts, main

ANCHORS = ["quando apre il mulino", "chi <b>cura</b> | i `gufi`", "dove www.evil.example/x", "perché piove"]
POSITIVES = [
    "Il mulino apre alle nove.\n\n# Orari",
    "Il guardaboschi cura i gufi.",
    "[qui](http://evil.example)",
    "Per le nubi.",
]
SHA = "ab" * 32

PARAMS = {
    "shared": {"set": "prova", "seed": 7},
    "base": {"encoder": {"kind": "path", "folder": "/home/anna/encoders/mine", "sha256": SHA}},
    "filter": {"max_rank": 10},
    "mine": {"relative_margin": 0.05},
    "train": {
        "dims": [64],
        "phases": [{"name": "one", "tasks": [{"data": "retrieval", "loss": {"kind": "mnrl"}}], "epochs": 1}],
    },
    "report": {"quote_examples": False},
}

REPORTS = {
    "prepare": {"documents": 4, "languages": {"it": 4}, "rejected": {"line": {"broken_json": 2}}},
    "base": {"kind": "path", "dims": 64, "parameters": 1000, "sha256": SHA},
    "generate": {"queries": {"recorded": 4}},
    "filter": {"kept": {"recorded": 4}},
    "mine": {"verdicts": {"negative": 1, "not_drawn": 0}, "encoder_sha256": "cd" * 32},
    "balance": {
        "retrieval": {"rows": 4, "unique": 4, "factor": 1.0, "dev": 0},
        "sts": {"rows": 0, "unique": 0, "factor": None, "dev": 0},
        "origins": {"recorded": 4},
        "heldout_origins": {"recorded": 2},
        "leaks_dropped": 0,
        "repeats_of_dev_and_test_dropped": 0,
    },
    "train": {
        "phases": [{"name": "one", "steps": 9, "best_step": None, "best_dev": None}],
        "dev_before": {},
        "dev_after": {},
    },
    "metrics": {
        "retrieval": {
            "gold": {
                "base": {"64": {"ndcg@10": 0.5}},
                "bm25": {"ndcg@10": 0.7},
                "tuned": {"64": {"ndcg@10": 0.5, "judged@10": 0.1}},
            }
        },
        "sts": {},
    },
    "significance": {
        "replicates": 1000,
        "suites": {"gold": {"notes": ["recall@100 is left out: 40 documents are searched"]}},
        "bm25": {"k1": 1.5, "b": 0.75, "stemmer": "it"},
        "holm": {"minus_base": {"family": "all suites", "differences": 1}},
        "retrieval": {
            "gold": {
                "64": {
                    "ndcg@10": {
                        "tuned": [0.5, 0.4, 0.6],
                        "queries": 12,
                        "minus_base": {"mean": 0.0, "low": -0.1, "high": 0.1, "p": 1.0, "p_holm": 1.0},
                        "minus_bm25": {"mean": -0.2, "low": -0.3, "high": -0.1, "p": 0.01, "p_holm": 0.02},
                    }
                }
            }
        },
        "sts": {},
    },
}


def curation(answers=0, rate=None):
    """The report of curate, without judgements or with some."""
    known = rate is not None
    return {
        "answers": answers,
        "annotators": 2,
        "records_judged": 5,
        "queries_rewritten": 1,
        "negatives_promoted": 1,
        "negatives_certified": 3,
        "pairs_regraded": 0,
        "agreement": {
            "query_quality": {
                "alpha": 0.8 if known else None,
                "low": 0.6 if known else None,
                "high": 0.9 if known else None,
                "units": 5,
                "more_records": {"width": 0.1, "records": 40 if known else None},
            },
            "similarity": {"alpha": None, "low": None, "high": None, "units": 0},
        },
        "false_negative_rate": {
            "population": "mined negatives of 588 recorded queries",
            "cut_out": 0,
            "rate": rate,
            "ties": 2,
            "ties_as_no": 0.04,
            "ties_as_yes": 0.12,
            "errors": {"missed": 0.2, "false_alarms": 0.015},
            "more_queries": {"width": 0.1, "queries": 31 if known else None},
            "low": 0.01 if known else None,
            "high": 0.3 if known else None,
            "judged_queries": 5,
            "judged_negatives": 20,
            "strata_without_answers": ["margin 3 of 3"] if known else [],
        },
    }


def name_of(number):
    return f"{number:020x}"


def rows(schema, **columns):
    """A table of the schema with as many rows as the longest column; single values are repeated."""
    height = max(len(values) for values in columns.values() if isinstance(values, list))
    whole = {key: values if isinstance(values, list) else [values] * height for key, values in columns.items()}
    return pl.DataFrame(whole, schema={key: empty(schema).schema[key] for key in whole})


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A built project of four passages, each with a query; the test runs in its folder."""
    monkeypatch.chdir(tmp_path)
    ids, places = [name_of(number) for number in range(4)], [name_of(number) for number in range(16, 20)]
    asked = {
        "query_id": ids,
        "text": ANCHORS,
        "origin": "recorded",
        "kind": "recorded",
        "language": "it",
        "split": "train",
    }
    tables = {
        "prepared/passages": (
            Passage,
            {
                "passage_id": places,
                "document_id": ["a", "b", "c", "d"],
                "title": "",
                "text": POSITIVES,
                "start": 0,
                "end": 9,
                "language": "it",
                "licence": ["CC0-1.0", "CC0-1.0", None, "CC0-1.0"],
                "group_id": ["a", "b", "c", "d"],
                "split": "train",
            },
        ),
        "generated/queries": (Query, asked),
        "filtered/queries": (FoundQuery, {**asked, "passage_id": places, "rank": 1, "score": 0.9, "copied": 0.0}),
        "mined/candidates": (
            Candidate,
            {
                "query_id": ids[:1],
                "rank": 2,
                "passage_id": places[1],
                "score": 0.5,
                "positive_score": 0.9,
                "mean_score": 0.1,
                "verdict": "negative",
            },
        ),
        "curated/queries": (CuratedQuery, {**asked, "rewritten_from": None}),
        "curated/positives": (Positive, {"query_id": ids, "passage_id": places, "source": "own"}),
        "balanced/retrieval/train": (
            RetrievalRow,
            {
                "query_id": ids,
                "positive_id": places,
                "copy": 0,
                "origin": "recorded",
                "anchor": ANCHORS,
                "positive": POSITIVES,
                "negatives": [[]] * 4,
                "negative_ids": [[]] * 4,
                "answer_ids": [[]] * 4,
            },
        ),
    }
    for name, (schema, columns) in tables.items():
        write_table(rows(schema, **columns), f"data/{name}.parquet", schema)
    bare = {"filtered/lost": LostQuery, "curated/pairs": SentencePair}
    bare |= {f"{leg}/rejected": Rejected for leg in ("prepared", "generated", "curated")}
    for name, schema in bare.items():
        write_table(empty(schema), f"data/{name}.parquet", schema)
    for name, tree in {**REPORTS, "curation": curation()}.items():
        write_json(tree, f"reports/{name}.json")
    settle()
    return tmp_path


def settle(**report):
    """Write params.yaml, the section `report` as given."""
    tree = {**PARAMS, "report": {**PARAMS["report"], **report}}
    with open("params.yaml", "w", encoding="utf-8") as file:  # noqa: PTH123 - in the test's folder
        yaml.safe_dump(tree, file)


def card(project):
    main()
    return (project / "reports/model_card.md").read_text(encoding="utf-8")


def test_it_writes_three_plots_and_a_card(project):
    main()
    written = {
        name: json.loads((project / f"reports/plots/{name}.json").read_text())
        for name in ("dimensions", "margins", "funnel")
    }
    assert [point["system"] for point in written["dimensions"]] == ["base", "bm25", "tuned"]
    assert [(one["verdict"], one["low"], one["candidates"]) for one in written["margins"]] == [("negative", 0.4, 1)]
    assert [row["rows"] for row in written["funnel"] if row["step"] == "6 training rows"] == [4]


def test_the_same_inputs_give_the_same_bytes(project):
    main()
    first = {path: path.read_bytes() for path in project.glob("reports/**/*.*")}
    main()
    assert first == {path: path.read_bytes() for path in project.glob("reports/**/*.*")}


def test_no_training_text_is_quoted_unless_asked(project):
    told = card(project)
    assert not [text for text in (*ANCHORS, *POSITIVES) if text.split("\n")[0] in told]
    assert "Training rows" not in told


def test_three_rows_are_quoted_when_asked_and_none_of_them_is_markup(project):
    settle(quote_examples=True)
    quoted = card(project).split("## Training rows")[1]
    assert "quando apre il mulino" in quoted
    assert "Il mulino apre alle nove. &#35; Orari" in quoted
    assert "perché piove" not in quoted
    assert not [mark for mark in ("<b>", "`gufi`", "\n# ", "[qui]", "http://", "www.evil") if mark in quoted]
    assert {line.count("|") for line in quoted.strip().splitlines() if line.startswith("|")} == {3}


def test_the_head_is_what_the_hub_reads(project):
    head = yaml.safe_load(card(project).split("---\n")[1])
    assert head["language"] == ["it"]
    assert head["license"] == "other"
    assert head["library_name"] == "sentence-transformers"
    measured = head["model-index"][0]["results"]
    assert measured[0]["metrics"][0]["value"] == 0.5
    assert [found["dataset"]["name"] for found in measured] == ["gold"]


def test_the_card_says_what_the_numbers_do_not_allow(project):
    told = card(project)
    assert "At 64 dimensions the difference is not distinguishable from zero (tuned - base = +0.0000" in told
    assert "At 64 dimensions **tuned is worse than BM25**" in told
    assert "12 queries are too few" in told
    assert "gold, 12 queries that people wrote: tuned against BM25 by nDCG@10 is worse at 64 dimensions" in told
    assert "in brackets p as Holm corrects it (1 differences, all suites)" in told
    assert "words stemmed by the rules of it (Snowball)" in told
    assert "40 documents are searched" in told
    assert "No judgements yet" in told


def test_judgements_stand_with_their_intervals(project):
    write_json(curation(answers=40, rate=0.05), "reports/curation.json")
    told = card(project)
    assert "40 answers by 2 people on 5 records" in told
    assert "Agreement on query quality: Krippendorff's alpha 0.80 (95% interval 0.60 to 0.90)" in told
    assert "Agreement on similarity: not measurable" in told
    assert "among the mined negatives of 588 recorded queries: 5.0% (95% interval 1.0% to 30.0%)" in told
    assert "from 20 negatives of 5 audited queries" in told
    assert "People are held to miss 20% of the answers and to mark 1.5% of the rest wrongly" in told
    assert "tie on 2 of them" in told
    assert "with all of these as no, most people's word alone gives 4.0%, with all as yes 12.0%" in told
    assert "An interval 0.1 wide takes about 31 more audited queries" in told
    assert "an interval 0.1 wide takes about 40 more records" in told
    assert "3 hard negatives certified" in told
    assert "cut out of the passages, for the set has no others" not in told
    assert "No judgements yet" not in told


def test_what_cannot_be_known_of_one_person_and_whose_queries_nobody_asked_is_said(project):
    found = curation(answers=40, rate=0.05)
    cut = {"population": "mined negatives of 90 queries cut out of the passages", "cut_out": 90}
    alone = {"errors": {"missed": None, "false_alarms": None}, "ties": 0}
    found["false_negative_rate"] |= cut | alone
    write_json(found, "reports/curation.json")
    told = card(project)
    assert "how they err cannot be told where one person judges" in told
    assert "90 of these queries were cut out of the passages, for the set has no others: nobody asked them" in told
    assert "tie on" not in told


def test_answers_without_an_audit_leave_the_rate_unknown(project):
    write_json(curation(answers=40), "reports/curation.json")
    assert "the mined negatives of 588 recorded queries: no judgements yet." in card(project)


def test_the_card_holds_recipe_and_licences_and_no_path_of_this_machine(project):
    told = card(project)
    assert "an encoder of an earlier round" in told
    assert "relative_margin: 0.05" in told
    assert "| CC0-1.0 | 3 |" in told
    assert "| not stated | 1 |" in told
    assert "| line | broken json | 2 |" in told
    assert "/home/anna" not in told
    assert str(project) not in told


def test_a_missing_report_names_the_command_that_mends_it(project):
    (project / "reports/mine.json").unlink()
    with pytest.raises(UserError, match=r"reports/mine\.json is missing: run `dvc repro`"):
        main()


def test_most_frequent_comes_first():
    assert list(counts(pl.Series(["b", "a", "a", None])).items()) == [("a", 2), ("b", 1), ("not stated", 1)]


def test_the_set_and_the_seed_are_shared():
    assert (ReportParams.section, ReportParams.shared) == ("report", ("set", "seed"))
