import pytest

from nestling.corpus.language import best_language, code_of, is_certainly_not, is_recognised, recognise
from nestling.errors import UserError
from nestling.queries.languages import language_shares

TEXTS = {
    "it": "Il mulino apre alle nove e chiude quando il mugnaio ha finito di macinare.",
    "pt": "O moinho abre às nove e fecha quando o moleiro acaba de moer os cereais.",
    "es": "El molino abre a las nueve y cierra cuando el molinero termina de moler.",
    "en": "The mill opens at nine and closes when the miller has finished grinding.",
}


def test_each_text_gets_its_own_language():
    found = best_language(list(TEXTS.values()), list(TEXTS))
    assert [code for code, _ in found] == list(TEXTS)


def test_probability_is_among_all_languages_not_only_the_wanted():
    ((code, share),) = best_language([TEXTS["en"]], ["it"])
    assert code == "it"
    assert share < 0.1


def test_text_without_letters_is_of_no_language():
    assert best_language(["", "12 34", "\n"], ["it", "es"]) == [("it", 0.0)] * 3


def test_a_huge_text_is_recognised_by_its_beginning():
    ((code, share),) = best_language([TEXTS["it"] * 20 + TEXTS["en"] * 100], ["it"])
    assert code == "it"
    assert share > 0.9


def test_no_texts_give_no_answers():
    assert best_language([], ["it"]) == []


@pytest.mark.parametrize(
    ("code", "hint"),
    [("xx", "codes such as"), ("", "codes such as"), *((s, "write it") for s in ("IT", "ita", "italiano"))],
)
def test_a_code_that_is_no_language_is_named_with_the_parameter(code, hint):
    with pytest.raises(UserError, match=f"^shared.languages holds '{code}'.*{hint}"):
        recognise(["uno"], [code])


KHMER = "ភាសាខ្មែរជាភាសាផ្លូវការរបស់ប្រទេសកម្ពុជា"


@pytest.mark.parametrize("code", ["km", "lo", "fur"])
def test_a_language_that_the_detector_does_not_know_is_its_owners_word(code):
    assert not is_recognised(code)
    assert [seen.share for seen in recognise([KHMER, TEXTS["it"]], [code])] == [0.0, 0.0]
    assert not is_certainly_not(f"{KHMER} router Wi-Fi", code, "en")
    assert language_shares([KHMER], code) == [1.0]


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("it", "it"),
        ("IT", "it"),
        ("it-IT", "it"),
        ("pt_BR", "pt"),
        ("ita", "it"),
        ("Italian", "it"),
        ("no", "nb"),
        ("Italiano", "it"),
        ("inglese", "en"),
        ("català", "ca"),
        ("km", "km"),
        ("Khmer", "km"),
        ("lao", "lo"),
    ],
)
def test_a_language_is_known_by_the_names_that_people_give_it(said, code):
    assert code_of(said) == code


@pytest.mark.parametrize("said", [None, "", "klingon", "xx"])
def test_what_is_no_language_says_nothing(said):
    assert code_of(said) is None


TECHNICAL = "Rete LAN: 192.168.1.1; gateway 192.168.1.254; DNS primario 8.8.8.8; DHCP attivo; porta 443 aperta."


def test_a_technical_text_that_is_taken_for_another_language_is_in_its_owners():
    (seen,) = recognise([TECHNICAL], ["it"])
    assert seen.share < 0.5
    assert seen.other != "it"
    assert not is_certainly_not(TECHNICAL, "it", seen.other)


def test_a_plain_text_in_another_language_is_not_in_its_owners():
    text = f"{TEXTS['en']} On Sundays it stays closed, and nobody answers the telephone."
    (seen,) = recognise([text], ["it"])
    assert (seen.other, is_certainly_not(text, "it", seen.other)) == ("en", True)
