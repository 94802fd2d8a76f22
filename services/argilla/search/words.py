"""Search for words, as people type them: the simple query string of OpenSearch.

Words are what stands between signs and spaces, so `acqua` finds `l'acqua`, and words joined by a sign stand together.
All words must occur; `|` is or, `-` is not, `"..."` a phrase, `word*` a beginning, `( )` a group; from left to right.
Fuzziness (`~`) is not there, its sign is passed over. The score is BM25 (Robertson and Zaragoza, 2009) with lengths
in characters, of each word in the field where it scores best.
"""

import fnmatch
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from services.argilla.search.index import END, Index, searchable

Scores = dict[str, float]  # id of a document that matches to its score

_TOKEN = re.compile(r'-?"[^"]*"?\*?|-?\(|[)|]|[^\s()|"+]+')
_WORD = re.compile(r"\w+")
_GAP = rf"[^\w{END}]+"
_K1, _B = 1.2, 0.75  # Lucene's


def fields_for(index: Index, patterns: Iterable[str]) -> list[str]:
    """Return the names of the text fields that a pattern such as `fields.*` stands for."""
    names = [name for name, field in index.mapping.fields.items() if field.kind == "text"]
    return [name for name in names if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)]


def find(index: Index, fields: Sequence[str], query: str) -> Scores:
    """Return the documents that match; none for a query without a word."""
    return _Search(index, fields, searchable(query)).group() or {}


@dataclass
class _Field:
    """A field of all documents: id to text, and the mean length."""

    texts: dict[str, str]
    mean: float


class _Search:
    def __init__(self, index: Index, fields: Sequence[str], query: str) -> None:
        self._ids = [entry.id for entry in index.entries]
        self._fields = [_column(index, name) for name in fields]
        self._tokens = _TOKEN.findall(query)[::-1]

    def group(self) -> Scores | None:
        """Read to the end or to the bracket that closes; None where there was no word."""
        found, either = None, False
        while self._tokens and (token := self._tokens.pop()) != ")":
            if token == "|":
                either = True
                continue
            new = self._one(token)
            if new is not None:
                found = new if found is None else _or(found, new) if either else _and(found, new)
                either = False
        return found

    def _one(self, token: str) -> Scores | None:
        bare = token.removeprefix("-")
        found = self.group() if bare == "(" else self._phrase(bare)
        if found is None or bare == token:
            return found
        return dict.fromkeys((id_ for id_ in self._ids if id_ not in found), 1.0)

    def _phrase(self, token: str) -> Scores | None:
        words = _WORD.findall(re.sub(r"~\d*$", "", token))
        if not words:
            return None
        ending = r"\w*" if token.endswith("*") else r"(?!\w)"
        first, *rest = map(re.escape, words)
        alone = rf"{first}(?<!\w{first})"  # the letters first: many times faster than to look back from everywhere
        pattern = re.compile(_GAP.join([alone, *rest]) + ending)
        best: Scores = {}
        for field in self._fields:
            for id_, score in _bm25(field, pattern, max(words, key=len)).items():
                best[id_] = max(score, best.get(id_, 0.0))
        return best


def _column(index: Index, name: str) -> _Field:
    texts = {entry.id: entry.texts[name] for entry in index.entries if name in entry.texts}
    return _Field(texts, sum(map(len, texts.values())) / len(texts) or 1.0 if texts else 1.0)


def _bm25(field: _Field, pattern: re.Pattern[str], rare: str) -> Scores:
    counts = {id_: len(pattern.findall(text)) for id_, text in field.texts.items() if rare in text}
    counts = {id_: count for id_, count in counts.items() if count}
    idf = math.log(1 + (len(field.texts) - len(counts) + 0.5) / (len(counts) + 0.5))
    long = {id_: _K1 * (1 - _B + _B * len(field.texts[id_]) / field.mean) for id_ in counts}
    return {id_: idf * count * (_K1 + 1) / (count + long[id_]) for id_, count in counts.items()}


def _and(left: Scores, right: Scores) -> Scores:
    return {id_: score + right[id_] for id_, score in left.items() if id_ in right}


def _or(left: Scores, right: Scores) -> Scores:
    return {id_: left.get(id_, 0.0) + right.get(id_, 0.0) for id_ in {**left, **right}}
