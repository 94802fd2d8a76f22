"""Judging in the real Argilla: what goes there, what comes back, and what a fault on the way can do (nothing)."""

import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from nestling.desk.argilla import ArgillaDesk
from nestling.desk.interface import PairTask, Pile, RetrievalTask, Shown, Size, Suggestion, shuffled
from nestling.desk.rounds import save
from nestling.desk.settings import ArgillaParams
from nestling.desk.wording import Wording
from nestling.errors import UserError
from tests.annotating import Annotating
from tests.stumbling import FAULTS, stumbling

pytestmark = pytest.mark.slow
WORDING = Wording.load("it")
ROUND = "round-01"
HOSTILE = '<img src=x onerror="alert(1)">&lt;b&gt; & \u202erovescio\u202c\n{{7*7}} = +1 \\ "\' \U0001f600\u2028'


@pytest.fixture
def seat(argilla):
    """Return what a test does as the server's owner."""
    return Annotating(argilla.url, argilla.api_key)


@pytest.fixture
def workspace(seat):
    """Return a workspace of the test's own."""
    return seat.workspace()


@pytest.fixture
def params(workspace):
    return ArgillaParams(
        kind="argilla", workspace=workspace, referee_workspace=workspace, vector_dims=4, tries=4, timeout_s=5.0
    )


@pytest.fixture
def sit(argilla, monkeypatch):
    """Return a way to sit down at a desk, at an address and with a key; all are left when the test ends."""
    desks = []

    def sit_down(params, url=argilla.url, key=argilla.api_key):
        monkeypatch.setenv("ARGILLA_API_URL", url)
        monkeypatch.setenv("ARGILLA_API_KEY", key)
        desks.append(ArgillaDesk(params, WORDING, first_wait_s=0.001))
        return desks[-1]

    yield sit_down
    for desk in desks:
        desk.close()


@pytest.fixture
def desk(sit, params):
    """Return a desk at the server."""
    return sit(params)


def task(number, **change):
    passages = tuple((f"p{number}-{place}", f"testo {place} di {number}") for place in range(4))
    made = RetrievalTask(
        record_id=f"{number:020x}",
        query=f"domanda {number}?",
        passage_id=f"p{number}-0",
        passages=shuffled(str(number), passages),
        metadata={"position": number, "margin": number / 100, "purpose": "audit", "data_version": "v1"},
        suggestions=(
            Suggestion("query_quality", "good", "filter", 0.5),
            Suggestion("relevant", [f"p{number}-0"], "miner", [0.75]),
        ),
        vector=np.array([number, 1, 2, 3], np.float32),
    )
    return replace(made, **change)


def pair(number):
    return PairTask(f"{number:020x}", f"frase {number}", f"altra {number}", {"position": number, "grade": 2.5})


def audit(*numbers, people=2):
    return Pile("audit", people, [task(number) for number in numbers])


def counts(piles):
    return [(one.pile, one.there, one.added) for one in piles]


def letter(record, passage_id):
    return "ABCD"[record["metadata"]["passage_ids"].index(passage_id)]


# --- what goes there


def test_a_pile_becomes_a_dataset_with_all_that_people_and_engineers_need(seat, workspace, desk):
    piles = [audit(1, 2), Pile("active", 1, [task(3)]), Pile("sts", 1, [pair(4)])]
    assert counts(desk.push(ROUND, piles)) == [("audit", 0, 2), ("active", 0, 1), ("sts", 0, 1)]
    dataset = seat.dataset(workspace, "round-01-audit")
    assert dataset["distribution"]["min_submitted"] == 2
    assert dataset["guidelines"] == WORDING.guidelines.retrieval.strip()
    record = seat.records(workspace, "round-01-audit")[f"{1:020x}"]
    assert "domanda 1?" in record["fields"]["record"]
    assert record["vectors"] == {"query_vector": [1.0, 1.0, 2.0, 3.0]}
    told = {
        (one["agent"], one["score"] if isinstance(one["score"], float) else one["score"][0])
        for one in record["suggestions"]
    }
    assert told == {("filter", 0.5), ("miner", 0.75)}
    assert record["metadata"]["margin"] == 0.01
    assert seat.found(workspace, "round-01-sts") == 1


