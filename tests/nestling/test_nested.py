import pytest
import torch
from sentence_transformers.sentence_transformer.losses import MatryoshkaLoss, MultipleNegativesRankingLoss

from nestling.training.nested import NestedRankingLoss
from tests.encoders import static_encoder

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


def nested(model, distil, dims=(8, 4, 2), weights=(1.0, 0.5, 0.25)):
    return NestedRankingLoss(model, dims, weights, 20.0, distil)


def run(model, loss, *columns):
    model.zero_grad()
    value = loss([model.preprocess(column) for column in columns], None)
    value.backward()
    return value.item(), model[0].turn.grad.clone()


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
