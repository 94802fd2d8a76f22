"""Judges that judge, throw dice or say one thing: only the first pass; what is drawn, and what it costs."""

import json
import random
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import polars as pl
import pytest

from nestling.errors import UserError
from nestling.llm.asking import Llm
from nestling.llm.backend import ChatAnswer, ChatRequest
from nestling.llm.meter import Meter
from nestling.llm.registry import answering
from nestling.llm.response_cache import ResponseCache
from nestling.llm.server_params import KEY
from nestling.queries.self_test import FEWEST, TESTED, check_judge, drawn, measured
from nestling.queries.synthetic import LlmParams, synthesise
from nestling.queries.templates import CRITERIA, load_template
from nestling.queries.writing import write_queries
from tests.liar import Liar

SAMPLING = {"temperature": 0.0, "top_p": 1.0, "max_tokens": 64}
SERVER = {"kind": "server", "served_as": "liar", "structure": "schema", "in_flight": 4, "tries": 1, "timeout_s": 30.0}
PLACES = [f"Villa{chr(97 + one)}{chr(97 + two)}" for one in range(10) for two in range(5)]


def pairs(number: int, passages: int | None = None) -> pl.DataFrame:
    names = [f"p{place % (passages or number):03}" for place in range(number)]
    return pl.DataFrame({"text": [f"domanda {place}" for place in range(number)], "passage_id": names})


def spoken(rows: pl.DataFrame, *languages: str) -> pl.DataFrame:
    names = rows["passage_id"].unique().sort()
    return pl.DataFrame(
        {"passage_id": names, "language": [languages[at % len(languages)] for at in range(len(names))]}
    )


# --- what is drawn


def test_forty_queries_are_drawn_with_own_and_other_passages_of_their_language() -> None:
    rows = pairs(200, 60)
    languages = spoken(rows, "it", "pt")
    own, swapped = drawn(rows, languages, 1)
    assert own.height == swapped.height == TESTED
    assert own["text"].to_list() == swapped["text"].to_list()
    assert (own["passage_id"] != swapped["passage_id"]).all()
    of = dict(languages.iter_rows())
    assert [of[name] for name in own["passage_id"]] == [of[name] for name in swapped["passage_id"]]
    assert own.join(rows, on=rows.columns, how="anti").height == 0


def test_the_draw_hangs_on_the_seed_and_on_no_order() -> None:
    rows = pairs(200)
    first, again, other = (
        drawn(given, spoken(rows, "it"), seed)
        for given, seed in ((rows, 1), (rows.sample(fraction=1.0, shuffle=True, seed=2), 1), (rows, 2))
    )
    assert first[0].equals(again[0])
    assert first[1].equals(again[1])
    assert not first[0].equals(other[0])


def test_a_query_without_another_passage_in_its_language_is_not_drawn() -> None:
    rows = pairs(30)
    languages = spoken(rows, "it").with_columns(
        language=pl.when(pl.col("passage_id") == "p003").then(pl.lit("pt")).otherwise("language")
    )
    own, _ = drawn(rows, languages, 1)
    assert (own.height, "p003" in own["passage_id"]) == (29, False)
    assert drawn(pairs(30, 1), spoken(pairs(30, 1), "it"), 1)[0].height == 0


# --- what is measured


def graded(answerable: Iterable[float | None], scores: Iterable[float | None] | None = None) -> pl.DataFrame:
    schema = {"answerable": pl.Float64, "judge_score": pl.Float64}
    answerable = list(answerable)
    return pl.DataFrame({"answerable": answerable, "judge_score": list(scores or answerable)}, schema=schema)


def judged(own: Iterable[float | None], swapped: Iterable[float | None]) -> None:
    check_judge(measured(graded(own), graded(swapped), 1), "judge")


def test_scores_that_rise_by_language_and_fluency_alone_are_refused() -> None:
    dice = random.Random(1)
    own, swapped = (graded(dice.choices([1, 2], k=40), [score] * 40) for score in (0.9, 0.2))
    with pytest.raises(UserError, match="cannot tell right passages"):
        check_judge(measured(own, swapped, 1), "judge")


