"""A round of review from an empty machine: people judge in the browser, and the training set shows what they said.

The queue is that of the tiny project. Two annotators and a referee sign in with their passwords; all answers are
clicks and keys, and what stands in a record, and under which letter, is read off the page.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
import pytest

from nestling.desk.wording import Wording
from tests.annotating import Annotating
from tests.browser import SIZE, Annotator, Verdict, chromium
from tests.project import Project

pytestmark = pytest.mark.slow
WORDING = Wording.load("it")
OWN, OTHER = "own", "other"  # a query's own passage, and the hardest of its mined negatives
REWRITE = "Che cosa devo portare con me, se vado di persona?"
PILES = ["round-01-active", "round-01-audit", "round-01-sts"]


def said(quality, *relevant, **texts):
    return {"query_quality": quality, "relevant": relevant} | texts


GOOD, VAGUE, FOREIGN = said("good", OWN), said("vague"), said("wrong_language")
SAID = {  # of the audit's queries, by anna and by bruno; None discards
    "bettered": (said("vague", OWN, rewrite=REWRITE), said("vague", OWN, rewrite=REWRITE)),
    "answered twice": (said("good", OWN, OTHER), said("good", OWN, OTHER)),
    "vague": (VAGUE, VAGUE),
    "foreign": (FOREIGN, FOREIGN),
    "a passage disputed": (GOOD, said("good", OWN, OTHER)),
    "all disputed": (GOOD, said("not_answerable")),
    "discarded": (None, GOOD),
    "commented": (GOOD, GOOD | {"comment": "Vale anche d'inverno?"}),
    "as it should be": (GOOD, GOOD),
    "as it should be, too": (GOOD, GOOD),
}


@dataclass
class Round:
    """A project whose queue is in Argilla, the people there, and what they saw and answered.

    Attributes:
        people: by first name, as the server knows them, with their passwords.
        active, audit: the records of these piles, in the queue's order.
        roles: the audit's records by what is said of them.
        saw: what was found, by occasion.
        given: (record_id, question, annotator) -> value, of every answer on a page.
    """

    project: Project
    seat: Annotating
    home: str
    people: dict[str, dict[str, Any]]
    active: list[dict[str, Any]]
    audit: list[dict[str, Any]]
    roles: dict[str, dict[str, Any]]
    saw: dict[str, Any] = field(default_factory=dict)
    given: dict[tuple[str, str, str], Any] = field(default_factory=dict)

    def table(self, path: str) -> pl.DataFrame:
        return pl.read_parquet(self.project.root / path)

    def report(self) -> dict[str, Any]:
        return dict(json.loads((self.project.root / "reports/curation.json").read_text()))

    def pulled(self) -> bytes:
        return (self.project.root / "data/annotations/round-01.jsonl").read_bytes()

    def review(self, command: str) -> str:
        """Run a command of `nestling review` and return what it says."""
        done = self.project.run("nestling", "review", command)
        return done.stdout + done.stderr

    def letters(self, texts: dict[str, str]) -> dict[str, str]:
        """Return the letters under which a page shows passages, by their ids."""
        ids = {
            text: passage_id
            for passage_id, text in self.table("data/prepared/passages.parquet")["passage_id", "text"].rows()
        }
        return {ids[text]: title[-1] for title, text in texts.items() if title.startswith("Passaggio")}

    def note(self, record_id: str, name: str, values: dict[str, Any]) -> None:
        whose = self.people[name]["username"]
        self.given |= {(record_id, question, whose): value for question, value in values.items()}


def queue(project: Project, purpose: str) -> list[dict[str, Any]]:
    """Return a pile's records, each with its passages `own` and `other`."""
    rows = pl.read_parquet(project.root / "data/queue/retrieval.parquet").filter(purpose=purpose).sort("position")
    return [row | {OWN: row["passage_id"], OTHER: hardest(row)} for row in rows.to_dicts()]


def hardest(row):
    return next(one["passage_id"] for one in row["candidates"] if one["verdict"] == "negative")


