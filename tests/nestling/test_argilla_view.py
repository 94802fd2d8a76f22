"""The record's view, read as a browser reads it."""

from html.parser import HTMLParser

import pytest

from nestling.desk.argilla_view import LONG, view_of
from nestling.desk.interface import RetrievalTask
from nestling.desk.wording import Wording

WORDING = Wording.load("it")
OURS = {"h2", "div", "style", "label", "mark", "details", "summary"}
HOSTILE = (
    "<script>alert(1)</script>",
    "</div></style></script></template><img src=x onerror=alert(1)>",
    "{{7*7}} ${7*7} $' $& $$x$$ #TEMPLATE# #RECORD_OBJECT#",
    "a\n\n\n# no title\n\n```\nno code\n```\r\n\t* no list  \n\u2028 <b>\u2029",
    "\u202eotrap\u202c \u05e9\u05dc\u05d5\u05dd \ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"),
    '"\' onclick="x" &lt;b&gt; &#60; %3Cb%3E \x1b \ufffe',
)


class Page(HTMLParser):
    """What a page would hold: its elements with their attributes, and the text of each class."""

    def __init__(self, html):
        super().__init__(convert_charrefs=True)
        self.open, self.elements, self.texts = [], [], {}
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        told = dict(attrs)
        self.open.append((tag, told))
        self.elements.append((tag, told))

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_data(self, data):
        classes = [told["class"] for _, told in self.open if told.get("class")]
        place = classes[-1] if classes else self.open[-1][0]
        if place == "nest-text":
            place = f"text of {classes[-2][-1]}"
        self.texts[place] = self.texts.get(place, "") + data


def shown(query, *texts, language="it"):
    passages = tuple((f"p{number}", text) for number, text in enumerate(texts))
    return view_of(RetrievalTask("r", query, "p0", passages, {"language": language}), WORDING)


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_text_is_text_and_adds_no_element_attribute_or_line(text):
    html = shown(text, text, f"mare {text}")
    page = Page(html)
    assert page.texts["h2"] == text
    assert (page.texts["text of A"], page.texts["text of B"]) == (text, f"mare {text}")
    assert {tag for tag, _ in page.elements} <= OURS
    names = {name for _, told in page.elements for name in told}
    assert names <= {"class", "dir", "for", "title"}
    assert not set("\n\r\u2028\u2029") & set(html)
    assert not page.open


def test_a_letter_is_a_label_of_the_form_s_box_and_letters_without_a_passage_are_dimmed():
    page = Page(shown("chi?", "uno", "due"))
    labels = [(told["for"], told["title"]) for tag, told in page.elements if tag == "label"]
    assert labels == [("relevant_A", "Passaggio A"), ("relevant_B", "Passaggio B")]
    undimmed = page.texts["nest"].rpartition(":not(")[2].partition(")")[0]
    assert undimmed == "[for=relevant_A],[for=relevant_B],[for=relevant_none]"


def test_words_of_the_query_are_marked_and_a_long_passage_is_folded_whole():
    long = "parola " * LONG
    html = shown("parole", "una parola", long)
    assert "una <mark>parola</mark>" in html
    page = Page(html)
    assert page.texts["text of B"] == long
    assert [tag for tag, _ in page.elements].count("details") == 1


def test_nothing_is_fetched():
    html = shown("chi?", "uno")
    assert "url(" not in html
    assert "@import" not in html
