import pytest

from nestling.corpus.short_texts import ShortText, Vocabulary, likeness, short_duplicates

SAME = {
    "an ending": ("come rinnovare la carta d'identità scaduta", "come rinnovo la carta d'identità scaduta"),
    "an ending of few letters": ("car parks in the centre", "car park in the centre"),
    "case, accents, signs": ("Perché la città è più fredda?", "PERCHE LA CITTA E PIU FREDDA"),
    "an apostrophe left out": ("qual è il prezzo dell'acqua", "qual e il prezzo dell acqua"),
    "an elided article": ("quanto costa l'acqua al litro", "quanto costa acqua al litro"),
    "a blank left out": ("rinnovo carta d'identità", "rinnovo cartad'identità"),
    "two letters turned round": ("onde renovar o passaporte", "onde renovar o pasasporte"),
    "a small word less": ("how to renew the passport", "how to renew passport"),
    "another preposition": ("orari del museo civico", "orari di museo civico"),
    "word order": ("la biblioteca quando apre", "quando apre la biblioteca"),
    "thousands": ("mutuo di 10.000 euro", "mutuo di 10000 euro"),
    "Catalan": ("com puc renovar el carnet", "com puc renovar lo carnet"),
    "no blanks between words": ("北京的人口是多少？", "北京的人口是多少"),
    "a decimal sign": ("abbonamento da 3,5 euro", "abbonamento da 3.5 euro"),
    "a blank in a number": ("tel 06 1234567 comune", "tel 061234567 comune"),
    "points of a time": ("orario 8.30 apertura", "orario 8:30 apertura"),
    "the ends of a span in another order": ("oro degli anni 1851-1860", "1860 oro degli anni 1851"),
    "blanks of a date": ("scadenza del 12/03/2026", "scadenza del 12 03 2026"),
    "a blank before a sign": ("sconto 50 % abbonamento", "sconto 50% abbonamento"),
    "a sign left out": ("sconto del 50% abbonamento", "sconto del 50 abbonamento"),
    "a letter in another case": ("dosaggio della vitamina A", "dosaggio della vitamina a"),
    "a small word": ("vado a casa e al mare", "vado a casa o al mare"),
    "a title all in capitals": ("VADO A CASA SUBITO", "vado e casa subito"),
    "an apostrophe left out, and a vowel": (
        "D'on venia la pintura a començaments",
        "d on venia la pintura en començaments",
    ),
    "blanks left out at a number": ("modulo A38", "modulo a 38"),
}
OTHERS = {
    "a name": ("in che anno nacque Verdi", "in che anno nacque Puccini"),
    "a short name": ("chi possiede la ABC", "chi possiede la BBC"),
    "a year": ("chi vinse le elezioni del 1973", "chi vinse le elezioni del 1974"),
    "a number left out": ("chi vinse nel 1973", "chi vinse"),
    "a king's number": ("dove morì Luigi XII di Francia", "dove morì Luigi XIII di Francia"),
    "a number as a word": ("camera per due persone", "camera per tre persone"),
    "a letter": ("dove si trova la vitamina C", "dove si trova la vitamina D"),
    "who does it": ("Un uomo sta suonando una chitarra", "Una donna sta suonando una chitarra"),
    "what is asked": ("quando è stato aperto il museo", "quanto è stato aperto il museo"),
    "what is asked in English": ("when did the movement begin", "where did the movement begin"),
    "what is asked in Catalan": ("on es va estrenar l'obra", "quan es va estrenar l'obra"),
    "a word in a long question": (
        "in quale anno fu fondata la scuola di musica che porta il nome del maestro",
        "in quale anno fu fondata la scuola di pittura che porta il nome del maestro",
    ),
    "no blanks between words": ("北京的人口是多少", "上海的人口是多少"),
    "a decimal number": ("abbonamento da 3,5 euro", "abbonamento da 35 euro"),
    "digits turned round": ("abbonamento da 3,5 euro", "abbonamento da 5,3 euro"),
    "a version": ("versione 1.2 installazione", "versione 12 installazione"),
    "a time": ("orario 8.30 apertura", "orario 83 0 apertura"),
    "a minus": ("temperatura -5 gradi congelatore", "temperatura 5 gradi congelatore"),
    "a sign after a letter": ("corso di C++ per principianti", "corso di C# per principianti"),
    "a sign or none": ("corso di C++ per principianti", "corso di C per principianti"),
    "a sign of a blood group": ("gruppo sanguigno B+", "gruppo sanguigno B-"),
    "another unit": ("sconto di 50 € sul biglietto", "sconto di 50 % sul biglietto"),
    "a vowel for a consonant": ("vitamina A dosaggio", "vitamina C dosaggio"),
    "a vowel for a vowel, written large": ("vitamina A dosaggio", "vitamina E dosaggio"),
    "a vowel at the end": ("articolo 5 comma a", "articolo 5 comma e"),
    "a king's number of one letter": ("papa Pio X", "papa Pio I"),
}


