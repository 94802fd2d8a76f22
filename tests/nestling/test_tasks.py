import numpy as np
import polars as pl
import pytest

from nestling.desk.interface import LETTERS, marked, shuffled
from nestling.desk.tasks import pair_tasks, retrieval_tasks

CANDIDATES = [
    {"passage_id": "above", "text": "sopra", "score": 0.9, "verdict": "margin"},
    {"passage_id": "below", "text": "sotto", "score": 0.4, "verdict": "negative"},
]
ITEM = {
    "record_id": "r1",
    "position": 1,
    "purpose": "active",
    "query": "chi?",
    "passage_id": "own",
    "passage": "proprio",
    "candidates": CANDIDATES,
    "kind": "question",
    "language": "it",
    "origin": "llm",
    "margin": 0.12345678,
    "rank": 2,
    "positive_score": 0.8,
    "stratum": "margin 1 of 3",
}
GRADE = {"text": "chi?", "passage_id": "own", "answerable": 4, "specific": 4, "fluent": 4, "language": 4}


def items(*changes):
    return pl.DataFrame([ITEM | change for change in changes], infer_schema_length=None)


def judged(**change):
    grade = GRADE | {"judge_score": 0.9, "judge": "Qwen/Qwen2.5-7B-Instruct"} | change
    return pl.DataFrame([grade])


NOBODY = judged().clear()


def only(queue, judged=NOBODY, suggest=("active",), vectors=None):
    (task,) = [task for tasks in retrieval_tasks(queue, judged, suggest, vectors, "v1").values() for task in tasks]
    return task


def test_the_query_s_own_passage_stands_among_the_candidates():
    assert sorted(only(items({})).passages) == [("above", "sopra"), ("below", "sotto"), ("own", "proprio")]


def test_the_order_shown_says_nothing_of_which_passage_is_the_query_s_own():
    passages = [(name, "") for name in "abcdefg"]
    first = [shuffled(f"record {n}", passages)[0][0] for n in range(700)]
    counts = [first.count(name) for name in "abcdefg"]
    assert min(counts) > 60  # 100 each, give or take
    assert max(counts) < 140


def test_the_order_shown_hangs_on_the_record_and_not_on_the_order_given():
    passages = [(name, "") for name in "abcdefg"]
    assert shuffled("r", passages) == shuffled("r", passages[::-1])


def test_what_a_letter_means_is_found_again():
    assert marked(["C", "A"], ["p1", "p2", "p3"]) == ["p1", "p3"]
    assert marked(["none"], ["p1"]) == []
    assert marked([LETTERS[5], "none"], ["p1"]) == []  # a letter under which nothing was shown


def test_the_miner_suggests_the_own_passage_and_what_scores_as_high():
    (_, relevant) = only(items({})).suggestions
    assert (relevant.question, relevant.agent) == ("relevant", "miner")
    assert (relevant.value, relevant.score) == (["own", "above"], [0.8, 0.9])


@pytest.mark.parametrize(("score", "told"), [(1.0000001, 1.0), (-0.2, 0.0)])
def test_a_cosine_beyond_what_a_desk_takes_is_brought_within(score, told):
    (_, relevant) = only(items({"positive_score": score, "candidates": CANDIDATES[:0]})).suggestions
    assert relevant.score == [told]


def test_the_filter_s_word_is_surer_the_higher_it_found_the_passage():
    (quality, _) = only(items({})).suggestions
    assert (quality.value, quality.agent, quality.score) == ("good", "filter", 0.5)


@pytest.mark.parametrize(
    ("grades", "word"),
    [
        ({}, "good"),
        ({"answerable": 1}, "not_answerable"),
        ({"specific": 1}, "vague"),
        ({"language": 0, "answerable": 0}, "wrong_language"),
    ],
)
def test_where_a_judge_graded_its_word_is_suggested(grades, word):
    (quality, _) = only(items({}), judged(**grades)).suggestions
    assert (quality.value, quality.agent, quality.score) == (word, "judge Qwen/Qwen2.5-7B-Instruct", 0.9)


def test_a_grade_of_the_same_words_beside_another_passage_does_not_count():
    (quality, _) = only(items({}), judged(passage_id="other", answerable=0)).suggestions
    assert (quality.value, quality.agent) == ("good", "filter")


def test_the_audit_goes_out_without_suggestions_unless_they_are_wanted():
    assert only(items({"purpose": "audit"})).suggestions == ()
    assert len(only(items({"purpose": "audit"}), suggest=("audit",)).suggestions) == 2


def test_metadata_leaves_out_what_is_unknown():
    told = {"position": 1, "purpose": "active", "kind": "question", "language": "it", "origin": "llm"}
    told |= {"stratum": "margin 1 of 3", "data_version": "v1"}
    assert only(items({})).metadata == told | {"margin": 0.1235}
    assert only(items({"margin": None})).metadata == told


def test_tasks_stand_in_the_queue_s_order_each_with_its_vector():
    queue = items({"position": 2}, {"position": 1, "record_id": "r0"}, {"position": 3, "purpose": "audit"})
    vectors = np.eye(3, dtype=np.float32)
    tasks = retrieval_tasks(queue, NOBODY, (), vectors, "v1")
    assert [task.record_id for task in tasks["active"]] == ["r0", "r1"]
    assert [int(task.vector.argmax()) for task in (*tasks["active"], *tasks["audit"])] == [1, 0, 2]


def test_pairs_go_out_blind_with_their_grade_as_metadata():
    row = {"record_id": "p", "sentence1": "a", "sentence2": "b", "score": 0.4, "cosine": 0.5}
    queue = pl.DataFrame([row | {"position": 2}, row | {"position": 1, "record_id": "o"}])
    tasks = pair_tasks(queue, None, "v1")
    assert [task.record_id for task in tasks] == ["o", "p"]
    assert tasks[0].metadata == {"position": 1, "grade": 2.0, "cosine": 0.5, "data_version": "v1"}
