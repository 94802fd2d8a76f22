"""The tables behind the plots, the sentences of the cards, and that a text never becomes markup."""

import json
from pathlib import Path

import polars as pl
import pytest
import yaml
from dvc_render import VegaRenderer

from nestling.reporting.cards import data_card
from nestling.reporting.funnel import FunnelRow, Tables, funnel_rows
from nestling.reporting.limits import limits_section
from nestling.reporting.markdown import escape, fenced, hub_licences, table
from nestling.reporting.plots import DimensionPoint, MarginBin, dimension_points, margin_bins
from nestling.reporting.results import read_results, results_section
from nestling.tables.io import check

TEMPLATES = Path(".dvc/plots")


def gap(mean, low, high):
    return {"mean": mean, "low": low, "high": high, "p": 0.5}


def results(queries=60, minus_base=(0.01, -0.02, 0.03), minus_bm25=(0.2, 0.1, 0.3)):
    """A retrieval suite at two dimensions, the differences at 64 as given, and an STS suite without an interval."""
    metrics = {
        "retrieval": {
            "gold": {
                "base": {"128": {"ndcg@10": 0.5}, "64": {"ndcg@10": 0.4}},
                "bm25": {"ndcg@10": 0.3},
                "tuned": {"128": {"ndcg@10": 0.6}, "64": {"ndcg@10": 0.41}},
            }
        },
        "sts": {"stsb": {"base": {"64": {"spearman": 0.7}}, "tuned": {"64": {"spearman": 0.8}}}},
    }
    clear = gap(0.1, 0.05, 0.15)
    significance = {
        "retrieval": {
            "gold": {
                "128": {
                    "ndcg@10": {
                        "tuned": [0.6, 0.55, 0.65],
                        "queries": queries,
                        "minus_base": clear,
                        "minus_bm25": clear,
                    }
                },
                "64": {
                    "ndcg@10": {
                        "tuned": [0.41, 0.36, 0.46],
                        "queries": queries,
                        "minus_base": gap(*minus_base),
                        "minus_bm25": gap(*minus_bm25),
                    }
                },
            }
        },
        "sts": {"stsb": {"64": {"spearman": {"tuned": 0.8, "pairs": 90, "minus_base": clear}}}},
    }
    return read_results(metrics, significance)


def test_bm25_stands_at_every_dimension_of_its_suite():
    points = check(dimension_points(results()), DimensionPoint, "test")
    lines = points.filter(pl.col("system") == "bm25").select("suite", "dim", "value").rows()
    assert sorted(lines) == [("gold", 64, 0.3), ("gold", 128, 0.3)]
    assert points.height == 3 * 2 + 2


def test_only_tuned_has_an_interval_and_only_where_it_was_measured():
    points = dimension_points(results()).filter(pl.col("low").is_not_null())
    assert points.select("suite", "system", "dim", "low", "high").rows() == [
        ("gold", "tuned", 128, 0.55, 0.65),
        ("gold", "tuned", 64, 0.36, 0.46),
    ]


def test_margins_are_counted_in_bins_whose_edges_do_not_depend_on_the_data():
    candidates = pl.DataFrame(
        {
            "verdict": ["negative", "negative", "negative", "margin", "positive"],
            "positive_score": [0.9, 0.9, 0.9, 0.5, 0.9],
            "score": [0.595, 0.598, 0.495, 0.51, 0.9],
        }
    )
    bins = check(margin_bins(candidates), MarginBin, "test")
    assert bins.select("verdict", "low", "high", "candidates").rows() == [
        ("margin", -0.02, 0.0, 1),
        ("negative", 0.3, 0.32, 2),
        ("negative", 0.4, 0.42, 1),
    ]


def rejects(*rows):
    return pl.DataFrame(rows, schema=["item", "item_id", "reason"], orient="row")


