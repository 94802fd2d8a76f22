import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nestling.errors import UserError
from nestling.evaluation.bm25 import Bm25, Bm25Params

PLAIN = Bm25Params(k1=1.5, b=0.75, stem=False)
STEMMED = Bm25Params(k1=1.5, b=0.75, stem=True)
AUTO = Bm25Params(k1=1.5, b=0.75, stem="auto")
words = st.sampled_from(["mulino", "nonna", "porto", "coro", "sale"])
texts = st.lists(words, min_size=1, max_size=9).map(" ".join)


def alone(passages):
    return np.arange(len(passages))


def found(queries, passages, owner=None, depth=10, params=PLAIN, language="it"):
    """The places found for each query, best first."""
    hits = Bm25(passages, alone(passages) if owner is None else owner, params, language).search(queries, depth)
    assert (np.isneginf(hits.score) == (hits.passage < 0)).all()
    return [row[row >= 0].tolist() for row in hits.passage]


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


@settings(max_examples=100)
@given(st.lists(texts, min_size=1, max_size=8), texts, st.floats(0.5, 3), st.floats(0, 1))
def test_it_ranks_as_the_formula_does(passages, query, k1, b):
    ranked = found([query], passages, params=Bm25Params(k1=k1, b=b, stem=False))[0]
    scores = by_hand(query, passages, k1, b)
    assert sorted(ranked) == np.flatnonzero(scores).tolist()  # who holds no word of the query is not found
    assert (np.diff(scores[ranked]) < 1e-5).all()


@settings(max_examples=50)
@given(st.lists(st.lists(texts, min_size=1, max_size=3), min_size=1, max_size=6), texts)
def test_a_document_scores_as_its_best_passage(documents, query):
    passages = [text for parts in documents for text in parts]
    owner = np.repeat(np.arange(len(documents)), [len(parts) for parts in documents])
    ranked = found([query], passages, owner)[0]
    scores = by_hand(query, passages, 1.5, 0.75)
    best = np.array([scores[owner == number].max() for number in range(len(documents))])
    assert sorted(ranked) == np.flatnonzero(best).tolist()
    assert (np.diff(best[ranked]) < 1e-5).all()


def test_case_and_punctuation_do_not_count():
    assert found(["mulino?"], ["la nonna riposa", "il MULINO, di pietra!"]) == [[1]]


def test_documents_without_a_word_of_the_query_are_not_found():
    assert found(["quattro", "", "tre"], ["uno", "due", "tre"]) == [[], [], [2]]


def test_a_corpus_without_words_is_no_error():
    assert found(["mulino"], ["...", "!"]) == [[]]


@pytest.mark.parametrize(
    ("language", "asked", "passages"),
    [
        ("zh", "几点开门？", ["学校在河边。", "图书馆上午九点开门。"]),
        ("ja", "何時に開きますか", ["学校は川のそば。", "図書館は九時に開きます。"]),
        ("th", "เปิดกี่โมง", ["โรงเรียนอยู่ริมน้ำ", "ห้องสมุดเปิดเก้าโมง"]),
        ("km", "បើកម៉ោងប៉ុន្មាន", ["សាលារៀននៅជិតទន្លេ", "បណ្ណាល័យបើកម៉ោងប្រាំបួន"]),
    ],
)
def test_words_that_no_blank_parts_find_each_other(language, asked, passages):
    assert found([asked], passages, params=AUTO, language=language) == [[1]]


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
    ranked = [found([asked], passages, params=params, language=language) for params in (PLAIN, STEMMED, AUTO)]
    assert ranked == [[[]], [[1]], [[1]]]


@pytest.mark.parametrize(("language", "stems"), [("it", "it"), ("nb", "no"), ("ja", None), ("porter", None)])
def test_stemmed_where_it_can_be_is_the_default(language, stems):
    assert Bm25(["a"], alone("a"), AUTO, language).stems == stems


def test_a_language_without_a_stemmer_is_refused_in_a_sentence_and_served_without_one():
    with pytest.raises(UserError, match="no stemmer for the language 'ja': set it to auto"):
        found(["a"], ["a"], params=STEMMED, language="ja")
    assert found(["a"], ["b", "a"], language="ja") == found(["a"], ["b", "a"], params=AUTO, language="ja") == [[1]]
