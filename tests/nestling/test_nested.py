import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.losses import MatryoshkaLoss, MultipleNegativesRankingLoss
from sentence_transformers.sentence_transformer.modules import StaticEmbedding

from nestling.training.nested import NestedRankingLoss
from tests.encoders import static_encoder, tiny_bert

ANCHORS = ["quando apre il mulino", "ragù della nonna", "porto in inverno", "prove del coro"]
POSITIVES = [
    "il mulino apre alle nove",
    "la nonna cucina il ragù",
    "il porto chiude in inverno",
    "il coro prova di sera",
]
NEGATIVES = ["il mulino è di pietra", "la nonna riposa", "il porto è antico", "il coro è di voci bianche"]


def student():
    return static_encoder([*POSITIVES, *NEGATIVES], 8).train()


def nested(model, distil, dims=(8, 4, 2), weights=(1.0, 0.5, 0.25), answers=None):
    return NestedRankingLoss(model, dims, weights, 20.0, distil, answers)


def run(model, loss, *columns):
    model.zero_grad()
    value = loss([model.preprocess(column) for column in columns], None)
    value.backward()
    return value.item(), model[0].turn.grad.clone()


def with_dropout(padding="right"):
    """A transformer that gives two vectors of one text in training, as all that are fine-tuned do."""
    model = tiny_bert().train()
    model.tokenizer.padding_side = padding
    one, other = (model(model.preprocess(POSITIVES[:1]))["sentence_embedding"] for _ in range(2))
    assert not torch.allclose(one, other, atol=1e-3)
    return model


def table_of_words():
    """The library's own static encoder, whose texts lie end to end."""
    return SentenceTransformer(modules=[StaticEmbedding(tiny_bert().tokenizer, embedding_dim=8)], device="cpu")


def of(model, *columns, labels=None, answers=(), dims=(8, 4)):
    """Return the loss of columns of text, asked with one prompt and answered with another.

    `labels` number each row's query and passages, `answers` are pairs of a query and what is no negative of it.
    """
    asked, *texts = columns
    prompts = [model.preprocess(asked, prompt="domanda "), *(model.preprocess(one, prompt="testo ") for one in texts)]
    known = np.array(answers, dtype=np.int64).reshape(-1, 2)
    loss = nested(model, 0.5, dims, (1.0, 1.0), known)
    return loss(prompts, None if labels is None else torch.tensor(labels)).item()


STUDENTS = {
    "static": student,
    "bert": with_dropout,
    "padded on the left": lambda: with_dropout("left"),
    "static of the library": table_of_words,
}