@pytest.fixture
def tables():
    """Four documents read and one not, three passages, six queries of which one merges after a rewrite."""
    names = ["q1", "q2", "q3", "q4"]
    return Tables(
        passages=pl.DataFrame({"document_id": ["a", "a", "b"]}),
        unprepared=rejects(
            ("document", "c", "empty"),
            ("document", "x", "duplicate_id"),
            ("passage", "d", "too_short"),
            ("pair", "p", "empty"),
        ),
        written=pl.DataFrame({"query_id": [*names, "q5", "q6"]}),
        ungenerated=rejects(("query", "q7", "too_long"), ("query", "q7", "too_long")),
        found=pl.DataFrame({"query_id": [*names, "q5"]}),
        lost=pl.DataFrame({"query_id": ["lost"], "reason": ["copied"]}),
        curated=pl.DataFrame({"query_id": names[:3], "split": ["train", "train", "test"]}),
        positives=pl.DataFrame({"query_id": ["q1", "q1", "q2", "q3"]}),
        uncurated=rejects(("query", "q4", "quality"), ("line", "round:1", "broken_json")),
        pairs=pl.DataFrame({"split": ["train", "train", "dev"]}),
    )


def balance(retrieval=3, sts=2, leaks=0):
    """The balance report, of distinct rows."""
    sets = {"retrieval": {"rows": 9, "unique": retrieval}, "sts": {"rows": 9, "unique": sts}}
    return {**sets, "leaks_dropped": leaks, "repeats_of_dev_and_test_dropped": 0}


def left(frame, step):
    return dict(frame.filter(pl.col("step").str.ends_with(step)).select("what", "rows").rows())


def test_each_step_of_the_funnel_says_what_stayed_and_what_left(tables):
    funnel = check(funnel_rows(tables, 4, balance()), FunnelRow, "test")
    assert left(funnel, "documents") == {"kept": 2, "duplicate_id": 1, "empty": 1, "no_passage_left": 1}
    assert left(funnel, "passages") == {"kept": 3, "too_short": 1}
    assert left(funnel, "written") == {"kept": 6, "too_long": 1}
    assert left(funnel, "found again") == {"kept": 5, "copied": 1}
    assert left(funnel, "after review") == {"kept": 3, "quality": 1, "same_after_rewriting": 1}
    assert left(funnel, "training rows") == {"kept": 3, "held_out_for_test": 1}
    assert left(funnel, "training pairs") == {"kept": 2, "empty": 1, "held_out_for_dev": 1}


def test_the_funnel_adds_up_from_step_to_step(tables):
    funnel = funnel_rows(tables, 4, balance(retrieval=2))
    kept = dict(funnel.filter(pl.col("fate") == "kept").select("step", "rows").rows())
    came = dict(funnel.group_by("step").agg(pl.col("rows").sum()).rows())
    assert came["4 queries found again"] == kept["3 queries written"]
    assert came["5 queries after review"] == kept["4 queries found again"]
    assert came["6 training rows"] == tables.positives.height
    assert left(funnel, "training rows")["not_sampled"] == 1


def test_distinct_rows_that_are_not_trained_on_are_leaks_or_not_sampled(tables):
    sampled = funnel_rows(tables, 4, balance(retrieval=1))
    assert left(sampled, "training rows") == {"kept": 1, "held_out_for_test": 1, "not_sampled": 2}
    leaking = funnel_rows(tables, 4, balance(retrieval=1, leaks=1))
    assert left(leaking, "training rows")["held_out_elsewhere_or_not_sampled"] == 2


def test_a_difference_that_may_be_zero_is_said_in_a_sentence():
    told = results_section(results())
    assert told.count("the difference is not distinguishable from zero") == 1
    assert "At 64 dimensions the difference is not distinguishable from zero (tuned - base = +0.0100" in told


@pytest.mark.parametrize("edge", [(0.01, 0.0, 0.03), (-0.01, -0.03, 0.0)])
def test_an_interval_that_touches_zero_includes_it(edge):
    assert "not distinguishable from zero" in results_section(results(minus_base=edge))


def test_losing_to_bm25_cannot_be_overlooked():
    assert "At 64 dimensions **tuned is worse than BM25**" in results_section(results(minus_bm25=(-0.2, -0.3, -0.1)))


def test_dimensions_are_ranked_by_their_score():
    told = results_section(results())
    assert "best dimension first: 128, 64. The intervals of the first and the last do not overlap" in told


def test_few_queries_rank_no_dimension():
    told = results_section(results(queries=49))
    assert "49 queries are too few (below 50)" in told
    assert "best dimension first: 128, 64" not in told


