import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from nestling.corpus.cleaning import words
from nestling.queries.extractive import ExtractiveParams, Extractor, Source, stop_words

PASSAGES = {
    "it": "Il mulino apre alle nove. La farina si macina tra due pietre, e il mugnaio la pesa prima di venderla.",
    "pt": "O moinho abre às nove. A farinha é moída entre duas pedras, e o moleiro pesa tudo antes de vender.",
    "es": "El molino abre a las nueve. La harina se muele entre dos piedras, y el molinero la pesa antes de venderla.",
    "ta": "ஆலை ஒன்பது மணிக்கு திறக்கிறது. மாவு இரண்டு கற்களுக்கு இடையில் அரைக்கப்படுகிறது.",
    "nap": "'O mulino arape e nnove. 'A farina se macina mmiez'a ddoje prete, e 'o mulinaro 'a pesa primma.",
}


def params(**changes):
    given = {
        "keywords": 4, "cloze": 1, "titles": 1, "min_words": 2, "max_words": 4, "inflect_share": 0.0,
        "function_words": 0,
    }  # fmt: skip
    return ExtractiveParams(**given | changes)


def queries(body, title="", language="it", seed=1, **changes):
    return list(Extractor([Source("p", title, body, language)], params(**changes), seed).cut())


@pytest.mark.parametrize("language", PASSAGES)
def test_every_language_with_blanks_between_words_gets_queries(language):
    found = queries(PASSAGES[language], "Mulino", language)
    assert {cut.kind for cut in found} == {"keywords", "cloze", "title"}
    assert {word for cut in found for word in words(cut.text)} <= {"mulino", *words(PASSAGES[language])}


@pytest.mark.parametrize("language", ["it", "pt", "es"])
def test_keyword_queries_hold_no_stop_words(language):
    found = queries(PASSAGES[language], language=language, cloze=0, keywords=20)
    assert not {word for cut in found for word in words(cut.text)} & stop_words(language)


def test_a_language_without_a_list_has_no_stop_words():
    assert stop_words("nap") == frozenset()
    assert "il" in stop_words("it")


def test_function_words_stand_before_the_content_words():
    found = [words(cut.text) for cut in queries(PASSAGES["it"], function_words=2, keywords=30, cloze=0)]
    stops = [[word in stop_words("it") for word in query] for query in found]
    assert all(flags == sorted(flags, reverse=True) for flags in stops)
    assert any(flags[0] for flags in stops)


def test_a_cloze_query_lacks_the_rarest_word_of_its_sentence():
    other = Source("q", "", "La farina si macina tra due pietre.", "it")
    sources = [Source("p", "", "La farina si macina tra due gattopardi.", "it"), other]
    (cut, _) = Extractor(sources, params(keywords=0), 1).cut()
    assert cut.text == "la farina si macina tra due"


def test_words_are_changed_for_others_with_their_beginning_when_asked():
    sources = [Source("p", "", "mulinello farinoso", "it"), Source("q", "", "mulinelli farinosa", "it")]
    changed = list(Extractor(sources, params(cloze=0, inflect_share=1.0), 1).cut())
    assert {word for cut in changed if cut.passage_id == "p" for word in cut.text.split()} == {"mulinelli", "farinosa"}


def test_a_title_is_a_query_only_where_it_names_one_passage():
    twins = [Source(name, "Il mulino", PASSAGES["it"], "it") for name in "pq"]
    shared = [cut.text for cut in Extractor(twins, params(keywords=0, cloze=0), 1).cut()]
    assert [cut.text for cut in queries(PASSAGES["it"], "Il mulino", keywords=0, cloze=0)] == ["Il mulino"]
    assert all(text.startswith("il mulino ") for text in shared)


def test_a_passage_gives_each_query_once():
    found = [cut.text for cut in queries("gatto nero", keywords=50)]
    assert len(found) == len(set(found))


@pytest.mark.parametrize("body", ["", "...", "e il", "parola", "parola, parola", "\n\n"])
def test_a_passage_with_nothing_to_ask_for_gets_no_query(body):
    assert queries(body, "Titolo") == []


def test_draws_of_a_passage_depend_on_itself_and_the_seed():
    both = [Source("p", "", PASSAGES["it"], "it"), Source("q", "", PASSAGES["it"], "it")]
    one, other = (list(Extractor(sources, params(), 1).cut()) for sources in (both, both[::-1]))
    assert sorted(one, key=str) == sorted(other, key=str)
    assert queries(PASSAGES["it"], seed=1) != queries(PASSAGES["it"], seed=2)


def test_a_word_longer_than_what_is_read_at_once_is_no_error():
    assert queries("La parola " + "x" * 30_000 + " è lunga. Segue una frase normale.")


def test_a_longest_query_shorter_than_the_shortest_is_refused():
    with pytest.raises(ValidationError, match="min_words is 5, which is more than max_words, 4"):
        params(min_words=5)


@given(st.text(), st.text(), st.sampled_from(["it", "el", "tr", "xx"]))
def test_queries_of_any_text_are_never_empty(body, title, language):
    assert all(cut.text.strip() for cut in queries(body, title.strip(), language))