def test_pushing_again_adds_what_is_missing_and_touches_no_answer(seat, workspace, desk):
    desk.push(ROUND, [audit(1, 2)])
    anna = seat.person(workspace)
    record = seat.records(workspace, "round-01-audit")[f"{1:020x}"]
    seat.answer(anna, record, {"query_quality": "vague", "relevant": ["none"]})
    changed = Pile("audit", 2, [task(1, query="altre parole"), task(2), task(3)])
    assert counts(desk.push(ROUND, [changed])) == [("audit", 2, 1)]
    after = seat.records(workspace, "round-01-audit")
    assert len(after) == 3
    assert "domanda 1?" in after[f"{1:020x}"]["fields"]["record"]
    (response,) = after[f"{1:020x}"]["responses"]
    assert response["values"]["query_quality"] == {"value": "vague"}


def test_a_record_deleted_in_the_ui_comes_again_while_it_is_in_the_queue_and_loses_no_answer(
    seat, workspace, desk, tmp_path
):
    desk.push(ROUND, [audit(1, 2)])
    anna = seat.person(workspace)
    record = seat.records(workspace, "round-01-audit")[f"{1:020x}"]
    seat.answer(anna, record, {"query_quality": "good", "relevant": ["A"]})
    save(desk.pull(ROUND), tmp_path, ROUND)
    before = (tmp_path / f"{ROUND}.jsonl").read_bytes()
    seat.ask("DELETE", f"/datasets/{record['dataset_id']}/records", ids=record["id"])
    save(desk.pull(ROUND), tmp_path, ROUND)
    assert (tmp_path / f"{ROUND}.jsonl").read_bytes() == before
    assert counts(desk.push(ROUND, [audit(1, 2)])) == [("audit", 1, 1)]


def test_what_a_push_that_died_left_is_made_whole(seat, workspace, desk):
    seat.begin(workspace, "round-01-audit", "record")
    assert counts(desk.push(ROUND, [audit(1)])) == [("audit", 0, 1)]
    assert len(seat.records(workspace, "round-01-audit")) == 1


def test_another_queue_renews_the_order_of_what_nobody_answered(seat, workspace, desk):
    desk.push(ROUND, [audit(1, 2, 3)])
    before = seat.records(workspace, "round-01-audit")
    seat.answer(seat.person(workspace), before[f"{3:020x}"], {"query_quality": "good", "relevant": ["A"]})
    desk.push(ROUND, [Pile("audit", 2, [task(2, metadata={"position": 1}), task(4, metadata={"position": 2})])])
    after = seat.records(workspace, "round-01-audit")
    assert {int(name, 16): one["metadata"].get("position") for name, one in after.items()} == {
        1: None,
        2: 1,
        3: 3,
        4: 2,
    }
    assert after[f"{2:020x}"]["suggestions"] != []
    assert after[f"{2:020x}"]["fields"] == before[f"{2:020x}"]["fields"]


def test_a_round_of_the_plain_form_is_pushed_to_pulled_and_answered_as_before(seat, workspace, desk):
    seat.begin(workspace, "round-01-audit", "query")
    assert counts(desk.push(ROUND, [audit(1)])) == [("audit", 0, 1)]
    anna = seat.person(workspace)
    record = seat.records(workspace, "round-01-audit")[f"{1:020x}"]
    del record["metadata"]["query"]  # which such rounds lack
    seat.ask("PATCH", f"/records/{record['id']}", {"metadata": record["metadata"]})
    seat.answer(anna, record, {"query_quality": "good", "relevant": [letter(record, "p1-0")]})
    assert counts(desk.push(ROUND, [audit(1, 2)])) == [("audit", 1, 1)]
    assert set(seat.records(workspace, "round-01-audit")[f"{2:020x}"]["fields"]) == {
        "query",
        *(f"passage_{letter}" for letter in "abcd"),
    }
    pulled = desk.pull(ROUND)
    assert pulled.given[0].values == {"query_quality": "good", "relevant": ["p1-0"]}
    assert pulled.shown[0].query == "domanda 1?"


def test_two_who_push_at_once_make_one_dataset(seat, workspace, params, sit):
    desks = [sit(params) for _ in range(3)]
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda desk: desk.push(ROUND, [audit(*range(9))]), desks))
    assert set(seat.records(workspace, "round-01-audit")) == {f"{n:020x}" for n in range(9)}
    assert seat.found(workspace, "round-01-audit") == 9


def test_the_sdk_reads_what_we_push(argilla, workspace, desk):
    rg = pytest.importorskip("argilla")
    desk.push(ROUND, [audit(1, 2)])
    client = rg.Argilla(api_url=argilla.url, api_key=argilla.api_key)
    records = list(client.datasets(name="round-01-audit", workspace=workspace).records(with_vectors=True))
    assert {record.metadata["query"] for record in records} == {"domanda 1?", "domanda 2?"}
    assert {suggestion.agent for record in records for suggestion in record.suggestions} == {"filter", "miner"}


