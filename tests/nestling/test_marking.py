import pytest

from nestling.desk.marking import Marker


def marked(query, text, language="it"):
    parts = list(Marker(query, language).parts(text))
    assert "".join(part for part, _ in parts) == text
    return [part for part, hit in parts if hit]


@pytest.mark.parametrize(
    ("query", "text", "found"),
    [
        (
            "Come si rinnova la carta d'identità?",
            "La CARTE d'identita si rinnovano.",
            ["CARTE", "identita", "rinnovano"],
        ),
        ("esenzione per il diabete", "le esenzioni, il diabete: L'esenzione!", ["esenzioni", "diabete", "esenzione"]),
        ("che cosa è il", "che cosa è il mare", []),
        ("mare", "", []),
        ("mare", "marea <mare> &mare;", ["mare", "mare"]),
        ("36.151,98 euro", "fino a 36.151,98 euro", ["36", "151", "98", "euro"]),
    ],
)
def test_content_words_are_marked_in_any_inflection_and_case(query, text, found):
    assert marked(query, text) == found


def test_a_language_without_a_stemmer_marks_words_written_alike():
    assert marked("kafa šećer", "Kafe, kafa i secer", "hr") == ["kafa", "secer"]
    assert marked("mare", "il mare", "") == ["mare"]


def test_places_hold_where_lower_case_is_longer():
    assert marked("istanbul mare", "İstanbul, İ, il mare", "it")[-1] == "mare"
