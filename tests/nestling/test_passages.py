import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nestling.corpus.passages import body_of, cut, sentences_of, with_title


def bodies(text, max_words, min_words=1, language="it"):
    return [text[span.start : span.end] for span in cut(text, language, max_words, min_words)]


def test_passages_end_where_sentences_end():
    text = "Il mulino apre alle nove. Chiude alle sei! E la domenica? Riposa."
    assert bodies(text, 9) == ["Il mulino apre alle nove. Chiude alle sei!", "E la domenica? Riposa."]


def test_passages_of_a_document_are_even_in_size():
    text = " ".join(["Una frase di cinque parole."] * 12)
    assert [span.words for span in cut(text, "it", 50, 1)] == [30, 30]


def test_a_sentence_of_ten_thousand_words_is_cut_between_words():
    text = " ".join(f"parola{number}" for number in range(10_000))
    spans = cut(text, "it", 256, 8)
    assert max(span.words for span in spans) <= 256
    assert " ".join(text[span.start : span.end] for span in spans) == text


def test_a_word_of_ten_thousand_letters_stays_whole():
    text = "Prima. " + "x" * 10_000 + " dopo, e la frase finisce qui."
    assert bodies(text, 100) == [text]


def test_a_short_last_passage_joins_the_one_before():
    text = "Uno due tre quattro. Cinque sei sette otto. Fine."
    assert bodies(text, 4, min_words=3)[-1] == "Cinque sei sette otto. Fine."


@pytest.mark.parametrize("text", ["", "  \n\n ", "\n"])
def test_a_document_without_words_gives_no_passage(text):
    assert cut(text, "it", 10, 1) == []


def test_characters_outside_the_first_plane_do_not_shift_the_span():
    text = "Ciao 😀😀 mondo. Un'altra frase 𝔵 qui."
    assert bodies(text, 4) == ["Ciao 😀😀 mondo.", "Un'altra frase 𝔵 qui."]


@pytest.mark.parametrize("language", ["pt", "es", "ca", "sw", "zz"])
def test_any_language_is_cut_at_its_sentences(language):
    assert bodies("Uma frase aqui. Outra frase ali.", 3, language=language) == ["Uma frase aqui.", "Outra frase ali."]


def test_sentences_of_a_long_document_are_not_broken_where_it_is_read_in_pieces():
    text = "La casa sul colle era vuota da anni. " * 3000
    assert set(sentences_of(text, "it")) == {"La casa sul colle era vuota da anni."}


def test_five_megabytes_on_one_line_are_cut_in_bounded_time():
    text = "La casa sul colle era vuota da molti anni. " * 117_000
    start = time.process_time()
    spans = cut(text, "it", 256, 8)
    assert time.process_time() - start < 12  # the sentence splitter, given 200,000 characters at once, took 25
    assert sum(span.words for span in spans) == 117_000 * 9


words = st.sampled_from(["casa", "Dr.", "«sì»", "3.14", "e", "finì.", "Che?", "x" * 300, "😀", "...", "à"])
texts = st.lists(st.tuples(words, st.sampled_from([" ", "\n", "\n\n", "  "])), max_size=120)


@given(texts, st.integers(1, 12), st.integers(1, 5))
def test_spans_give_back_every_word_once_and_in_order(parts, max_words, min_words):
    text = "".join(word + blank for word, blank in parts)
    spans = cut(text, "it", max_words, min_words)
    found = [text[span.start : span.end] for span in spans]
    assert " ".join(found).split() == text.split()
    assert [len(body.split()) for body in found] == [span.words for span in spans]
    assert all(body == body.strip() for body in found)
    assert all(span.words <= max_words for span in spans[:-1])


@given(st.text(max_size=300), st.integers(1, 12))
def test_spans_of_any_text_rise_and_never_overlap(text, max_words):
    spans = cut(text, "it", max_words, 1)
    assert all(span.start < span.end <= len(text) for span in spans)
    assert all(one.end <= other.start for one, other in pairwise(spans))


@given(st.from_regex(r"[^\n]*", fullmatch=True), st.text())
def test_the_title_comes_off_as_it_was_put_on(title, body):
    assert body_of(title, with_title(title, body)) == body


THAI = "ห้องสมุดเปิดเวลาเก้าโมงเช้าทุกวัน ยกเว้นวันจันทร์และวันหยุดราชการ ค่าเข้าชมสำหรับผู้ใหญ่ 30 บาท เด็กเข้าฟรี "


def test_a_thai_text_is_cut_between_its_phrases_and_by_its_words():
    spans = cut((THAI * 20).strip(), "th", 60, 8)
    assert len(spans) > 5
    assert all(20 <= span.words <= 60 for span in spans)
    assert sentences_of(THAI, "th")[0] == "ห้องสมุดเปิดเวลาเก้าโมงเช้าทุกวัน"


@pytest.mark.parametrize(
    "text", ["图书馆在上午九点开放，周一关闭" * 40, THAI.replace(" ", "") * 20], ids=["Chinese", "Thai"]
)
def test_a_sentence_without_blanks_is_cut_between_words(text):
    spans = cut(text, "zh", 30, 1)
    assert max(span.words for span in spans) == 30
    assert "".join(text[span.start : span.end] for span in spans) == text
