import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nestling.errors import UserError
from nestling.evaluation.bm25 import Bm25Params, rank

PLAIN = Bm25Params(k1=1.5, b=0.75, stem=False)
STEMMED = Bm25Params(k1=1.5, b=0.75, stem=True)
words = st.sampled_from(["mulino", "nonna", "porto", "coro", "sale"])
texts = st.lists(words, min_size=1, max_size=9).map(" ".join)


def alone(passages):
    return np.arange(len(passages))


def by_hand(query, passages, k1, b):
    """Lucene's BM25, term by term."""
    cut = [text.split() for text in passages]
    mean = sum(len(tokens) for tokens in cut) / len(cut)
    scores = []
    for tokens in cut:
        counts, total = Counter(tokens), 0.0
        for word in query.split():
            having = sum(word in other for other in cut)
            rarity = math.log(1 + (len(cut) - having + 0.5) / (having + 0.5))
            total += rarity * counts[word] / (counts[word] + k1 * (1 - b + b * len(tokens) / mean))
        scores.append(total)
    return np.array(scores)


@settings(max_examples=100, deadline=None)
@given(st.lists(texts, min_size=1, max_size=8), texts, st.floats(0.5, 3), st.floats(0, 1))
def test_it_ranks_as_the_formula_does(passages, query, k1, b):
    found = rank([query], passages, alone(passages), 10, Bm25Params(k1=k1, b=b, stem=False), "it")[0]
    scores = by_hand(query, passages, k1, b)
    assert sorted(found) == list(range(len(passages)))
    assert (np.diff(scores[found]) < 1e-5).all()


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(texts, min_size=1, max_size=3), min_size=1, max_size=6), texts)
def test_a_document_scores_as_its_best_passage(documents, query):
    passages = [text for parts in documents for text in parts]
    owner = np.repeat(np.arange(len(documents)), [len(parts) for parts in documents])
    found = rank([query], passages, owner, 10, PLAIN, "it")[0]
    scores = by_hand(query, passages, 1.5, 0.75)
    best = np.array([scores[owner == number].max() for number in range(len(documents))])
    assert sorted(found) == list(range(len(documents)))
    assert (np.diff(best[found]) < 1e-5).all()


def test_case_and_punctuation_do_not_count():
    passages = ["la nonna riposa", "il MULINO, di pietra!"]
    assert rank(["mulino?"], passages, alone(passages), 1, PLAIN, "it").tolist() == [[1]]


def test_documents_without_a_word_of_the_query_keep_their_order():
    passages = ["uno", "due", "tre"]
    assert rank(["quattro", "", "tre"], passages, alone(passages), 3, PLAIN, "it").tolist() == [
        [0, 1, 2],
        [0, 1, 2],
        [2, 0, 1],
    ]


def test_a_corpus_without_words_is_no_error():
    assert rank(["mulino"], ["...", "!"], alone("12"), 9, PLAIN, "it").tolist() == [[0, 1]]


@pytest.mark.parametrize(
    ("language", "asked", "passage"),
    [
        ("it", "gatti", "il gatto dorme"),
        ("pt", "meninas", "a menina dorme"),
        ("es", "gatos", "el gato duerme"),
        ("ca", "gats", "el gat dorm"),
        ("en", "cats", "the cat sleeps"),
        ("de", "katzen", "die katze schläft"),
    ],
)
def test_stemmed_words_find_each_other(language, asked, passage):
    passages = ["qwerty uiop", passage]
    found = {params.stem: rank([asked], passages, alone(passages), 1, params, language) for params in (PLAIN, STEMMED)}
    assert found[False].tolist() == [[0]]
    assert found[True].tolist() == [[1]]


def test_a_language_without_a_stemmer_is_refused_in_a_sentence_and_served_without_one():
    with pytest.raises(UserError, match="there is no stemmer for the language 'ja': set it to false"):
        rank(["a"], ["a"], alone("a"), 1, STEMMED, "ja")
    assert rank(["a"], ["b", "a"], alone("ba"), 1, PLAIN, "ja").tolist() == [[1]]