# what the other texts at hand tell: words that are names, and words
KNOWN = Vocabulary.of(
    f"{said} {number}"
    for number in range(3)
    for said in [
        *("a Bari", "a Bali", "di Lecce", "di Lecco", "da Paolo", "da Paola", "the German", "the Germans"),
        *("in Syria", "the Syrian"),
        *("in Iran", "in Iraq", "in Austria", "in Australia", "in Niger", "in Nigeria"),
        *("la casa", "le case", "un passaporto", "i passaporti", "Regno Unito", "Stati Uniti"),
    ]
)


def like(one, other, known=KNOWN):
    return likeness(ShortText.of(one), ShortText.of(other), known)


@pytest.mark.parametrize("texts", SAME.values(), ids=SAME)
def test_what_is_retyped_is_the_same(texts):
    assert like(*texts) == like(*reversed(texts)) >= 0.85
    assert [(pair.left, pair.right) for pair in short_duplicates(texts[:1], texts[1:], 0.85)] == [(0, 0)]


@pytest.mark.parametrize("texts", OTHERS.values(), ids=OTHERS)
def test_what_asks_something_else_is_another(texts):
    assert like(*texts) == like(*reversed(texts)) == 0.0


def test_each_copy_is_a_pair_of_its_own():
    found = short_duplicates(["orari museo", "Orari, museo?"], ["il mare", "museo orari"], 0.85)
    assert [(pair.left, pair.right, pair.similarity) for pair in found] == [(0, 1, 1.0), (1, 1, 1.0)]


@pytest.mark.parametrize("texts", [[], [""], ["?!"], ["parola " * 51]], ids=["none", "empty", "signs", "long"])
def test_what_is_no_short_text_is_like_nothing(texts):
    assert short_duplicates(texts, texts, 0.85) == []


def test_blocks_find_what_one_product_finds(monkeypatch):
    texts = [f"dove si trova la casa di {name}" for name in ("Anna", "Anna?", "Piero", "Carla", "Anna ")]
    whole = short_duplicates(texts, texts, 0.85)
    monkeypatch.setattr("nestling.corpus.short_texts._CELLS", 4)
    assert short_duplicates(texts, texts, 0.85) == whole
    assert len(whole) == 9 + 2


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("documenti per il visto Iran", "documenti per il visto Iraq", False),
        ("visto per l'Austria", "visto per l'Australia", False),
        ("la capitale del Niger", "la capitale della Nigeria", False),
        ("ospedale di lecce", "ospedale di lecco", False),  # whoever types no capitals
        ("chi è Paolo Rossi", "chi è Paola Rossi", False),
        ("farmacia di bari", "farmacia di bali", False),
        ("farmacia di Bari", "farmacia di Brai", True),  # a slip
        ("la casa nuova", "le case nuove", True),  # no names
        ("si è unito al gruppo di Paolo", "si è uniti al gruppo di Paolo", True),  # names elsewhere, and small here
        ("when the German army came", "when the Germans army came", True),
        ("what Syria lost in the war", "what Syrian lost in the war", True),
        ("rinnovo del passaporto", "rinnovo del pasaporto", True),  # no word
        ("rinnovo passaporto", "rinnovo passaporti", True),
    ],
)
def test_names_that_stand_in_other_texts_are_no_slips_of_each_other(one, other, same):
    assert (like(one, other) >= 0.85) == (like(other, one) >= 0.85) == same
    assert like(one, other, Vocabulary.of([one, other])) >= 0.85  # of two texts alone nothing can be told


def test_names_are_known_from_both_sides():
    asked = [f"{what} in {name}" for what in ("orari", "musei", "negozi", "treni") for name in ("Iran", "Iraq")]
    assert short_duplicates(["documenti visto Iran"], ["documenti visto Iraq"], 0.85) != []
    assert short_duplicates(["documenti visto Iran", *asked], ["documenti visto Iraq"], 0.85) == []


def test_texts_without_words_are_compared_by_their_signs():
    assert like("", "") == 1.0
    assert like("!!!", "???") == 0.0
