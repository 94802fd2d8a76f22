import pytest
import torch

from nestling.retrieval.static import StaticBag
from nestling.training.vocabulary import FoldingParams, folded_in
from tests.encoders import static_encoder

PASSAGES = ["furto del documento in piazza", "la nonna cucina il ragù", "il porto chiude in inverno", "coro di sera"]
QUERIES = ["portafoglio rubato", "sugo di carne", "quando chiude", "cantare la sera"]


@pytest.fixture
def bag():
    return static_encoder(PASSAGES, 4)[0]


def folding(new=0.3, known=0.0):
    return FoldingParams(origins=["recorded"], new_features=new, known_features=known)


def cosines(bag, query):
    with torch.no_grad():
        asked, texts = (bag.eval()(bag.preprocess(column))["sentence_embedding"] for column in ([query], PASSAGES))
    return (asked @ texts.T)[0]


def test_a_word_that_no_passage_holds_comes_to_stand_at_the_passage_that_answers_it(bag):
    assert "word portafoglio" not in bag.place
    grown = folded_in(bag, QUERIES, PASSAGES, folding())
    assert cosines(bag, "sugo").abs().max() == 0
    assert cosines(grown, "portafoglio").argmax() == 0
    assert cosines(grown, "sugo").argmax() == 1


def test_an_unknown_word_of_several_queries_stands_between_their_passages(bag):
    grown = folded_in(bag, ["dove xyz", "come xyz", "altro"], PASSAGES[:3], folding())
    near, also, far, _ = cosines(grown, "xyz").tolist()
    assert near == pytest.approx(also, abs=1e-4)
    assert near > far + 0.3


@pytest.mark.parametrize("known", [0.0, 0.5])
def test_a_known_word_moves_only_as_far_as_it_is_told(bag, known):
    grown = folded_in(bag, ["sera in piazza"], [PASSAGES[1]], folding(0.0, known))
    before, after = (one.vectors[one.place["word sera"]] for one in (bag, grown))
    assert torch.equal(before, after) == (known == 0)
    assert grown.vocabulary == bag.vocabulary


def test_a_word_that_its_passage_says_stays_where_it_is(bag):
    grown = folded_in(bag, ["nonna ragù"], [PASSAGES[1]], folding(1.0, 1.0))
    assert torch.equal(grown.vectors, bag.vectors)


def test_the_encoder_that_was_given_stays_as_it_is(bag):
    before, words = bag.vectors.clone(), list(bag.vocabulary)
    grown = folded_in(bag, QUERIES, PASSAGES, folding(0.3, 0.5))
    assert isinstance(grown, StaticBag)
    assert torch.equal(bag.vectors, before)
    assert bag.vocabulary == words


def test_without_queries_nothing_changes(bag):
    grown = folded_in(bag, [], [], folding(0.3, 0.5))
    assert torch.equal(grown.vectors, bag.vectors)


def test_a_repeated_row_counts_once(bag):
    once = folded_in(bag, QUERIES, PASSAGES, folding(0.3, 0.1))
    twice = folded_in(bag, QUERIES * 2, PASSAGES * 2, folding(0.3, 0.1))
    torch.testing.assert_close(once.vectors, twice.vectors)
    assert once.vocabulary == twice.vocabulary


def test_the_order_of_rows_does_not_matter(bag):
    there = folded_in(bag, QUERIES, PASSAGES, folding(0.3, 0.1))
    back = folded_in(bag, QUERIES[::-1], PASSAGES[::-1], folding(0.3, 0.1))
    assert there.vocabulary == back.vocabulary
    torch.testing.assert_close(there.vectors, back.vectors)
