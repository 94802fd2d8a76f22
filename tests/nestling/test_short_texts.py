import pytest

from nestling.corpus.short_texts import ShortText, likeness, short_duplicates

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
}


def like(one, other):
    return likeness(ShortText.of(one), ShortText.of(other))


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