# --- what comes back


def test_answers_come_back_as_passages_with_their_time_and_status(seat, workspace, desk):
    desk.push(ROUND, [audit(1), Pile("sts", 1, [pair(2)])])
    anna, bruno = seat.person(workspace, "anna-" + workspace), seat.person(workspace, "bruno-" + workspace)
    record = seat.records(workspace, "round-01-audit")[f"{1:020x}"]
    values = {
        "query_quality": "vague",
        "relevant": [letter(record, "p1-2"), letter(record, "p1-0")],
        "rewrite": "chi?",
    }
    seat.answer(anna, record, values)
    seat.answer(bruno, record, {"query_quality": "good"}, "draft")
    seat.answer(bruno, seat.records(workspace, "round-01-sts")[f"{2:020x}"], {"similarity": 0})
    pulled = desk.pull(ROUND)
    said = {(given.pile, given.annotator, given.status): given for given in pulled.given}
    assert set(said) == {
        ("audit", anna["username"], "submitted"),
        ("audit", bruno["username"], "draft"),
        ("sts", bruno["username"], "submitted"),
    }
    told = said["audit", anna["username"], "submitted"]
    assert set(told.values["relevant"]) == {"p1-0", "p1-2"}
    assert (told.values["query_quality"], told.values["rewrite"]) == ("vague", "chi?")
    assert told.submitted_at.endswith("Z")
    assert said["sts", bruno["username"], "submitted"].values == {"similarity": 0}
    assert [(one.record_id, one.passage_id, set(one.candidates)) for one in pulled.shown] == [
        (f"{1:020x}", "p1-0", {"p1-1", "p1-2", "p1-3"})
    ]
    assert pulled.sizes["audit"] == Size(1, 2, {anna["username"]: 0, bruno["username"]: 1})
    assert pulled.sizes["sts"] == Size(1, 1, {anna["username"]: 0, bruno["username"]: 0})


def test_hostile_text_goes_there_and_comes_back_unchanged(seat, workspace, desk, tmp_path):
    words = HOSTILE + "x" * 100_000
    desk.push(ROUND, [Pile("audit", 1, [task(1, query=HOSTILE, passages=(("p1-0", words),))])])
    anna = seat.person(workspace)
    record = seat.records(workspace, "round-01-audit")[f"{1:020x}"]
    seat.answer(anna, record, {"query_quality": "good", "relevant": ["A"], "rewrite": words, "comment": HOSTILE})
    pulled = desk.pull(ROUND)
    assert pulled.given[0].values["rewrite"] == words
    assert pulled.given[0].values["comment"] == HOSTILE
    assert pulled.shown == [Shown(f"{1:020x}", HOSTILE, "p1-0", ())]


def test_what_a_deleted_annotator_said_stays_and_is_not_doubled(seat, workspace, desk, tmp_path):
    desk.push(ROUND, [audit(1, 2)])
    anna, bruno = seat.person(workspace), seat.person(workspace)
    for record in seat.records(workspace, "round-01-audit").values():
        seat.answer(anna, record, {"query_quality": "good", "relevant": ["A"]})
    save(desk.pull(ROUND), tmp_path, ROUND)
    before = (tmp_path / f"{ROUND}.jsonl").read_bytes()
    seat.ask("DELETE", f"/users/{anna['id']}")
    merged = save(desk.pull(ROUND), tmp_path, ROUND)
    assert (tmp_path / f"{ROUND}.jsonl").read_bytes() == before
    assert (merged.kept, merged.added, merged.withdrawn) == (4, 0, 0)
    seat.answer(
        bruno,
        seat.records(workspace, "round-01-audit")[f"{1:020x}"],
        {"query_quality": "good", "relevant": []} | {"relevant": ["none"]},
    )
    assert save(desk.pull(ROUND), tmp_path, ROUND).answers == 6


def test_an_admin_s_key_does_what_an_owner_s_does(seat, workspace, params, sit):
    admin = seat.person(workspace, role="admin")
    desk = sit(params, key=admin["api_key"])
    desk.push(ROUND, [audit(1)])
    seat.answer(
        admin, seat.records(workspace, "round-01-audit")[f"{1:020x}"], {"query_quality": "good", "relevant": ["A"]}
    )
    assert [given.annotator for given in desk.pull(ROUND).given] == [admin["username"]]


