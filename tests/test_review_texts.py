"""Texts that would harm: in Argilla's pages, and in what people type there, they are text and nothing else."""

import json

import polars as pl
import pytest

from nestling.desk.interface import LETTERS
from nestling.tables.io import empty, write_table
from nestling.tables.queries import Judged
from nestling.tables.review import PairItem, QueueItem
from tests.annotating import Annotating
from tests.browser import LAPTOP, PHONE, SIZE, Annotator, Verdict, chromium
from tests.project import clone

pytestmark = pytest.mark.slow
QUERY = '<img src=x onerror="window.ran = 1"> {{7*7}} ${7*7} &lt;b&gt; &amp; %3Cb%3E \'"'
LONG = " ".join(f"<b>parola{number}</b>" for number in range(5000))[:99_999] + "."
PASSAGES = (
    "<script>window.ran = 2</script>\n\n<svg onload='window.ran = 3'><a href='javascript:window.ran = 4'>qui</a>",
    "\u202eotrap\u202c \u200f\u05e9\u05dc\u05d5\u05dd <b dir=rtl>\u0639\u0631\u0628\u064a</b> \U0001f600 e\u0300",
    "</div></style><iframe srcdoc='<script>parent.ran = 5</script>'></iframe><!-- [x](javascript:alert(6)) **y** `z`",
    "</script></template><template><script>window.ran = 8</script> $' $& $$x^2$$ #TEMPLATE#"
    "\n\n# uno\n\n```\ndue\n```  \n - tre",
    LONG,
)
TYPED = 'Dov\'è <img src=x onerror="window.ran = 7"> {{7*7}} =1+1 \\n \u202e\u05d0\u202c  due spazi?'
MADE = ".content-area :is(img, script, svg, a, iframe, b, i, h1, pre, code, table, .katex, template)"


def item(number):
    candidates = [
        {"passage_id": f"p{place}", "text": text, "score": 0.5, "verdict": "negative"}
        for place, text in enumerate(PASSAGES[1:], start=1)
    ]
    words = dict.fromkeys(("why", "kind", "origin", "stratum"), "x") | {"language": "it", "purpose": "active"}
    return words | {
        "record_id": f"{number:020x}",
        "position": number,
        "query_id": f"{number:020x}",
        "query": f"{QUERY} {number}",
        "passage_id": "p0",
        "passage": PASSAGES[0],
        "rank": 1,
        "positive_score": 0.9,
        "margin": 0.4,
        "candidates": candidates,
    }


@pytest.fixture(scope="module")
def project(argilla, tmp_path_factory):
    """Return a project whose queue are three records of such texts, in Argilla."""
    project = clone(tmp_path_factory.mktemp("texts") / "project")
    desk = {"workspace": Annotating(argilla.url, argilla.api_key).workspace(), "vector_dims": 0}
    project.change({f"review.desk.{name}": value for name, value in desk.items()})
    rows = QueueItem.cast(pl.DataFrame([item(number) for number in (1, 2, 3)]))
    write_table(rows, project.root / "data/queue/retrieval.parquet", QueueItem)
    write_table(empty(PairItem), project.root / "data/queue/sts.parquet", PairItem)
    write_table(empty(Judged), project.root / "data/generated/judged.parquet", Judged)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ARGILLA_API_URL", argilla.url)
        patch.setenv("ARGILLA_API_KEY", argilla.api_key)
        project.run("nestling", "review", "push")
        yield project


@pytest.fixture
def anna(argilla, project):
    """Return somebody who has the first record before her, and on whose pages nothing may go wrong."""
    person = Annotating(argilla.url, argilla.api_key).person(project.params()["review"]["desk"]["workspace"])
    with chromium() as browser, browser.new_context(viewport=SIZE) as context:
        anna = Annotator(context, argilla.url, person["username"], person["password"])
        anna.open_in_order("round-01-active")
        yield anna
        assert anna.complaints == []


def rewrites(project):
    """Pull, and return what was typed, in the records' order."""
    project.run("nestling", "review", "pull")
    lines = (project.root / "data/annotations/round-01.jsonl").read_text(encoding="utf-8").splitlines()
    return [line["value"] for line in map(json.loads, lines) if line["question"] == "rewrite"]


def test_the_query_stays_in_sight_and_a_passage_comes_to_who_uses_the_keyboard(anna):
    page, letter = anna.page, next(title[-1] for title, text in anna.seen().texts.items() if text == LONG)
    passage = page.locator(f".nest-{letter}")
    text, box = passage.locator(".nest-text"), page.locator(f"#relevant_{letter}")
    for size in (LAPTOP, PHONE):
        page.set_viewport_size(size)
        reading = anna.read()
        assert reading.with_query == [True] * len(PASSAGES)
        assert reading.pixels < 10 * size["height"]  # a hundred thousand characters are folded
    page.set_viewport_size(LAPTOP)
    passage.locator("summary").click()
    assert text.bounding_box()["height"] > 10 * LAPTOP["height"]
    passage.locator("summary").click()
    passage.locator("label").click()
    assert box.is_checked()
    page.keyboard.press(str(1 + LETTERS.index(letter)))
    assert not box.is_checked()
    page.evaluate("() => document.querySelector('.record__content').scrollTo(0, 0)")
    while page.evaluate("() => document.activeElement.id") != box.get_attribute("id"):
        page.keyboard.press("Tab")
    shown = text.bounding_box()
    assert 180 < shown["height"] < LAPTOP["height"]
    assert 0 < shown["y"] < shown["y"] + shown["height"] < LAPTOP["height"]


def test_texts_are_shown_as_they_are_and_come_back_as_they_were_typed(project, anna):
    shown = anna.seen().texts
    assert shown.pop("Domanda") == f"{QUERY} 1"
    assert sorted(shown.values()) == sorted(PASSAGES)
    assert anna.page.locator(MADE).count() == 0
    suggests = "active" in project.params()["review"]["suggest"]
    assert bool(anna.seen().marked) is suggests
    verdict = {"query_quality": ["vague"], "relevant": ["A"]}
    anna.type(Verdict(verdict, {"rewrite": TYPED}))
    anna.submit(key=True)
    anna.click(Verdict(verdict, {"rewrite": LONG}))
    anna.submit()
    anna.click(Verdict(verdict, {"rewrite": " uno\r\n\r\ndue\t "}))
    anna.submit()
    assert anna.page.evaluate("window.ran") is None
    # what Argilla's text box does of itself: line ends become \n, and after a text of several lines comes one more
    assert rewrites(project) == [TYPED, LONG, " uno\n\ndue\t \n"]
