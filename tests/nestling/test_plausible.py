import copy
from pathlib import Path

import pytest
import yaml

from nestling.plausible import Machine, Traits, cautions, faults, memory_of, queries_a_passage, work_of
from nestling.retrieval.encoders import traits_of
from tests.encoders import static_encoder, tiny_bert
from tests.project import REPOSITORY

E5 = Traits(dims=384, tokens=512, layers=12, width=384, heads=12, weights=118_000_000)
STATIC = Traits(dims=768)
LARGE = Machine(memory=2**44, speed=None, coarse=False)
DEFAULT, HUB_SMALL, BERTINO = (
    yaml.safe_load((REPOSITORY / name).read_text(encoding="utf-8"))
    for name in ("params.yaml", "recipes/hub-small.yaml", "recipes/bertino-v5.yaml")
)


def changed(tree, **phase):
    found = copy.deepcopy(tree)
    found["train"]["phases"][0] |= phase
    return found


def with_loss(tree, kind, **phase):
    found = changed(tree, **phase)
    found["train"]["phases"][0]["tasks"][0]["loss"] = {"kind": kind, "scale": 20.0}
    return found


def test_every_recipe_is_right_for_its_own_encoder():
    assert faults(DEFAULT, STATIC) == []
    assert faults(HUB_SMALL, E5) == []
    assert faults(BERTINO, Traits(768, 512, 12, 768, 12, 110_000_000)) == []


def test_the_settings_of_a_static_encoder_are_wrong_for_a_transformer():
    dims, rate = faults(DEFAULT, E5)
    assert dims == "train.dims holds 768, but the encoder has 384 dimensions: lower train.dims"
    assert "learning_rate 0.0005 is a static encoder's and ruins a transformer: write 1.0e-5, or begin with" in rate
    assert "recipes/hub-small.yaml" in rate


def test_a_static_encoder_of_few_dimensions_wants_more_passages():
    (told,) = faults(DEFAULT, Traits(dims=200))
    assert told.startswith(
        "train.dims holds 768, but the encoder has 200 dimensions: lower train.dims, or give a static"
    )


@pytest.mark.parametrize(("rate", "wrong"), [(1e-5, 0), (1e-4, 0), (2e-4, 1), (1, 1)])
def test_a_learning_rate_is_right_or_wrong_for_transformers_alone(rate, wrong):
    assert len(faults(changed(HUB_SMALL, learning_rate=rate), E5)) == wrong
    assert faults(changed(DEFAULT, learning_rate=rate), STATIC) == []


@pytest.mark.parametrize("kind", ["mnrl", "cached_mnrl", "gist", "cached_gist"])
def test_a_loss_that_knows_no_repeats_wants_a_sampler_that_makes_none(kind):
    for tree, traits in ((DEFAULT, STATIC), (HUB_SMALL, E5)):
        (told,) = faults(with_loss(tree, kind), traits)
        assert f"{kind} takes the copies of a passage in a batch for negatives: write sampler: no_duplicates" in told
        assert faults(with_loss(tree, kind, sampler="no_duplicates"), traits) == []
        single = with_loss(tree, kind)
        single["generate"]["sources"] = [{"kind": "recorded"}]  # which may ask each passage once
        single["balance"]["origins"] = {"recorded": 1.0}
        assert faults(single, traits) == []


def test_queries_are_counted_over_all_sources():
    assert queries_a_passage(DEFAULT) == 34
    assert queries_a_passage(HUB_SMALL) == 3
    assert queries_a_passage(BERTINO) == 4


def test_what_a_step_wants_is_foretold():
    assert memory_of(DEFAULT["train"]["phases"][0], DEFAULT, E5) > 200 * 2**30  # at batches of 512 and 512 tokens
    assert 4 * 2**30 < memory_of(HUB_SMALL["train"]["phases"][0], HUB_SMALL, E5) < 6 * 2**30
    measured = changed(HUB_SMALL, batch_size=64)
    assert memory_of(measured["train"]["phases"][0], measured, E5) == pytest.approx(9 * 2**30, rel=0.15)
    cached = with_loss(HUB_SMALL, "cached_mnrl", batch_size=512)
    cached["train"]["phases"][0]["tasks"][0]["loss"]["mini_batch"] = 16
    assert memory_of(cached["train"]["phases"][0], cached, E5) < 5 * 2**30
    assert memory_of(DEFAULT["train"]["phases"][0], DEFAULT, STATIC) < 2**28


