"""What a model leaves of its task in a query: pieces of JSON and lists, talk in its place, the prompt's examples.

Figures of how often queries that people wrote are taken for one: benchmarks/gates.py.
"""

import re
from collections.abc import Iterable

from nestling.corpus.cleaning import folded_words, words
from nestling.corpus.copying import copied_share
from nestling.queries.templates import KINDS, Example, Template

_INCHES = re.compile(r'\d\s?"')
_BRACKET = re.compile(r"[()\[\]{}]")
_LONELY = re.compile(r"(?:(?<!\S)\w{1,2}|[:;]-?)\)$")  # a) of a list, :)
_PAIRS = {")": "(", "]": "[", "}": "{"}
_DEBRIS = re.compile(
    "|".join(
        (
            r"```|^\s*(?:#{1,6}|[*+•‣▪–-])\s|\*\*",  # Markdown's fences, headings, lists, bold
            r"""["']\s*:\s*["'\[{\d]|[?.!]["']\s*,\s*["']|["'\]}]\s*[\]}]""",  # JSON's keys, lists and ends
            r"\\[\"/]|\\u[0-9a-fA-F]{4}|(?:^|[\s\"'?!.,;)])\\[nrt]|\\[nrt]$",  # its escapes; C:\new is none
            r"^\(?\d{1,2}[.)]\s+\D|^\(?[a-zA-Z]\)\s",  # 1. or a) before a query
            r"[:\\(\[{]$",  # cut in the middle
        )
    )
)
_EDGES = re.compile(r"^[\s\"'“”«»*_(\[{-]+")
_NEAR = 0.5  # Jaccard similarity of character 4-grams from which a query is one of the examples' over again
_QUOTED = 0.8  # share of a query's words that stand in one piece in an example's passage
_RUN = 6  # words in a row of another of the prompt's queries
_GRAM, _FEWEST = 4, 4  # characters; words of a query that may quote


class Leftovers:
    """The leftovers of one template.

    Args:
        template: that the model was shown.
    """

    def __init__(self, template: Template) -> None:
        self._no_query = [re.compile(text, re.IGNORECASE) for text in template.no_query]
        named = "|".join(re.escape(label) for label in sorted({*template.labels, *KINDS}, key=len, reverse=True))
        self._label = re.compile(
            rf"(?:^|[.?!]\s+)(?:{named})\s*(?:n?[.º°]?\s*\d+)?\s*[:：]|^(?:{named})\W*$", re.IGNORECASE
        )
        self._names = [_folded(name) for name in template.names]
        self._queries = list(_shown(template))
        self._shown = [_grams(text) for text in self._queries]
        self._passages = [example.passage for example in template.examples]

    def is_debris(self, text: str) -> bool:
        """Return whether a query holds what belongs to JSON, to Markdown, to a list or to a label."""
        return bool(_DEBRIS.search(text) or self._label.search(_EDGES.sub("", text))) or not _balanced(text)

    def is_no_query(self, text: str) -> bool:
        """Return whether a text says something about the task or the passage instead of asking."""
        return any(pattern.search(text) for pattern in self._no_query)

    def is_echo(self, text: str, passage: str) -> bool:
        """Return whether a query about a passage is one of the prompt's examples, or is about one."""
        asked, own = _folded(text), _folded(passage)
        if any(name in asked and name not in own for name in self._names):
            return True
        grams = _grams(text)
        if any(len(grams & shown) >= _NEAR * len(grams | shown) for shown in self._shown):
            return True
        return self._quotes(text, copied_share(text, passage))

    def _quotes(self, text: str, own: float) -> bool:
        """Return whether a query has more in one piece of the examples than the share that is its passage's."""
        number = len(words(text))
        if number < _FEWEST:
            return False
        if own < _QUOTED and any(copied_share(text, shown) >= _QUOTED for shown in self._passages):
            return True
        return own * number < _RUN and any(copied_share(text, shown) * number >= _RUN for shown in self._queries)


def _shown(template: Template) -> Iterable[str]:
    yield from (query for example in template.examples for query in (example.summary, *_queries(example)))
    yield from (graded.query for graded in template.judge.examples)
    yield from (template.kinds[kind] for kind in KINDS)


def _queries(example: Example) -> Iterable[str]:
    return (query for kind in KINDS for query in example.queries[kind])


def _folded(text: str) -> str:
    return f" {' '.join(folded_words(text))} "


def _grams(text: str) -> frozenset[str]:
    folded = _folded(text)
    return frozenset(folded[start : start + _GRAM] for start in range(max(1, len(folded) - _GRAM + 1)))


def _balanced(text: str) -> bool:
    """Return whether every bracket has its partner and straight double quotes come in twos; 5" and a) are in order."""
    if text.count('"') % 2 and _INCHES.sub("", text).count('"') % 2:
        return False
    waiting: list[str] = []
    for found in _BRACKET.finditer(text):
        sign = found[0]
        if sign in _PAIRS.values():
            waiting.append(sign)
        elif waiting and waiting[-1] == _PAIRS[sign]:
            waiting.pop()
        elif waiting or not _LONELY.search(text[: found.end()]):
            return False
    return not waiting
