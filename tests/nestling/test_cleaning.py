import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nestling.corpus.cleaning import clean, folded_words, one_line, words


def test_control_characters_and_terminal_colours_vanish():
    assert clean("una\x00 \x07casa \x1b[31mrossa\x1b[0m") == "una casa rossa"


@pytest.mark.parametrize(
    "text",
    [
        "<b>grassetto</b> & <script>alert(1)</script>",
        "../../etc/passwd",
        "C:\\Temp\\nul",
        "{{ 7*7 }} ${HOME} $(reboot)",
        "x" * 10_000,
    ],
)
def test_markup_paths_and_endless_words_stay_as_they_are(text):
    assert clean(text) == text
    assert one_line(text) == text


def test_text_decoded_twice_is_mended():
    assert clean("perchÃ© la cittÃ  Ã¨ lÃ ") == "perché la città è là"


def test_letters_and_their_accents_are_composed():
    assert clean(unicodedata.normalize("NFD", "perché")) == "perché"


def test_paragraphs_survive_and_blanks_shrink():
    assert clean("  uno\t\tdue \r\n tre\n \n\n\nquattro ") == "uno due \n tre\n\nquattro"


def test_a_title_of_several_lines_becomes_one():
    assert one_line(" Gli orari\n\n del  mulino\x00 ") == "Gli orari del mulino"


def test_words_have_no_case_and_no_punctuation():
    assert words("L'Anno 2026: «Perché no?»") == ["l", "anno", "2026", "perché", "no"]


@pytest.mark.parametrize("text", ["हिन्दी भाषा में", "தமிழ் மொழி", "العَرَبِيَّة لُغَة"])
def test_vowel_signs_belong_to_their_word(text):
    assert words(text) == text.split()


def test_folded_words_are_as_typed_into_a_search_box():
    assert folded_words("Perché la CITTÀ, così") == ["perche", "la", "citta", "cosi"]


@given(st.text())
def test_cleaning_any_text_gives_nfc_without_control_characters(text):
    cleaned = clean(text)
    assert unicodedata.is_normalized("NFC", cleaned)
    assert all(sign == "\n" or unicodedata.category(sign) not in ("Cc", "Cs") for sign in cleaned)


@given(st.text())
def test_one_line_is_one_line_and_has_single_blanks(text):
    line = one_line(text)
    assert line == " ".join(line.split())