def test_memory_hours_and_a_bf16_that_is_imitated_are_said():
    small = Machine(memory=16 * 2**30, speed=1000.0, coarse=True)
    memory, hours = cautions(DEFAULT, E5, small, 1000)
    assert "a step may want" in memory
    assert "and there are 16: lower batch_size or train.max_tokens, or begin with recipes/hub-small.yaml" in memory
    assert "about 199 steps" in hours
    assert cautions(DEFAULT, STATIC, small, 1000) == []
    assert cautions(HUB_SMALL, E5, Machine(16 * 2**30, 2000.0, coarse=False), 1000) == []
    halved = copy.deepcopy(HUB_SMALL)
    halved["train"]["precision"] = "bf16"
    (slow,) = cautions(halved, E5, Machine(16 * 2**30, None, coarse=True), 1000)
    assert slow.startswith("train.precision: this CPU has no arithmetic for bf16")


def test_hours_grow_with_passages_queries_and_epochs():
    machine = Machine(2**44, 1000.0, coarse=False)
    steps, hours = work_of(HUB_SMALL, E5, machine, 1000)
    assert (steps, round(hours, 2)) == (94, 0.36)
    twice = work_of(changed(HUB_SMALL, epochs=2), E5, machine, 1000)
    assert twice == (188, pytest.approx(2 * hours))
    assert work_of(HUB_SMALL, E5, LARGE, 1000) == (94, 0.0)


@pytest.mark.parametrize(
    "tree",
    [
        {},
        {"train": None},
        {"train": {"dims": "many", "phases": "none"}},
        {"train": {"dims": ["a"], "phases": [None, {}, {"learning_rate": "2e-5", "tasks": [3, {"loss": None}]}]}},
        {"train": {"phases": [{"tasks": None, "sampler": 1}]}, "generate": {"sources": [None, {"kind": 3}]}},
    ],
)
def test_what_is_no_parameter_is_left_to_the_stage_whose_it_is(tree):
    assert faults(tree, E5) == []
    assert cautions(tree, E5, Machine(2**33, 100.0, coarse=True), 10) == []


def test_traits_are_those_of_the_model():
    assert traits_of(tiny_bert()) == Traits(16, 48, 2, 16, 2, sum(one.numel() for one in tiny_bert().parameters()))
    assert traits_of(static_encoder(["il mulino macina", "la baita apre"], 2)).layers == 0
    assert Path(REPOSITORY, "recipes/hub-small.yaml").exists()


ONE_WORD = {"kind": "extractive", "keywords": 1, "cloze": 0, "titles": 0}


@pytest.mark.parametrize(
    ("sources", "origins", "repeated"),
    [
        ([{"kind": "recorded"}], {"recorded": 4.0}, True),
        ([{"kind": "recorded"}], {"llm": 4.0}, False),
        ([{"kind": "recorded"}, ONE_WORD], {}, True),
        ([{"kind": "recorded"}, ONE_WORD], {"extractive": 0.0}, False),
        ([{"kind": "recorded"}, ONE_WORD | {"keywords": 0}], {}, False),
        ([ONE_WORD], {"extractive": 5.0}, True),
        ([ONE_WORD], {"extractive": 0.5}, False),
        ([ONE_WORD | {"keywords": 2}], {"extractive": 0.5}, True),
    ],
)
def test_rows_are_repeats_as_often_as_balance_takes_them_too(sources, origins, repeated):
    tree = with_loss(HUB_SMALL, "mnrl")
    tree["generate"]["sources"], tree["balance"]["origins"] = sources, origins
    assert bool(faults(tree, E5)) == repeated


@pytest.mark.parametrize(
    ("dims", "told"),
    [
        ([256, 0], "holds 0"),
        ([256, -5], "holds -5"),
        ([64, 256], "largest first"),
        ([256, 256], "each dimension once"),
    ],
)
def test_dimensions_are_numbers_from_one_on_largest_first(dims, told):
    tree = copy.deepcopy(HUB_SMALL)
    tree["train"] |= {"dims": dims, "weights": [1.0] * len(dims)}
    (found,) = faults(tree, E5)
    assert told in found


def test_every_dimension_has_a_weight():
    tree = copy.deepcopy(HUB_SMALL)
    tree["train"]["weights"] = [1.0]
    assert "one a dimension" in faults(tree, E5)[0]
