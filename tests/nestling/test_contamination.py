import polars as pl
import pytest

from nestling.corpus.contamination import TEXTS, NearDuplicate, pair_leaks, text_leaks

LIMITS = NearDuplicate(passages=0.8, short=0.85)

LONG = "il mulino apre alle nove e chiude alle sei ma la domenica il mugnaio riposa con la famiglia in paese"
OTHER = "la barca torna in porto prima del tramonto se il vento di terra non la trattiene al largo"


def training(*texts):
    return pl.DataFrame([("query", f"t{n}", text) for n, text in enumerate(texts)], schema=TEXTS, orient="row")


def measured(*texts):
    rows = [("gold", "query", f"e{n}", text) for n, text in enumerate(texts)]
    return pl.DataFrame(rows, schema={"suite": pl.String, **TEXTS}, orient="row")


def shingled(passages):
    return NearDuplicate(passages=passages, short=1.0)


def graded(*rows, suite=None):
    frame = pl.DataFrame(rows, schema=["pair_id", "sentence1", "sentence2"], orient="row")
    return frame.with_columns(suite=pl.lit(suite)) if suite else frame


def test_an_exact_copy_is_named_with_both_its_places():
    (leak,) = text_leaks(training(OTHER, LONG), measured(LONG), LIMITS).iter_rows(named=True)
    assert (leak["suite"], leak["eval_id"], leak["train_id"], leak["similarity"]) == ("gold", "e0", "t1", 1.0)


def test_a_near_copy_leaks_by_its_similarity():
    near = LONG.replace("domenica", "sera")
    assert text_leaks(training(near), measured(LONG), shingled(0.7)).height == 1
    assert text_leaks(training(near), measured(LONG), shingled(0.99)).is_empty()


def test_case_and_punctuation_do_not_hide_a_leak():
    assert text_leaks(training("Quando apre, il mulino?"), measured("quando apre il mulino"), LIMITS).height == 1


def test_clean_sets_give_an_empty_table_of_the_same_columns():
    leaks = text_leaks(training(LONG), measured(LONG), LIMITS)
    assert text_leaks(training(OTHER), measured(LONG), LIMITS).schema == leaks.schema
    assert text_leaks(training(), measured(), LIMITS).is_empty()


def test_pairs_leak_in_either_order():
    train = graded(("t", OTHER, LONG))
    (leak,) = pair_leaks(train, graded(("e", LONG, OTHER), suite="sts"), LIMITS).iter_rows(named=True)
    assert (leak["suite"], leak["eval_id"], leak["train_id"]) == ("sts", "e", "t")


def test_one_shared_sentence_is_no_leak():
    train = graded(("t", LONG, OTHER))
    assert pair_leaks(train, graded(("e", LONG, "un'altra frase del tutto diversa"), suite="sts"), LIMITS).is_empty()


def test_the_same_sentence_twice_does_not_stand_for_both():
    train = graded(("t", LONG, LONG))
    assert pair_leaks(train, graded(("e", LONG, OTHER), suite="sts"), LIMITS).is_empty()
    assert pair_leaks(train, graded(("e", LONG, LONG), suite="sts"), LIMITS).height == 1


WORDS = [f"{first}{last}" for first in ("torn", "pass", "cant", "mang", "parl") for last in "aeio"]
TEXT = [f"{word}{number}".translate(str.maketrans("0123456789", "bcdfghlmnp")) for number in "012" for word in WORDS]


@pytest.mark.parametrize("size", range(3, 61))
def test_no_length_hides_a_text_that_was_retyped(size):
    """A small word more and slips, in one word of ten where texts are short and of thirty where they are long."""
    text = TEXT[:size]
    often = 10 if size < 50 else 30
    slips = {place: word[:2] + word[3:] for place, word in enumerate(text) if place % often == 1}
    retyped = [slips.get(place, word) for place, word in enumerate(text)]
    assert text_leaks(training(" ".join(["di", *retyped])), measured(" ".join(text)), LIMITS).height == 1


@pytest.mark.parametrize("size", range(3, 17))
def test_a_short_text_with_another_word_is_another(size):
    text = TEXT[:size]
    assert text_leaks(training(" ".join([*text[:-1], "ombrello"])), measured(" ".join(text)), LIMITS).is_empty()


def test_a_short_query_inside_a_long_passage_is_no_leak():
    assert text_leaks(training(LONG), measured("la domenica il mugnaio riposa"), LIMITS).is_empty()


def test_a_leak_that_both_measures_see_is_one_leak():
    assert text_leaks(training(LONG), measured(LONG.replace("nove", "novve")), LIMITS).height == 1


def test_pairs_of_another_person_are_others_and_those_of_another_article_are_not():
    guitar, flute = "Un uomo sta suonando una chitarra.", "Un uomo sta suonando un flauto."
    woman, article = guitar.replace("Un uomo", "Una donna"), guitar.replace("una chitarra", "la chitarra")
    asked = graded(("e", guitar, flute), suite="sts")
    assert pair_leaks(graded(("t", woman, flute)), asked, LIMITS).is_empty()
    (leak,) = pair_leaks(graded(("t", flute, article)), asked, LIMITS).iter_rows(named=True)
    assert 0.85 <= leak["similarity"] < 1.0  # of the farther sentence


def test_a_pair_of_like_sentences_is_as_near_as_the_order_that_fits_better():
    guitar, article = "Un uomo sta suonando una chitarra.", "Un uomo sta suonando la chitarra."
    (leak,) = pair_leaks(
        graded(("t", guitar, article)), graded(("e", guitar, article), suite="sts"), LIMITS
    ).iter_rows(named=True)
    assert leak["similarity"] == 1.0


@pytest.mark.parametrize(
    ("trained", "asked", "same"),
    [
        ("corso di C++ per principianti", "corso di C# per principianti", False),
        ("temperatura -5 gradi congelatore", "temperatura 5 gradi congelatore", False),
        ("vitamina A dosaggio giornaliero", "vitamina C dosaggio giornaliero", False),
        ("corso di C++ per principianti", "Corso di C++, per principianti", True),
    ],
)
def test_neither_measure_takes_texts_for_one_that_a_sign_or_a_letter_parts(trained, asked, same):
    train = pl.DataFrame({"item": ["query"], "item_id": ["t"], "text": [trained]})
    evaluation = pl.DataFrame({"suite": ["gold"], "item": ["query"], "item_id": ["e"], "text": [asked]})
    assert text_leaks(train, evaluation, NearDuplicate(passages=0.8, short=0.85)).height == same
