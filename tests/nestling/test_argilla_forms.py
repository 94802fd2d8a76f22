import numpy as np
import pytest

from nestling.desk.argilla_forms import Form, given_in, pending_in, positions_to_renew, shown_in
from nestling.desk.interface import PairTask, Pile, RetrievalTask, Shown, Suggestion
from nestling.desk.wording import Wording
from nestling.errors import UserError

WORDING = Wording.load("it")
PASSAGES = (("p2", "due"), ("p1", "uno"))
TASK = RetrievalTask("r1", "chi?", "p1", PASSAGES, {"position": 1, "margin": 1})
IDS = {"query_quality": "id-quality", "relevant": "id-relevant"}
NAMES = {"u1": "anna"}


OLD = ("query", "passage_a", "passage_b")


def parts(*tasks, name="audit", fields=()):
    return dict(Form(Pile(name, 2, tasks), WORDING, fields).parts())


def record_of(task, fields=()):
    return Form(Pile("audit", 2, [task]), WORDING, fields).record_of(task, IDS)


def answered(values, status="submitted", user="u1", passages=("p2", "p1")):
    response = {"user_id": user, "status": status, "updated_at": "2026-11-21T10:00:00", "values": values}
    metadata = {"passage_id": "p1", "passage_ids": list(passages), "suggested": ["relevant"]}
    return {"external_id": "r1", "fields": {"query": "a &lt; b?"}, "metadata": metadata, "responses": [response]}


def test_a_query_and_its_passages_are_one_field_and_letters_are_marks():
    made = parts(TASK)
    assert [(field["name"], field["settings"]["use_markdown"]) for field in made["fields"]] == [("record", True)]
    assert record_of(TASK)["fields"].keys() == {"record"}
    relevant = next(one for one in made["questions"] if one["name"] == "relevant")
    assert [option["value"] for option in relevant["settings"]["options"]] == ["A", "B", "none"]


def test_a_dataset_of_the_plain_form_goes_on_in_it():
    made = parts(TASK, fields=OLD)
    assert [field["name"] for field in made["fields"]] == ["query", "passage_a", "passage_b"]
    assert [field["title"] for field in made["fields"]] == ["Domanda", "Passaggio A", "Passaggio B"]
    assert record_of(TASK, OLD)["fields"] == {"query": "chi?", "passage_a": "due", "passage_b": "uno"}


def test_there_are_letters_for_the_record_with_most_passages():
    more = RetrievalTask("r2", "che?", "p1", (*PASSAGES, ("p3", "tre")))
    assert len(parts(TASK, more, fields=OLD)["fields"]) == 4
    relevant = next(one for one in parts(TASK, more)["questions"] if one["name"] == "relevant")
    assert [option["value"] for option in relevant["settings"]["options"]] == ["A", "B", "C", "none"]
    with pytest.raises(UserError, match=r"27 passages .* lower select\.candidates"):
        parts(RetrievalTask("r3", "", "p0", tuple((f"p{n}", "") for n in range(27))))


def test_an_annotator_must_say_how_the_query_is_and_what_answers_and_may_say_more():
    assert [(one["name"], one["required"]) for one in parts(TASK)["questions"]] == [
        ("query_quality", True),
        ("relevant", True),
        ("rewrite", False),
        ("comment", False),
    ]
    pair = PairTask("p", "a", "b")
    similarity, comment = parts(pair, name="sts")["questions"]
    assert [option["value"] for option in similarity["settings"]["options"]] == [0, 1, 2, 3, 4, 5]
    assert (similarity["required"], comment["required"]) == (True, False)


def test_what_would_sway_annotators_is_for_engineers():
    task = PairTask("p", "a", "b", {"position": 1, "grade": 2.0, "data_version": "v"})
    told = [
        (one["name"], one["settings"]["type"], one["visible_for_annotators"])
        for one in parts(task, name="sts")["metadata-properties"]
    ]
    assert told == [("position", "integer", True), ("grade", "float", False), ("data_version", "terms", True)]


def test_markup_in_a_text_goes_out_as_text_and_comes_back_as_it_was():
    task = RetrievalTask("r1", "<b>a & b</b> &lt;", "p1", (("p1", "<script>"),))
    old = record_of(task, OLD)
    assert old["fields"] == {"query": "&lt;b&gt;a &amp; b&lt;/b&gt; &amp;lt;", "passage_a": "&lt;script&gt;"}
    for record in (old, record_of(task), old | {"metadata": {"passage_id": "p1", "passage_ids": ["p1"]}}):
        (shown,) = shown_in(answered({}) | {"fields": record["fields"], "metadata": record["metadata"]})
        assert shown.query == "<b>a & b</b> &lt;"


def test_suggestions_speak_of_letters_and_carry_score_and_agent():
    suggestions = (
        Suggestion("query_quality", "good", "judge Qwen/Qwen2.5", 0.9),
        Suggestion("relevant", ["p1"], "miner #1 é", [0.8]),
    )
    task = RetrievalTask("r1", "chi?", "p1", PASSAGES, suggestions=suggestions)
    told = [(one["question_id"], one["value"], one["agent"], one["score"]) for one in record_of(task)["suggestions"]]
    assert told == [("id-quality", "good", "judge Qwen/Qwen2.5", 0.9), ("id-relevant", ["B"], "miner _1 _", [0.8])]


def test_a_whole_number_becomes_a_fraction_where_the_server_wants_one():
    metadata = record_of(TASK)["metadata"]
    assert isinstance(metadata["margin"], float)
    assert isinstance(metadata["position"], int)


def test_a_query_s_vector_is_one_of_the_record():
    made = record_of(RetrievalTask("r1", "chi?", "p1", PASSAGES, vector=np.array([0.1, 0.2], np.float32)))
    assert made["vectors"] == {"query_vector": [0.1, 0.2]}
    assert record_of(TASK)["vectors"] == {}


