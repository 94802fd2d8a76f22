import pytest

from nestling.corpus.values import id_of, number_of


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
        *((value, "") for value in (0.5, 1e300, float("nan"), float("inf"), True, None, " ", [], {})),
    ],
)
def test_an_id_is_a_text_or_a_whole_number(value, name):
    assert id_of({"id": value}, "id") == name