def test_scores_that_one_criterion_makes_nothing_are_refused_though_another_judges() -> None:
    with pytest.raises(UserError, match="one and the same score"):
        check_judge(measured(graded([4] * 40, [0] * 40), graded([0] * 40, [0] * 40), 1), "judge")


def test_a_judge_that_parts_right_from_wrong_passes_with_its_interval() -> None:
    found = measured(graded([1.0, 0.9] * 20), graded([0.0, 0.95] * 20), 1)
    assert (found.queries, found.auc, found.varies) == (40, 0.75, True)
    assert found.low is not None
    assert found.high is not None
    assert 0.5 < found.low < 0.75 < found.high < 1
    check_judge(found, "judge")
    judged([1.0] * 40, [0.0] * 40)


def test_the_interval_holds_what_it_says() -> None:
    """A judge with a true AUC of .5 passes at most once in about forty, one with .7 mostly."""
    dice = random.Random(1)
    passed = {0.0: 0, 0.75: 0}
    for shift in passed:
        for _ in range(100):
            own, swapped = ([round(dice.gauss(mean, 1), 1) for _ in range(40)] for mean in (shift, 0.0))
            found = measured(graded(own), graded(swapped), 1)
            assert found.low is not None
            passed[shift] += found.low > 0.5
    assert passed[0.0] <= 8
    assert passed[0.75] >= 80


@pytest.mark.parametrize("score", [0.0, 0.5, 1.0])
def test_one_score_for_everything_is_refused(score: float) -> None:
    with pytest.raises(UserError, match=r"judge gives one and the same score to 40 queries .*kind: none"):
        judged([score] * 40, [score] * 40)


@pytest.mark.parametrize("swapped", [[0.2, 0.9] * 20, [0.9, 1.0] * 20])
def test_scores_that_are_no_better_for_the_right_passage_are_refused(swapped: list[float]) -> None:
    with pytest.raises(
        UserError, match=r"cannot tell right passages from wrong ones \(AUC 0\.\d\d, 95% interval 0\.\d\d"
    ):
        judged([0.2, 0.9] * 20, swapped)


def test_of_too_few_queries_nothing_is_told() -> None:
    found = measured(graded([0.5] * (FEWEST - 1) + [None]), graded([0.5] * FEWEST), 1)
    assert found.report() == {"queries": FEWEST - 1, "auc": None, "auc_low": None, "auc_high": None}
    check_judge(found, "judge")


# --- the examples that a judge is shown


@pytest.mark.parametrize("language", ["it", "pt", "es", "ca", "en"])
@pytest.mark.parametrize("criterion", CRITERIA)
def test_a_judge_is_shown_both_ends_of_every_criterion_and_goes_on_from_neither(language: str, criterion: str) -> None:
    shown = [getattr(example.grades, criterion) for example in load_template(language).judge.examples]
    assert {0, 4} <= set(shown)
    assert len(set(shown)) >= 3
    assert 1.5 <= sum(shown) / len(shown) <= 3
    assert 0 < shown[-1] < 4
    assert len({tuple(vars(example.grades).values()) for example in load_template(language).judge.examples}) == len(
        shown
    )


# --- through the source itself


def texts() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "passage_id": [f"p{at:03}" for at in range(len(PLACES))],
            "text": [f"A {name} il mercato della verdura apre il lunedì alle sette in piazza." for name in PLACES],
        }
    ).with_columns(language=pl.lit("it"))