def test_an_answer_speaks_of_passages_again_and_says_what_was_pre_selected():
    values = {"query_quality": {"value": "good"}, "relevant": {"value": ["A", "none"]}, "rewrite": {"value": " "}}
    (given,) = given_in(answered(values), "audit", NAMES)
    assert given.values == {"query_quality": "good", "relevant": ["p2"]}
    assert (given.annotator, given.annotator_id, given.suggested) == ("anna", "u1", ("relevant",))
    (given,) = given_in(answered({"relevant": {"value": ["none"]}}), "audit", NAMES)
    assert given.values == {"relevant": []}


@pytest.mark.parametrize(
    ("marks", "told"),
    [
        ({"relevant": {"value": ["none"]}}, {"relevant": []}),
        ({"relevant": {"value": []}}, {"relevant": []}),
        ({}, {}),
        ({"relevant": {"value": ["C"]}}, {}),
        ({"relevant": {"value": ["B", "C"]}}, {"relevant": ["p1"]}),
    ],
)
def test_none_answers_is_an_answer_and_a_letter_without_a_passage_is_none(marks, told):
    (given,) = given_in(answered(marks), "audit", NAMES)
    assert given.values == told


@pytest.mark.parametrize(
    "change",
    [
        {"external_id": None},
        {"metadata": None},
        {"metadata": {}},
        {"fields": {"record": "x"}, "metadata": {"passage_ids": ["p1"], "passage_id": "p1"}},
    ],
)
def test_a_record_that_somebody_else_put_there_says_nothing(change):
    foreign = answered({"relevant": {"value": ["A"]}}) | change
    assert list(given_in(foreign, "audit", NAMES)) == list(shown_in(foreign)) == []


def test_positions_are_renewed_where_nobody_answered_and_lost_where_the_queue_has_the_record_no_more():
    def record(name, position, *responses):
        metadata = {"passage_ids": [], "passage_id": "p", "position": position, "kind": "k"}
        return {"external_id": name, "fields": {"query": ""}, "metadata": metadata, "responses": list(responses)}

    pile = Pile("active", 1, [RetrievalTask("r1", "", "p", (), {"position": 1})])
    records = [record("r1", 2), record("r2", 1), record("r3", 7, {"status": "submitted"})]
    changes = positions_to_renew(records, pile)
    assert [(one["external_id"], one["metadata"].get("position")) for one in changes] == [("r1", 1), ("r2", None)]
    assert changes[0]["metadata"]["kind"] == "k"
    assert positions_to_renew([record("r1", 1)], pile) == []


def test_what_waits_for_an_annotator_lacks_people_and_that_one_s_word():
    def record(status, *said):
        return {"status": status, "responses": [{"user_id": who, "status": how} for who, how in said]}

    records = [
        record("pending"),
        record("pending", ("u1", "submitted")),
        record("pending", ("u1", "draft"), ("u2", "discarded")),
        record("completed", ("u2", "submitted")),
    ]
    assert pending_in(records, {"u1": "anna", "u2": "bruno"}) == {"anna": 2, "bruno": 2}


@pytest.mark.parametrize(("marks", "stray"), [(["A"], False), (["none"], False), (["A", "none"], True), (["C"], True)])
def test_marks_that_say_nothing_clear_are_noted(marks, stray):
    (given,) = given_in(answered({"relevant": {"value": marks}}), "audit", NAMES)
    assert given.stray is stray


def test_a_draft_says_nothing_yet():
    (given,) = given_in(answered({"query_quality": {"value": "good"}}, status="draft"), "audit", NAMES)
    assert (given.status, given.values) == ("draft", {})


def test_who_is_no_longer_known_goes_by_the_server_s_id():
    (given,) = given_in(answered({}, user="u9"), "audit", NAMES)
    assert given.annotator == "u9"


def test_a_record_is_told_as_it_was_shown_once_somebody_answered():
    assert list(shown_in(answered({}))) == [Shown("r1", "a < b?", "p1", ("p2",))]
    assert list(shown_in(answered({}) | {"responses": []})) == []


def complaint(there, part="questions"):
    form = Form(Pile("audit", 2, [TASK]), WORDING)
    wanted = dict(form.parts())[part]
    return form.complaint(part, wanted, there({one["name"]: one for one in wanted}))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda there: there, ""),
        (lambda there: there | {"mood": {"required": False}}, ""),
        (lambda there: there | {"mood": {"required": True}}, "it asks mood"),
        (lambda there: {}, "it has no questions query_quality, relevant, rewrite, comment"),
        (
            lambda there: there | {"comment": there["comment"] | {"settings": {"type": "rating"}}},
            "its 'comment' is of the type rating and not text",
        ),
        (
            lambda there: there | {"relevant": there["relevant"] | {"settings": {"type": "multi_label_selection"}}},
            "its question 'relevant' lacks A, B, none",
        ),
    ],
)
def test_a_dataset_of_another_form_is_told(change, said):
    assert complaint(change) == said


def test_words_may_differ_and_letters_may_be_more():
    def there(wanted):
        option = {"value": "C", "text": "C"}
        relevant = wanted["relevant"]
        settings = relevant["settings"] | {"options": [*relevant["settings"]["options"], option]}
        return wanted | {"relevant": relevant | {"title": "Which?", "settings": settings}}

    assert complaint(there) == ""


@pytest.mark.parametrize("language", ["it", "pt", "es", "ca", "en"])
def test_guidelines_fit_the_server(language):
    for name in ("audit", "sts", "adjudication"):
        made = Form(Pile(name, 1, []), Wording.load(language)).dataset("x", "w")
        assert 0 < len(made["guidelines"]) <= 10_000
