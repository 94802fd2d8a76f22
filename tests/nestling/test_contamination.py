import polars as pl

from nestling.corpus.contamination import TEXTS, pair_leaks, text_leaks

LONG = "il mulino apre alle nove e chiude alle sei ma la domenica il mugnaio riposa con la famiglia in paese"
OTHER = "la barca torna in porto prima del tramonto se il vento di terra non la trattiene al largo"


def training(*texts):
    return pl.DataFrame([("query", f"t{n}", text) for n, text in enumerate(texts)], schema=TEXTS, orient="row")


def measured(*texts):
    rows = [("gold", "query", f"e{n}", text) for n, text in enumerate(texts)]
    return pl.DataFrame(rows, schema={"suite": pl.String, **TEXTS}, orient="row")


def graded(*rows, suite=None):
    frame = pl.DataFrame(rows, schema=["pair_id", "sentence1", "sentence2"], orient="row")
    return frame.with_columns(suite=pl.lit(suite)) if suite else frame


def test_an_exact_copy_is_named_with_both_its_places():
    (leak,) = text_leaks(training(OTHER, LONG), measured(LONG), 0.8).iter_rows(named=True)
    assert (leak["suite"], leak["eval_id"], leak["train_id"], leak["similarity"]) == ("gold", "e0", "t1", 1.0)


def test_a_near_copy_leaks_by_its_similarity():
    near = LONG.replace("domenica", "sera")
    assert text_leaks(training(near), measured(LONG), 0.7).height == 1
    assert text_leaks(training(near), measured(LONG), 0.99).is_empty()


def test_case_and_punctuation_do_not_hide_a_leak():
    assert text_leaks(training("Quando apre, il mulino?"), measured("quando apre il mulino"), 0.8).height == 1


def test_clean_sets_give_an_empty_table_of_the_same_columns():
    leaks = text_leaks(training(LONG), measured(LONG), 0.8)
    assert text_leaks(training(OTHER), measured(LONG), 0.8).schema == leaks.schema
    assert text_leaks(training(), measured(), 0.8).is_empty()


def test_pairs_leak_in_either_order():
    train = graded(("t", OTHER, LONG))
    (leak,) = pair_leaks(train, graded(("e", LONG, OTHER), suite="sts"), 0.8).iter_rows(named=True)
    assert (leak["suite"], leak["eval_id"], leak["train_id"]) == ("sts", "e", "t")


def test_one_shared_sentence_is_no_leak():
    train = graded(("t", LONG, OTHER))
    assert pair_leaks(train, graded(("e", LONG, "un'altra frase del tutto diversa"), suite="sts"), 0.8).is_empty()


def test_the_same_sentence_twice_does_not_stand_for_both():
    train = graded(("t", LONG, LONG))
    assert pair_leaks(train, graded(("e", LONG, OTHER), suite="sts"), 0.8).is_empty()
    assert pair_leaks(train, graded(("e", LONG, LONG), suite="sts"), 0.8).height == 1