def settings(**judge: object) -> LlmParams:
    kinds = {"question": {"queries": 1.0, "min_words": 2, "max_words": 20}}
    gates = {
        "min_language_share": 0.0, "language_from_words": 5, "max_copied": 1.0, "copied_from_words": 6,
        "near_duplicate": 0.8, "max_passages": 2,
    }  # fmt: skip
    tree = {
        "model": {"name": "echo", "revision": "a" * 40},
        "backend": {"kind": "echo"},
        "writing": {"kinds": kinds, "summary_words": 0, "attempts": 1, "sampling": SAMPLING},
        "gates": gates,
        "judge": {"kind": "llm", "threshold": 0.5, "attempts": 1, "sampling": SAMPLING} | judge,
    }
    return LlmParams.model_validate_json(json.dumps(tree))


class Scripted:
    def __init__(self, say: Callable[[str], str]) -> None:
        self.say = say

    def answer(self, requests: Iterable[ChatRequest]) -> Iterator[ChatAnswer]:
        for request in requests:
            yield ChatAnswer(request.key, self.say(request.messages[-1][1]), "stop", 10, 1)

    def close(self) -> None:
        """Free nothing."""


def asking(text: str) -> str:
    (name,) = re.findall(r"A (Villa\w+)", text)
    return json.dumps({"question": [f"In che giorno si compra verdura a {name}?"]})


def run(folder: Path, params: LlmParams, passages: pl.DataFrame | None = None) -> dict[str, object]:
    passages = texts() if passages is None else passages
    with ResponseCache(folder / "cache") as cache:
        writer = Llm(answering(params.model, params.backend), lambda: Scripted(asking), cache, Meter())
        write_queries(writer, passages, params.writing, 7)
        made = synthesise(passages, params, 7, cache)
    return made.report | {"kept": made.rows.height, "used": len(made.used)}


@pytest.fixture(autouse=True)
def _no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY, raising=False)


def of_server(server: Liar) -> LlmParams:
    return settings(model={"name": "liar", "revision": "1"}, backend=SERVER | {"url": server.url})


def test_a_server_that_judges_passes_and_a_rebuild_asks_for_nothing(tmp_path: Path) -> None:
    with Liar(lies={"*": ["judge"] * 200}) as server:
        first = run(tmp_path, of_server(server))
    assert len(server.bodies) == 50 + TESTED
    told = first["judge"]
    assert isinstance(told, dict)
    assert told["self_test"] == {"queries": 40, "auc": 1.0, "auc_low": 1.0, "auc_high": 1.0}
    assert (told["judged"], told["answers"], first["kept"], first["used"]) == (50, 90, 50, 140)
    again = run(tmp_path, of_server(server))  # which is dead by now
    assert {**again, "run": None} == {**first, "run": None}


@pytest.mark.parametrize(
    ("lie", "sentence"),
    [("grade 2", "liar gives one and the same score to 40 queries"), ("dice", "liar cannot tell right passages")],
)
def test_a_server_that_does_not_judge_is_refused_after_eighty_answers(tmp_path: Path, lie: str, sentence: str) -> None:
    with Liar(lies={"*": [lie] * 200}) as server, pytest.raises(UserError, match=sentence) as error:
        run(tmp_path, of_server(server))
    assert "\n" not in str(error.value)
    assert len(server.bodies) == 2 * TESTED


def test_with_few_queries_a_judge_is_not_tested(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Liar(lies={"*": ["grade 2"] * 200}) as server:
        told = run(tmp_path, of_server(server), texts().head(FEWEST - 1))["judge"]
    assert isinstance(told, dict)
    assert (told["judged"], told["self_test"]["queries"], told["self_test"]["auc"]) == (FEWEST - 1, 0, None)
    assert "with 19 queries nothing can be told of the judge; 20 are needed" in capsys.readouterr().err


def test_the_echo_grades_what_it_wrote_above_what_it_did_not(tmp_path: Path) -> None:
    params = settings(model={"name": "echo", "revision": "1"}, backend={"kind": "echo"})
    with ResponseCache(tmp_path / "cache") as cache:
        told = synthesise(texts(), params, 7, cache).report["judge"]["self_test"]
    assert told["queries"] >= FEWEST
    assert told["auc_low"] > 0.5