def roles(project: Project, audit: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the audit's records by what is to be said of them; those of the training split come first."""
    queries = pl.read_parquet(project.root / "data/filtered/queries.parquet").filter(split="train")
    trained = set(queries["query_id"])
    return dict(zip(SAID, sorted(audit, key=lambda row: row["query_id"] not in trained), strict=True))


# --- what people do


@contextmanager
def signed_in(browser, held: Round, name: str) -> Iterator[Annotator]:
    """Yield somebody at the pages, on which nothing may go wrong."""
    with browser.new_context(viewport=SIZE) as context:
        person = Annotator(context, held.seat.url, held.people[name]["username"], held.people[name]["password"])
        yield person
        assert person.complaints == []


def judge(held: Round, person: Annotator, name: str, plan: dict[str, Any], row: dict[str, Any], key: bool) -> None:
    """Answer the record on the page as planned, and note what the clicks mean."""
    texts = person.seen().texts
    assert row["query"] in texts.values()
    if plan is None:
        person.discard(key)
        return
    letters = held.letters(texts)
    chosen = sorted((letters[row[which]], row[which]) for which in plan["relevant"])
    marks = {"query_quality": [plan["query_quality"]], "relevant": [letter for letter, _ in chosen] or ["none"]}
    told = Verdict(marks, {question: text for question, text in plan.items() if question not in marks})
    (person.type if key else person.click)(told)
    person.submit(key)
    held.note(row["record_id"], name, plan | {"relevant": [passage_id for _, passage_id in chosen]})


def judge_audit(held: Round, person: Annotator, name: str, turn: int) -> None:
    """Answer all of the audit: one record by keys, the next by clicks."""
    by_query = {row["query"]: (role, row) for role, row in held.roles.items()}
    for number in range(len(by_query)):
        role, row = by_query[person.seen().first]
        judge(held, person, name, SAID[role][turn], row, key=number % 2 == 0)


def grade(held: Round, person: Annotator, name: str, number: int) -> None:
    """Grade sentence pairs, each by the length of its first sentence."""
    names = dict(held.table("data/queue/sts.parquet")["sentence1", "record_id"].rows())
    for place in range(number):
        sentence = person.seen().first
        verdict, key = Verdict({"similarity": [str(len(sentence) % 6)]}), place % 2 == 0
        (person.type if key else person.click)(verdict)
        person.submit(key)
        held.note(names[sentence], name, {"similarity": len(sentence) % 6})


# --- the round, step by step


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def pushed(argilla, built, tmp_path_factory):
    """Return the round after `nestling review push`."""
    seat = Annotating(argilla.url, argilla.api_key)
    home, court = seat.workspace(), seat.workspace()
    seats = {"anna": home, "bruno": home, "dora": home, "carla": court}
    people = {name: seat.person(place, f"{name}-{place}") for name, place in seats.items()}
    project = built.copy(tmp_path_factory.mktemp("round") / "project")
    project.change({"review.desk.workspace": home, "review.desk.referee_workspace": court})
    project.change({"review.suggest": ["active"], "shared.people.active": 2})  # one alone would change nothing
    audit = queue(project, "audit")
    held = Round(project, seat, home, people, queue(project, "active"), audit, roles(project, audit))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ARGILLA_API_URL", argilla.url)
        patch.setenv("ARGILLA_API_KEY", argilla.api_key)
        held.saw["push"] = held.review("push")
        yield held


@pytest.fixture(scope="module")
def looked(pushed, browser):
    """Return the round after dora looked around in the audit and answered nothing."""
    with signed_in(browser, pushed, "dora") as dora:
        dora.open("round-01-audit")
        dora.sort("position")
        pushed.saw["sorted"] = [dora.seen().first]
        dora.skip()
        pushed.saw["sorted"].append(dora.seen().first)
        dora.find_similar()
        pushed.saw["similar"] = dora.seen().first
        dora.open("round-01-audit")
        dora.filter("kind", "recorded")
        pushed.saw["filtered"] = [dora.left(), dora.seen().first]
    return pushed


def anna_judges(held: Round, anna: Annotator) -> None:
    """Take two suggestions as they are, judge the whole audit, grade two pairs of five."""
    held.saw["anna's piles"] = anna.datasets()
    anna.open_in_order("round-01-active")
    held.saw["active"] = anna.seen()
    for row in held.active[:2]:
        judge(held, anna, "anna", GOOD, row, key=True)
    anna.open("round-01-audit")
    held.saw["audit"] = anna.seen()
    judge_audit(held, anna, "anna", 0)
    held.saw["anna at the end"] = anna.at_end()
    anna.open("round-01-sts")
    grade(held, anna, "anna", 2)


def bruno_judges(held: Round, bruno: Annotator) -> None:
    """Judge the whole audit, grade the pairs that are left, take two suggestions and contradict two."""
    bruno.open("round-01-audit")
    held.saw["audit left to bruno"] = bruno.left()
    judge_audit(held, bruno, "bruno", 1)
    bruno.open("round-01-sts")
    held.saw["pairs left to bruno"] = bruno.left()
    grade(held, bruno, "bruno", 3)
    bruno.open_in_order("round-01-active")
    held.saw["active left to bruno"] = bruno.left()
    for row in held.active[:2]:
        judge(held, bruno, "bruno", GOOD, row, key=True)
    third, fourth = held.active[2:4]
    judge(held, bruno, "bruno", VAGUE, third, key=False)
    judge(held, bruno, "bruno", said("good", OTHER), fourth, key=True)


@pytest.fixture(scope="module")
def judged(looked, browser):
    """Return the round after anna and then bruno judged it in the browser; dora looks what is left."""
    with signed_in(browser, looked, "anna") as anna:
        anna_judges(looked, anna)
    looked.saw["status between"] = looked.review("status")
    with signed_in(browser, looked, "bruno") as bruno:
        bruno_judges(looked, bruno)
    with signed_in(browser, looked, "dora") as dora:
        dora.open("round-01-audit")
        looked.saw["audit left to dora"] = [dora.left(), dora.seen().first]
    return looked


@pytest.fixture(scope="module")
def pulled(judged):
    """Return the round after `nestling review pull`."""
    judged.saw["status"] = judged.review("status")
    judged.review("pull")
    return judged


@pytest.fixture(scope="module")
def rebuilt(pulled):
    """Return the round after `dvc repro`."""
    pulled.saw["ran"] = pulled.project.repro()
    pulled.saw["report"] = pulled.report()
    return pulled


@pytest.fixture(scope="module")
def settled(rebuilt, browser):
    """Return the round after carla settled, in the browser, one of the two records that `adjudicate` sent her."""
    held, row = rebuilt, rebuilt.roles["a passage disputed"]
    held.saw["adjudicate"] = held.review("adjudicate")
    with signed_in(browser, held, "carla") as carla:
        held.saw["carla's piles"] = carla.datasets()
        carla.open("round-01-adjudication")
        if row["query"] not in carla.seen().texts.values():
            carla.skip()
        held.saw["disputed"] = carla.seen()
        judge(held, carla, "carla", said("good", OWN, OTHER), row, key=False)
    held.review("pull")
    held.project.stage("curate")
    return held


# --- what must be so


def test_the_queue_goes_out_whole(pushed):
    assert "round-01-audit: 10 records added" in pushed.saw["push"]
    assert "round-01-active: 10 records added" in pushed.saw["push"]
    assert "round-01-sts: 5 records added" in pushed.saw["push"]


def test_the_queue_can_be_sorted_by_position_and_filtered_by_kind(looked):
    queries = looked.audit
    recorded = [row["query"] for row in queries if row["kind"] == "recorded"]
    assert looked.saw["sorted"] == [row["query"] for row in queries[:2]]
    number, first = looked.saw["filtered"]
    assert number == len(recorded) == len(queries)  # what is cut out of the passages is shown to nobody
    assert first in recorded


def test_find_similar_shows_the_nearest_query_first(looked):
    records = {
        record["metadata"]["query"]: np.array(record["vectors"]["query_vector"])
        for record in looked.seat.records(looked.home, "round-01-audit").values()
    }
    base = records.pop(looked.audit[1]["query"])
    assert looked.saw["similar"] == max(records, key=lambda query: float(records[query] @ base))


def test_annotators_find_the_piles_of_their_workspace_and_no_other(judged):
    assert sorted(judged.saw["anna's piles"]) == PILES


def test_machines_suggestions_are_selected_in_the_active_pile_and_there_alone(judged):
    row, seen = judged.active[0], judged.saw["active"]
    letters = judged.letters(seen.texts)
    near = [one["passage_id"] for one in row["candidates"] if one["score"] >= row["positive_score"]]
    suggested = {f"relevant_{letters[passage_id]}" for passage_id in [row[OWN], *near]}
    assert seen.marked == {"query_quality_good"} | suggested
    assert judged.saw["audit"].marked == set()


def test_a_record_waits_for_as_many_people_as_its_pile_asks_for(judged):
    assert judged.saw["anna at the end"]
    assert piles(judged.saw["status between"]) == {"audit": [0, 9, 1], "active": [0, 2, 8], "sts": [2, 0, 3]}
    assert judged.saw["audit left to bruno"] == 10
    assert judged.saw["active left to bruno"] == 10
    assert judged.saw["pairs left to bruno"] == 3
    assert judged.saw["audit left to dora"] == [1, judged.roles["discarded"]["query"]]


def piles(status):
    """Return how many records of each pile are done, begun and pending."""
    lines = [line.split() for line in status.splitlines()]
    return {
        line[0]: [int(number) for number in line[2:5]]
        for line in lines
        if line and line[0] in ("audit", "active", "sts") and line[1].isdigit()
    }


def test_status_tells_how_far_people_are_and_how_they_agree(pulled):
    told = pulled.saw["status"]
    assert piles(told) == {"audit": [9, 1, 0], "active": [2, 2, 6], "sts": [5, 0, 0]}
    people = [line.split() for line in told.splitlines() if "-w-" in line]  # pile, name, submitted, draft ...
    counts = {name: [0, 0, 0] for _, name, *_ in people}
    for _, name, *numbers in people:
        counts[name] = [have + int(more) for have, more in zip(counts[name], numbers, strict=False)]
    assert sorted(counts.values()) == [[0, 0, 0], [13, 0, 1], [17, 0, 0]]
    pending = {(pile, name[:4]): int(number) for pile, name, *_, number in people}
    assert (pending["audit", "dora"], pending["audit", "anna"], pending["active", "dora"]) == (1, 0, 8)
    assert "query_quality   0." in told
    assert "relevant        0." in told


def test_what_was_clicked_is_what_is_pulled(pulled):
    lines = [json.loads(line) for line in pulled.pulled().splitlines()]
    found = {(line["record_id"], line["question"], line["annotator"]): line["value"] for line in lines}
    assert found == pulled.given
    assert len(lines) == len(found)
    assert {line["status"] for line in lines} == {"submitted"}


def test_pulling_again_changes_no_byte(pulled):
    before = pulled.pulled()
    assert "0 new or changed" in pulled.review("pull")
    assert pulled.pulled() == before


def test_only_what_hangs_on_answers_is_built_again(rebuilt):
    assert rebuilt.saw["ran"] == ["select", "curate", "balance", "train", "evaluate", "report"]


def asked(held):
    """Return anchor -> (passages that answer, negatives) of the training rows."""
    rows = held.table("data/balanced/retrieval/train.parquet")
    told = rows.group_by("anchor").agg("positive_id", pl.col("negative_ids").explode())
    return {row["anchor"]: (set(row["positive_id"]), set(row["negative_ids"])) for row in told.to_dicts()}


def test_queries_that_people_find_bad_are_trained_on_no_more(rebuilt):
    trained = asked(rebuilt)
    for role in ("vague", "foreign", "bettered"):
        assert rebuilt.roles[role]["query"] not in trained
    assert rebuilt.roles["commented"]["query"] in trained
    assert rebuilt.active[2]["query"] in trained  # one person alone said so, beside a suggestion
    assert rebuilt.saw["report"]["unconfirmed"]["query_quality"] == 2


def test_the_better_wording_is_trained_on_in_the_place_of_the_bad_one(rebuilt):
    row = rebuilt.roles["bettered"]
    assert asked(rebuilt)[REWRITE][0] == {row[OWN]}
    (found,) = rebuilt.table("data/curated/queries.parquet").filter(text=REWRITE).to_dicts()
    assert found["rewritten_from"] == row["query"]


def test_a_false_negative_is_a_positive_from_now_on(rebuilt):
    row = rebuilt.roles["answered twice"]
    positives, negatives = asked(rebuilt)[row["query"]]
    assert positives == {row[OWN], row[OTHER]}
    assert row[OTHER] not in negatives
    judged = rebuilt.table("data/curated/positives.parquet").filter(source="judged")
    assert (row["query_id"], row[OTHER]) in judged["query_id", "passage_id"].rows()


def test_the_grades_of_people_replace_those_of_the_pairs(rebuilt):
    scores = dict(rebuilt.table("data/curated/pairs.parquet")["pair_id", "score"].rows())
    grades = {key[0]: value for key, value in rebuilt.given.items() if key[1] == "similarity"}
    assert len(grades) == 5
    assert {name: 5 * scores[name] for name in grades} == pytest.approx(grades)


def test_the_report_tells_agreement_and_what_is_disputed(rebuilt):
    report = rebuilt.saw["report"]
    assert 0 < report["agreement"]["query_quality"]["alpha"] < 1
    assert 0 < report["agreement"]["relevant"]["alpha"] < 1
    assert report["false_negative_rate"]["rate"] > 0
    told = {question: report["disagreements"][question]["open"] for question in ("query_quality", "relevant")}
    assert told == {"query_quality": 1, "relevant": 2}
    assert report["answers_that_no_longer_fit"] == 0


def test_a_referee_sees_what_is_disputed_and_nothing_else(settled):
    row, seen = settled.roles["a passage disputed"], settled.saw["disputed"]
    assert "round-01-adjudication: 2 records added" in settled.saw["adjudicate"]
    assert settled.saw["carla's piles"] == ["round-01-adjudication"]
    letters = settled.letters(seen.texts)
    assert seen.texts[WORDING.fields.said] == f"{letters[row[OTHER]]}: 1/2"
    assert seen.marked == {"query_quality_good", f"relevant_{letters[row[OWN]]}"}  # on which the others agree


def test_the_referees_word_settles_a_dispute(settled):
    row = settled.roles["a passage disputed"]
    told = settled.report()["disagreements"]
    assert told["relevant"] == {"open": 1, "settled": 1}
    assert told["query_quality"] == {"open": 1, "settled": 0}
    judged = settled.table("data/curated/positives.parquet").filter(source="judged")
    assert (row["query_id"], row[OTHER]) in judged["query_id", "passage_id"].rows()
