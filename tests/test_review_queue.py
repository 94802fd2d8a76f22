import dataclasses

import pytest

from benchmarks.review_queue import needed
from benchmarks.second_pages import Asked, Making, Text, answering_sentence, make

MAKING = Making("it", held_back=0.3, repeated=(0.3, 0.9), reworded=0.0, clear=1.25, wrong=0.0)
SENTENCES = 4
TEXTS = [
    Text(f"t{n}", f"tema{n % 2}", " ".join(f"Qui si parla di cosa{n}x{place}." for place in range(SENTENCES)))
    for n in range(20)
]
ASKED = [Asked(f"che cosa{n}x{place}", f"t{n}") for n in range(20) for place in range(SENTENCES)]


def test_a_document_answers_exactly_the_queries_whose_sentence_it_holds():
    made = make(TEXTS, ASKED, MAKING, seed=1)
    assert len(made.answers) > 40
    for query, answers in made.answers.items():
        sentence = f"Qui si parla di {query.split()[1]}."
        asked_of = {name for name, text in made.documents.items() if sentence in text}
        assert answers == asked_of


def test_some_queries_have_an_answer_that_they_do_not_name_and_all_name_one():
    made = make(TEXTS, ASKED, MAKING, seed=1)
    assert 0 < sum(len(answers) > 1 for answers in made.answers.values()) < len(made.answers)
    assert all(made.named[query] in answers for query, answers in made.answers.items())


def test_a_wrong_query_names_a_document_that_does_not_answer():
    made = make(TEXTS, ASKED, dataclasses.replace(MAKING, wrong=1.0), seed=1)
    assert not any(made.named[query] in answers for query, answers in made.answers.items())


def test_rewording_changes_words_and_no_truth():
    plain, other = (make(TEXTS, ASKED, dataclasses.replace(MAKING, reworded=share), seed=1) for share in (0.0, 0.5))
    assert plain.documents.keys() == other.documents.keys()
    assert plain.documents != other.documents


def test_a_set_is_drawn_by_its_seed_alone():
    assert make(TEXTS, ASKED, MAKING, seed=1) == make(TEXTS, ASKED, MAKING, seed=1)
    assert make(TEXTS, ASKED, MAKING, seed=1) != make(TEXTS, ASKED, MAKING, seed=2)


@pytest.mark.parametrize(
    ("query", "place"), [("il mulino a vento", 1), ("quando apre il forno", 0), ("il forno", None), ("che", None)]
)
def test_the_sentence_that_answers_leads_clearly_or_is_not_known(query, place):
    sentences = ["Il forno apre.", "Il mulino macina a vento.", "Il vento soffia sul forno."]
    rarity = {"il": 0.1, "a": 0.2, "forno": 1.0, "vento": 1.0, "apre": 2.0, "mulino": 2.0, "soffia": 2.0}
    assert answering_sentence(query, sentences, rarity, clear=1.25) == place


def test_needed_counts_records_until_a_share_is_found():
    found = {"a": 1, "c": 3, "e": 1}
    assert needed(["a", "b", "c", "d", "e"], found) == [3, 3, 5]
