from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest

from nestling.corpus.values import Clash, UnusableError, id_of, is_blank, number_of, text_of, title_of


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("2.5", 2.5),
        ("2,5", 2.5),
        (" 2,5\xa0", 2.5),
        ("1.234,5", 1234.5),
        ("1,234.5", 1234.5),
        ("1 234,5", 1234.5),
        ("1'234.5", 1234.5),
        ("1,234", 1.234),
        (".5", 0.5),
        ("-1", -1.0),
        ("1e2", 100.0),
        *((text, None) for text in ("", "nan", "inf", "4/5", "12 %", "1_000", "1,2,3", "1.2.3", "due")),
    ],
)
def test_a_number_may_have_a_decimal_comma(text, number):
    assert number_of(text) == number


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (7, "7"),
        (7.0, "7"),
        ("7.0", "7.0"),
        ("007", "007"),
        (" a\u0300 \ufeff", "\u00e0"),
        (1.1, "1.1"),
        (0.1 + 0.2, "0.30000000000000004"),
        (Decimal("7.00"), "7"),
        (Decimal("9.50"), "9.5"),
        (date(2024, 5, 1), "2024-05-01"),
        (datetime(2024, 5, 1, 9, 30), "2024-05-01T09:30:00"),
        *((value, "") for value in (float("nan"), None, " ", "\ufeff")),
    ],
)
def test_an_id_is_a_text_a_number_or_a_date(value, name):
    assert id_of({"id": value}, "id") == name


@pytest.mark.parametrize("value", [[], {}, ["a"], {"$oid": "a"}, True, float("inf"), timedelta(1)])
def test_what_can_be_no_id_is_told(value):
    with pytest.raises(UnusableError, match="id is of type"):
        id_of({"id": value}, "id")


@pytest.mark.parametrize(
    ("read", "values"),
    [
        (id_of, {"_id": "a", "id": "b"}),
        (id_of, {"_id": Clash(("_id", "_ID")), "id": ""}),
        (text_of, {"licence": "MIT", "license": "CC0-1.0"}),
        (text_of, {"text": Clash(("text", "Text"))}),
        (title_of, {"title": Clash(("title", "Title"))}),
    ],
)
def test_two_values_in_the_place_of_one_are_told(read, values):
    with pytest.raises(UnusableError):
        read(values, *values)
    assert id_of({"_id": 7, "id": "7"}, "_id", "id") == "7"


@pytest.mark.parametrize(
    ("text", "blank"),
    [
        *((text, True) for text in ("", " \n", "\u00ad", "&nbsp;", " &shy; ", "\x1b[0m", "&#8203;", "\u00a0\u200b")),
        *((text, False) for text in ("a", "&amp;", "0", "è", "的", "-", "&nbsp;" * 300 + "a", "\x1b[0mciao")),
    ],
)
def test_a_text_of_which_cleaning_leaves_nothing_is_blank(text, blank):
    assert is_blank(text) == blank