def test_limits_name_small_suites_and_the_synthetic_one():
    told = limits_section("static", {"it": 3}, results(queries=49), {"extractive": 30, "recorded": 19})
    assert "Too small to tell dimensions apart (below 50): gold." in told
    assert "30 of 49 queries were made by a program" in told
    assert "no word order" in told


def test_a_contextual_encoder_is_not_said_to_know_no_word_order():
    assert "word order" not in limits_section("hub", {"it": 3}, results(), {})


@pytest.mark.parametrize(
    "text",
    [
        "a | b",
        "`code` ```fence",
        "<script>alert(1)</script>",
        "[x](http://evil.example)",
        "![x](y)",
        "# title",
        "*bold* _it_ ~~no~~",
        "a\n\n## b",
        "&lt;b&gt; \\| $x$",
        "---",
        "1. one",
        "+ plus",
        "www.evil.example",
        "\u202egnihton\u202c\u0000",
    ],
)
def test_no_text_can_leave_its_cell(text):
    shown = escape(text)
    assert not set(shown) & set("|`<>[]*_~\\$@/\n\r\u202e\0")
    assert "www." not in shown
    assert not shown.startswith(("-", "1.", "+", "#"))


def test_ordinary_text_stays_readable_and_long_text_is_cut():
    assert escape("Perché l'esame (di lettura), alle 9:30?") == "Perché l'esame (di lettura), alle 9:30?"
    assert escape("uno due tre", 7) == "uno due ..."
    assert escape("nested_mnrl") == "nested_mnrl"


def test_a_block_of_code_cannot_be_closed_from_within():
    assert fenced("a: ````", "yaml").splitlines() == ["`````yaml", "a: ````", "`````"]


def test_columns_of_numbers_stand_right():
    assert table(["name", "n"], [["a", "1,000"], ["b", "+0.1 [0, 1]"]]).splitlines()[1] == "| --- | ---: |"


@pytest.mark.parametrize(
    ("licences", "head"),
    [
        (["CC0-1.0"], {"license": "cc0-1.0"}),
        (["CC BY-SA 4.0", "mit"], {"license": ["cc-by-sa-4.0", "mit"]}),
        (["ours, ask Anna", "mit"], {"license": "other", "license_name": "as-stated-below"}),
        ([], {"license": "other", "license_name": "as-stated-below"}),
    ],
)
def test_licences_stand_in_the_head_as_the_hub_writes_them(licences, head):
    assert hub_licences(licences) == head


def test_the_data_card_says_how_to_load_each_set():
    part = {"rows": 8, "unique": 2, "factor": 4.0, "dev": 1}
    card = data_card(
        "prova", {"retrieval": part, "sts": part, "negatives_per_row": 4.0, "leaks_dropped": 0}, ["<b>mine</b>"]
    )
    head = yaml.safe_load(card.split("---")[1])
    assert [config["config_name"] for config in head["configs"]] == ["retrieval", "sts"]
    assert "<b>" not in card.split("---", 2)[2]


@pytest.mark.parametrize(
    ("name", "schema"), [("dimensions", DimensionPoint), ("margins", MarginBin), ("funnel", FunnelRow)]
)
def test_a_template_draws_only_columns_that_its_table_has(name, schema):
    text = (TEMPLATES / f"{name}.json").read_text(encoding="utf-8")
    assert set(fields(json.loads(text))) - {"rev"} <= set(schema.columns()) | {"<DVC_METRIC_X>", "<DVC_METRIC_Y>"}


def fields(tree):
    """Yield every column that a Vega-Lite specification names."""
    for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
        if key == "field" and isinstance(value, str):
            yield value
        elif isinstance(value, dict | list):
            yield from fields(value)


def test_dvc_fills_the_templates_without_a_hole():
    rows = [{**row, "rev": rev} for rev in ("workspace", "HEAD") for row in dimension_points(results()).to_dicts()]
    drawn = VegaRenderer(
        rows, "dimensions", x="dim", y="value", template="dimensions", template_dir=str(TEMPLATES)
    ).partial_html()
    assert "<DVC_METRIC" not in drawn
    assert json.loads(drawn)["data"]["values"][0]["dim"] == 128
