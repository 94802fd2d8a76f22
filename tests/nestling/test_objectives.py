import copy

import pytest
import torch
from pydantic import TypeAdapter

from nestling.training.objectives import OBJECTIVES, RANKING, LossParams, Weighted, build_loss
from tests.encoders import static_encoder, tiny_bert

ANCHORS = ["quando apre il mulino", "ragù della nonna", "porto in inverno", "prove del coro"]
POSITIVES = [
    "il mulino apre alle nove",
    "la nonna cucina il ragù",
    "il porto chiude in inverno",
    "il coro prova di sera",
]
NEGATIVES = ["il mulino è di pietra", "la nonna riposa", "il porto è antico", "il coro è di voci bianche"]
GRADES = torch.tensor([0.9, 0.1, 0.6, 0.3])
EXTRA = {
    "mnrl": {"scale": 20.0},
    "cached_mnrl": {"scale": 20.0, "mini_batch": 3},
    "nested_mnrl": {"scale": 20.0, "distil": 0.5},
    "gist": {"temperature": 0.05, "guide": "base"},
    "cached_gist": {"temperature": 0.05, "guide": "base", "mini_batch": 3},
    "cosent": {"scale": 20.0},
    "cosine": {},
}


GUIDED = ("gist", "cached_gist")
STUDENTS = [*((kind, "transformer") for kind in EXTRA), *((kind, "static") for kind in EXTRA if kind not in GUIDED)]


def params(kind):
    return TypeAdapter(LossParams).validate_python({"kind": kind, **EXTRA[kind]})


ENCODERS = {"static": lambda: static_encoder([*POSITIVES, *NEGATIVES], 8), "transformer": tiny_bert}


def columns(model, kind):
    texts = (ANCHORS, POSITIVES, NEGATIVES) if kind in RANKING else (ANCHORS, POSITIVES)
    return [model.preprocess(column) for column in texts]


def loss_of(model, kind, guide=None, dims=(8, 4), weights=(1.0, 0.5)):
    return build_loss(model, params(kind), lambda _: guide, dims, weights)


def without_dropout(student):
    """A static encoder has none, and its map learns in training only."""
    model = ENCODERS[student]()
    return model.train() if student == "static" else model.eval()


def gradients(model):
    return torch.cat([weights.grad.flatten() for weights in model.parameters() if weights.grad is not None])


def test_every_loss_has_parameters():
    assert set(EXTRA) == {*OBJECTIVES, "nested_mnrl"}
    assert set(RANKING) == set(EXTRA) - {"cosent", "cosine"}


@pytest.mark.parametrize(("kind", "student"), STUDENTS)
def test_two_steps_down_any_loss_are_finite_and_move_the_weights(kind, student):
    model = ENCODERS[student]().train()
    before = copy.deepcopy(model.state_dict())
    loss = loss_of(model, kind, ENCODERS[student]())
    steps = torch.optim.AdamW((weights for weights in loss.parameters() if weights.requires_grad), lr=1e-3)
    for _ in range(2):
        steps.zero_grad()
        value = loss(columns(model, kind), GRADES)
        value.backward()
        steps.step()
        assert torch.isfinite(value)
        assert torch.isfinite(gradients(model)).all()
    assert any(not torch.equal(before[name], now) for name, now in model.state_dict().items())


@pytest.mark.parametrize(("kind", "student"), [("mnrl", "static"), ("mnrl", "transformer"), ("gist", "transformer")])
def test_the_cache_changes_memory_and_not_the_gradient(kind, student):
    found = []
    for cached in ("", "cached_"):
        model = without_dropout(student)
        loss = loss_of(model, cached + kind, ENCODERS[student]())
        (2.0 * loss(columns(model, kind), None)).backward()
        found.append(gradients(model))
    assert found[0].abs().max() > 0.1
    torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", GUIDED)
def test_gist_spares_the_passage_that_its_guide_finds_nearer_than_the_positive(kind):
    model = tiny_bert().eval()
    loss = loss_of(model, kind, tiny_bert(), dims=[16], weights=[1.0])
    query, positive = "il mulino apre alle nove", "il coro è di voci bianche"
    near, far = "il mulino apre alle dieci", "xyzzy"
    similar = model.similarity(model.encode([query]), model.encode([near, positive, far]))[0]
    assert similar[0] > similar[1] > similar[2]
    spared, kept = (
        loss([model.preprocess([text]) for text in (query, positive, negative)], None).item()
        for negative in (near, far)
    )
    assert spared == 0
    assert kept > 1e-9


def test_a_guide_learns_nothing():
    guide = ENCODERS["transformer"]()
    model = ENCODERS["transformer"]()
    loss_of(model, "gist", guide)(columns(model, "gist"), None).backward()
    assert not guide.training
    assert not any(weights.requires_grad for weights in guide.parameters())


@pytest.mark.parametrize("student", ["static", "transformer"])
@pytest.mark.parametrize("kind", ["cosent", "cosine", "nested_mnrl"])
def test_texts_without_a_known_word_give_finite_gradients(kind, student):
    model = ENCODERS[student]().train()
    unknown = ["", "xyzzy", "???", "汉字"]
    loss = loss_of(model, kind)([model.preprocess(unknown), model.preprocess(POSITIVES)], GRADES)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(gradients(model)).all()


@pytest.mark.parametrize("kind", ["mnrl", "cached_mnrl", "nested_mnrl", "cosent", "cosine"])
def test_a_dimension_counts_with_its_weight(kind):
    model = ENCODERS["static"]().eval()

    def value(dims, weights):
        return loss_of(model, kind, dims=dims, weights=weights)(columns(model, kind), GRADES).item()

    whole = value([8], [1.0])
    small = value([8, 4], [1.0, 1.0]) - whole  # nested_mnrl learns it from the larger: alone it is another loss
    assert value([8, 4], [2.0, 0.5]) == pytest.approx(2.0 * whole + 0.5 * small, rel=1e-4)


@pytest.mark.parametrize("kind", EXTRA)
def test_a_task_counts_with_its_weight(kind):
    student = "transformer" if kind in GUIDED else "static"
    model = without_dropout(student)
    loss = loss_of(model, kind, ENCODERS[student]())
    found = []
    for weighted in (loss, Weighted(loss, 0.25)):
        model.zero_grad()
        value = weighted(columns(model, kind), GRADES)
        value.backward()
        found.append((value.item(), gradients(model)))
    assert found[1][0] == pytest.approx(0.25 * found[0][0], rel=1e-5)
    torch.testing.assert_close(found[1][1], 0.25 * found[0][1], rtol=1e-4, atol=1e-6)
