import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nestling.corpus.cleaning import clean, folded_words, normalized, one_line, words


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


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("condo\u00adminiale", "condominiale"),
        ("condo\u00ad\n  miniale", "condominiale"),
        ("condo\u00ac\nminiale", "condominiale"),
        ("cau\u200bzionale \u200b x\ufeff", "cauzionale x"),
        ("gron\u200cda\u200die", "grondaie"),
        ("a\u2060b \u202efine\u202c", "ab fine"),
        ("\u200b", ""),
        ("Il forno e il mulino: il\u200bforno, il\u200bcasale.", "Il forno e il mulino: il forno, ilcasale."),
        (
            "alle nove.\u200bLa domenica,\u200bno; www.\u200besempio.\u200bit",
            "alle nove. La domenica, no; www.esempio.it",
        ),
        ("Il\u200bmulino\u200bapre\u200balle\u200bnove", "Il mulino apre alle nove"),
        ("图书\u200b馆在上\u200b午九\u200b点\u200b开放", "图书馆在上午九点开放"),
    ],
)
def test_what_shows_nothing_cuts_no_word(text, cleaned):
    assert clean(text) == cleaned


@pytest.mark.parametrize(
    "text",
    ["ห้อง\u200bสมุด", "می\u200cخواهم", "क्\u200dष", "👩\u200d🚀 in volo"],
    ids=["Thai", "Persian", "Hindi", "emoji"],
)
def test_scripts_keep_the_signs_that_they_need(text):
    assert clean(text) == text


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("l'amministrazione comu-\nnale", "l'amministrazione comunale"),
        ("pre-\ncipi-\ntevolissimevol-\nmente", "precipitevolissimevolmente"),
        ("RISCALDA- \n MENTO", "RISCALDAMENTO"),
        ("Emilia-\nRomagna", "Emilia-Romagna"),
        ("la ASL-\nRoma", "la ASL-Roma"),
        ("temperatura\x0besterna", "temperatura\nesterna"),
        ("tempe-\x0bratura", "temperatura"),
        ("il socio-\neconomico e il socio-economico", "il socio-economico e il socio-economico"),
        ("gli esami pre-\ned intra-operatori", "gli esami pre- ed intra-operatori"),
        ("esami pre-\ne post-operatori", "esami pre- e post-operatori"),
        ("dal 2019-\n2020", "dal 2019-\n2020"),
        ("uno:\n- due\n- tre", "uno:\n- due\n- tre"),
    ],
)
def test_a_hyphen_at_the_end_of_a_line_joins_only_what_it_parted(text, cleaned):
    assert clean(text) == cleaned


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("图书馆在上午九点开放 WiFi", ["图书", "馆", "在", "上午", "九", "点", "开放", "wifi"]),
        ("図書館は午前九時に開館します。", ["図書館", "は", "午前", "九時", "に", "開館", "し", "ます"]),
        ("ห้องสมุดเปิดทุกวัน", ["ห้อง", "สมุด", "เปิด", "ทุก", "วัน"]),
        ("បណ្ណាល័យបើកនៅម៉ោងប្រាំបួនព្រឹក", ["បណ្ណាល័យ", "បើក", "នៅ", "ម៉ោង", "ប្រាំបួន", "ព្រឹក"]),
    ],
    ids=["Chinese", "Japanese", "Thai", "Khmer"],
)
def test_scripts_without_blanks_are_cut_into_words(text, found):
    assert words(text) == found
    assert len(folded_words(text)) == len(found)


@pytest.mark.parametrize(
    "texts",
    [
        (
            "Quando apre il mulino?",
            "quando apre  il mulino",
            "QUANDO APRE «IL MULINO»...",
            "- quando apre: il mulino!",
        ),
        ("dell\u2019acqua", "dell'acqua", "dell acqua"),
        ("e-mail", "e mail", "E\u2010mail"),
        ("2019\u20132020", "2019-2020"),
        ("# Titolo", "Titolo", "**Titolo**"),
        ("東京 都庁。", "東京都庁"),
    ],
)
def test_copies_differ_in_what_tells_nothing(texts):
    assert len({normalized(text) for text in texts}) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("da -5 a 5 gradi", "da 5 a -5 gradi"),
        ("\u22125 gradi", "5 gradi"),
        ("$50 su 50 pezzi", "50 su $50 pezzi"),
        ("50 $", "50 €"),
        ("sconto del 5%", "sconto del 5"),
        ("1.5 euro", "1/5 euro"),
        ("1.5 euro", "15 euro"),
        ("ore 10:30", "ore 1030"),
        ("gruppo A-", "gruppo A"),
        ("gruppo A+", "gruppo A-"),
        ("corso di C", "corso di C#"),
        ("corso di C", "corso di C++"),
        ("wifi ✓ parcheggio ✗", "wifi ✗ parcheggio ✓"),
        ("hotel ★★★", "hotel ★★★★★"),
        ("...", "?"),
    ],
)
def test_a_sign_that_makes_another_text_is_told_apart_where_it_stands(one, other):
    assert normalized(one) != normalized(other)