def test_who_is_taken_from_the_workspace_is_not_counted_twice(seat, workspace, params, sit, tmp_path):
    admin, anna = seat.person(workspace, role="admin"), seat.person(workspace)
    desk = sit(params, key=admin["api_key"])
    desk.push(ROUND, [audit(1)])
    record = seat.records(workspace, "round-01-audit")[f"{1:020x}"]
    seat.answer(anna, record, {"query_quality": "good", "relevant": ["A"]})
    save(desk.pull(ROUND), tmp_path, ROUND)
    before = (tmp_path / f"{ROUND}.jsonl").read_bytes()
    seat.ask("DELETE", f"/workspaces/{seat.workspace_id(workspace)}/users/{anna['id']}")
    save(desk.pull(ROUND), tmp_path, ROUND)
    assert (tmp_path / f"{ROUND}.jsonl").read_bytes() == before


def test_a_record_deleted_while_pages_are_turned_hides_no_other(argilla, seat, workspace, params, sit, monkeypatch):
    monkeypatch.setattr("nestling.desk.argilla._PAGE", 2)
    sit(params).push(ROUND, [audit(*range(6))])
    anna, records = seat.person(workspace), seat.records(workspace, "round-01-audit")
    for record in records.values():
        seat.answer(anna, record, {"query_quality": "good", "relevant": ["A"]})
    first = records[f"{0:020x}"]

    def delete_after_a_page(_, __, path):
        if "offset=2" in path and f"{0:020x}" in seat.records(workspace, "round-01-audit"):
            seat.ask("DELETE", f"/datasets/{first['dataset_id']}/records", ids=first["id"])
        return ""

    with stumbling(argilla.url, delete_after_a_page) as proxy:
        pulled = sit(params, proxy.url).pull(ROUND)
    assert {one.record_id for one in pulled.given} == {f"{n:020x}" for n in range(1, 6)}


# --- what a person can mend


def refusal(do):
    with pytest.raises(UserError) as caught:
        do()
    return str(caught.value)


def test_a_wrong_key_is_told(params, sit):
    told = refusal(lambda: sit(params, key="no-such-key"))
    assert "does not take ARGILLA_API_KEY" in told
    assert "no-such-key" not in told