@pytest.mark.parametrize("columns", [(ANCHORS, POSITIVES), (ANCHORS, POSITIVES, NEGATIVES)])
def test_without_distillation_it_is_ranking_under_matryoshka(columns):
    model = student()
    theirs = MatryoshkaLoss(model, MultipleNegativesRankingLoss(model, scale=20.0), [8, 4, 2], [1.0, 0.5, 0.25])
    expected, slope = run(model, theirs, *columns)
    value, found = run(model, nested(model, 0.0), *columns)
    assert value == pytest.approx(expected, rel=1e-5)
    torch.testing.assert_close(found, slope, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("distil", [0.0, 0.5])
def test_a_passage_that_stands_twice_in_the_batch_is_no_negative_of_its_own_query(distil):
    model = student()
    loss = nested(model, distil)
    for columns in ([ANCHORS[:1] * 2, POSITIVES[:1] * 2], [ANCHORS[:1], POSITIVES[:1], POSITIVES[:1]]):
        value, slope = run(model, loss, *columns)
        assert value == pytest.approx(0, abs=1e-6)  # there is no negative at all
        assert slope.abs().max() < 1e-6


def test_another_row_s_positive_is_a_negative_however_often_it_stands_there():
    model = student()
    loss = nested(model, 0.0)
    asked, answers = ["il mulino", "il mulino apre"], [NEGATIVES[0], POSITIVES[0]]
    once, _ = run(model, loss, asked, answers)
    twice, _ = run(model, loss, asked, answers, answers[::-1])
    assert twice > once * 1.2


def test_what_else_answers_the_same_query_is_no_negative_of_it():
    model = student()
    value, slope = run(model, nested(model, 0.5), ["il mulino"] * 2, [NEGATIVES[0], POSITIVES[0]])
    assert value == pytest.approx(0, abs=1e-6)
    assert slope.abs().max() < 1e-6


@pytest.mark.parametrize("distil", [0.0, 0.5, 1.0])
def test_every_dimension_learns(distil):
    model = student()
    _, slope = run(model, nested(model, distil), ANCHORS, POSITIVES, NEGATIVES)
    assert (slope.abs().sum(dim=0) > 1e-5).all()


def test_the_full_dimension_teaches_and_is_not_taught():
    model = student()
    whole, slope = run(model, nested(model, 0.0, [8], [1.0]), ANCHORS, POSITIVES, NEGATIVES)
    value, found = run(model, nested(model, 1.0), ANCHORS, POSITIVES, NEGATIVES)
    assert value > whole
    torch.testing.assert_close(found[:, 4:], slope[:, 4:])  # the last dimensions hear of the labels only


def test_a_small_dimension_that_agrees_with_the_full_one_has_nothing_to_learn_from_it():
    model = student()
    whole, _ = run(model, nested(model, 1.0, [8], [1.0]), ANCHORS, POSITIVES)
    agreed, _ = run(model, nested(model, 1.0, [8, 8], [1.0, 1.0]), ANCHORS, POSITIVES)
    assert agreed == pytest.approx(whole, abs=1e-6)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_stays_finite(dtype):
    model = student()
    with torch.autocast("cpu", dtype=dtype):
        value, slope = run(model, nested(model, 0.5), [*ANCHORS, *ANCHORS], [*POSITIVES, *POSITIVES])
    assert 0 <= value < 100
    assert torch.isfinite(slope).all()


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("kind", STUDENTS)
def test_repeats_are_known_by_their_words_whatever_the_vectors_are(kind, precision):
    model = STUDENTS[kind]()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16"):
        copies = of(model, [*ANCHORS, *ANCHORS], POSITIVES[:1] * 8)  # eight rows, one passage
        again = of(model, ANCHORS[:2], POSITIVES[:1] * 2, [POSITIVES[0], POSITIVES[0]])  # and as hard negatives
        asked = of(model, ANCHORS[:1] * 3, POSITIVES[:3])  # one query, three answers
        both = of(model, ANCHORS[:1] * 2, POSITIVES[:2], POSITIVES[1::-1])  # the other's answer as a hard negative
        others = of(model, ANCHORS, POSITIVES, NEGATIVES)
    assert [copies, again, asked, both] == pytest.approx([0] * 4, abs=1e-6)  # there is no negative at all
    assert others > 0.1


@pytest.mark.parametrize("kind", STUDENTS)
def test_a_copy_in_a_column_of_other_lengths_is_a_copy(kind):
    model = STUDENTS[kind]()
    model.eval()  # so that two losses can be compared
    long = f"{NEGATIVES[3]} e di molte altre"
    expected = of(model, ANCHORS[:1], POSITIVES[:1], [long])
    assert expected > 0
    assert of(model, ANCHORS[:1] * 2, POSITIVES[:1] * 2, [POSITIVES[0], long]) == pytest.approx(expected, rel=1e-4)


def test_two_words_that_are_turned_about_are_no_copy_to_who_reads_their_order():
    model = with_dropout()
    turned = [" ".join(text.split()[::-1]) for text in POSITIVES[:2]]
    assert of(model, ANCHORS[:1], POSITIVES[:1], turned[:1]) > 0
    assert of(student(), ANCHORS[:1], POSITIVES[:1], turned[:1]) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("kind", ["static", "bert"])
def test_what_may_answer_a_query_is_no_negative_of_it(kind):
    model = STUDENTS[kind]()
    texts = ANCHORS[:2], POSITIVES[:2], NEGATIVES[:2]
    labels = [[0, 10, 20], [1, 11, 21]]
    every = [(query, passage) for query in (0, 1) for passage in (10, 11, 20, 21)]
    assert of(model, *texts, labels=labels) > 0
    assert of(model, *texts, labels=labels, answers=every) == pytest.approx(0, abs=1e-6)
    assert of(model, *texts, labels=labels, answers=every[1:-1]) > 0  # one negative is left
    # another row of the same query
    same = ANCHORS[:1] * 2, POSITIVES[:2], NEGATIVES[:2]
    assert of(model, *same, labels=[[0, 10, 20], [0, 11, 21]], answers=every[:4]) == pytest.approx(0, abs=1e-6)
    # of a passage without a number nothing is known, and grades of pairs number none
    assert of(model, *texts, labels=[[0, 10, -1], [1, 11, -1]], answers=every) > 0
    assert of(model, *texts, labels=[0.5, 1.0], answers=every) > 0


def test_what_may_answer_a_query_is_hidden_from_it_alone():
    model = student().eval()
    texts, labels = (ANCHORS[:2], POSITIVES[:2], NEGATIVES[:2]), [[0, 10, 20], [1, 11, 21]]
    none, others, hidden = (of(model, *texts, labels=labels, answers=one) for one in ([], [(2, 20)], [(0, 20)]))
    assert none == others > hidden > 0


def test_half_precision_does_not_blur_the_cosines_that_the_scale_enlarges():
    model = student()
    loss = NestedRankingLoss(model, [8], [1.0], 100.0, 0.0)
    whole, _ = run(model, loss, ANCHORS, POSITIVES, NEGATIVES)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half, _ = run(model, loss, ANCHORS, POSITIVES, NEGATIVES)
    assert half == pytest.approx(whole, abs=1e-2)