@pytest.mark.parametrize("missing", ["ARGILLA_API_URL", "ARGILLA_API_KEY"])
def test_a_missing_address_or_key_is_told(params, monkeypatch, missing):
    monkeypatch.setenv("ARGILLA_API_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("ARGILLA_API_KEY", "x")
    monkeypatch.delenv(missing)
    assert refusal(lambda: ArgillaDesk(params, WORDING)).startswith(f"{missing} is not set: start Argilla")


@pytest.mark.parametrize("url", ["ftp://x", "127.0.0.1:6900", "http://me:secret@host", "http://[", "http://h/?q=1"])
def test_what_is_no_address_is_told_without_what_may_be_secret(params, sit, url):
    told = refusal(lambda: sit(params, url, "x"))
    assert "is no address" in told
    assert "secret" not in told


def test_a_server_that_is_not_there_is_told(params, sit):
    told = refusal(lambda: sit(params, "http://127.0.0.1:1", "x"))
    assert "does not answer" in told
    assert "nothing is lost or doubled" in told


def test_another_workspace_is_told_with_those_there_are(workspace, params, sit):
    desk = sit(params.model_copy(update={"workspace": "nowhere"}))
    told = refusal(lambda: desk.push(ROUND, [audit(1)]))
    assert "no workspace 'nowhere'" in told
    assert workspace in told


def test_an_annotator_s_key_is_told(seat, workspace, params, sit):
    anna = seat.person(workspace)
    told = refusal(lambda: sit(params, key=anna["api_key"]).push(ROUND, [audit(1)]))
    assert f"does not let {anna['username']} (annotator) do this" in told


def test_a_dataset_with_other_questions_is_told_and_left(seat, workspace, desk):
    body = {"name": "round-01-audit", "workspace_id": seat.workspace_id(workspace)}
    path = f"/datasets/{seat.ask('POST', '/datasets', body)['id']}"
    field = {"name": "query", "title": "x", "required": True, "settings": {"type": "text", "use_markdown": False}}
    asked = {"name": "mood", "title": "x", "required": True, "settings": {"type": "text", "use_markdown": False}}
    seat.ask("POST", f"{path}/fields", field)
    told = refusal(lambda: desk.push(ROUND, [audit(1)]))
    assert "unpublished dataset 'round-01-audit' that is not ours" in told
    seat.ask("POST", f"{path}/questions", asked)
    seat.ask("PUT", f"{path}/publish")
    told = refusal(lambda: desk.push(ROUND, [audit(1)]))
    assert "does not fit this queue (it has no fields passage_a" in told
    assert seat.records(workspace, "round-01-audit") == {}


def test_another_number_of_people_or_dimensions_is_told(seat, workspace, desk):
    desk.push(ROUND, [audit(1)])
    assert "asks 2 people a record and shared.people asks 3" in refusal(lambda: desk.push(ROUND, [audit(1, people=3)]))
    other = task(2, vector=np.ones(5, np.float32))
    assert "have 4 dimensions and not 5" in refusal(lambda: desk.push(ROUND, [Pile("audit", 2, [other])]))


def test_a_round_that_was_never_pushed_is_told(desk):
    assert "has no dataset of the round 'round-09'" in refusal(lambda: desk.pull("round-09"))


# --- faults on the way


def pushed_through(argilla, sit, params, plan, piles):
    """Push through a proxy again and again until it ends well; return how often it did not."""
    with stumbling(argilla.url, plan) as proxy:
        for failed in range(50):
            try:
                sit(params, proxy.url).push(ROUND, piles)
            except UserError:
                continue
            return failed
    raise AssertionError("never ended well")


def once(fault, place):
    """Return the plan of one fault at one request."""
    return lambda number, *_: fault if number == place else ""


@pytest.mark.parametrize("fault", FAULTS)
def test_one_fault_at_a_request_of_a_push_neither_loses_nor_doubles(argilla, seat, sit, params, monkeypatch, fault):
    monkeypatch.setattr("nestling.desk.argilla._BATCH", 2)
    piles = [audit(*range(5))]
    patient = params.model_copy(update={"timeout_s": 1.0}) if fault == "hung" else params
    with stumbling(argilla.url) as proxy:  # how many requests there are
        sit(params.model_copy(update={"workspace": seat.workspace()}), proxy.url).push(ROUND, piles)
        requests = len(proxy.asked)
    places = random.Random(fault).sample(range(requests), 2 if fault == "hung" else 5)
    for place in places:
        mine = patient.model_copy(update={"workspace": seat.workspace()})
        assert pushed_through(argilla, sit, mine, once(fault, place), piles) == 0  # one more try is enough
        assert set(seat.records(mine.workspace, "round-01-audit")) == {f"{n:020x}" for n in range(5)}
        assert seat.found(mine.workspace, "round-01-audit") == 5


def now_and_then(seed, share):
    """Return the plan of random faults at a share of the requests."""
    draw, kinds = random.Random(seed), [fault for fault in FAULTS if fault != "hung"]
    return lambda *_: draw.choice(kinds) if draw.random() < share else ""


@pytest.mark.parametrize("seed", range(3))
def test_a_server_that_stumbles_at_every_third_step_gets_everything_once(
    argilla, seat, sit, params, monkeypatch, seed
):
    monkeypatch.setattr("nestling.desk.argilla._BATCH", 2)
    hasty = params.model_copy(update={"tries": 2})
    pushed_through(argilla, sit, hasty, now_and_then(seed, 1 / 3), [audit(*range(7))])
    assert set(seat.records(params.workspace, "round-01-audit")) == {f"{n:020x}" for n in range(7)}
    assert seat.found(params.workspace, "round-01-audit") == 7


@pytest.mark.parametrize("seed", range(3))
def test_half_of_a_pull_writes_nothing_and_the_whole_writes_the_same(
    argilla, seat, workspace, params, sit, desk, monkeypatch, tmp_path, seed
):
    monkeypatch.setattr("nestling.desk.argilla._PAGE", 2)
    desk.push(ROUND, [audit(*range(7))])
    anna = seat.person(workspace)
    for record in seat.records(workspace, "round-01-audit").values():
        seat.answer(anna, record, {"query_quality": "good", "relevant": ["A"]})
    save(desk.pull(ROUND), tmp_path / "whole", ROUND)
    torn, hasty = tmp_path / "torn", params.model_copy(update={"tries": 2})
    with stumbling(argilla.url, now_and_then(seed, 0.4)) as proxy:
        while not torn.exists():
            try:
                pulled = sit(hasty, proxy.url).pull(ROUND)
            except UserError:
                continue
            save(pulled, torn, ROUND)
    assert (torn / f"{ROUND}.jsonl").read_bytes() == (tmp_path / "whole" / f"{ROUND}.jsonl").read_bytes()
