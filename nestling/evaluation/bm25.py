"""BM25 (bm25s, Lucene's formula): the lexical search that an encoder has to beat."""

import logging
from collections.abc import Sequence
from typing import Literal

import bm25s
import numpy as np
import Stemmer
from pydantic import Field

from nestling.corpus.cleaning import words
from nestling.errors import UserError
from nestling.params import Strict
from nestling.retrieval.search import Hits

logging.getLogger("bm25s").setLevel(logging.WARNING)  # it turns its own debugging on when imported
_SNOWBALL = {"nb": "no", "nn": "no"}  # ISO 639-1 -> the code that Snowball knows


class Bm25Params(Strict):
    """The usual two numbers, and whether words are stemmed (Snowball): true, false, or auto, where it can be."""

    k1: float = Field(gt=0)
    b: float = Field(ge=0, le=1)
    stem: bool | Literal["auto"]


class Bm25:
    """An index of documents, each of which scores as its best passage.

    Args:
        passages: texts, those of one document side by side.
        owner: [passages] the place of each passage's document, ascending from 0 without gaps.
        params: of the formula.
        language: ISO 639-1, for the stemmer.

    Attributes:
        stems: the language whose stemmer is used, or None.

    Raises:
        UserError: stemming is asked for and there is no stemmer for the language.
    """

    def __init__(self, passages: Sequence[str], owner: np.ndarray, params: Bm25Params, language: str) -> None:
        self.stems = stemmed(params, language)
        self._tokens = _Tokens(self.stems)
        self._index = bm25s.BM25(k1=params.k1, b=params.b)  # type: ignore[no-untyped-call]
        self._vocabulary: dict[str, int] = {}
        known = [
            [self._vocabulary.setdefault(word, len(self._vocabulary)) for word in self._tokens.of(text)]
            for text in passages
        ]
        if self._vocabulary:
            self._index.index((known, self._vocabulary), show_progress=False)
        self._first = np.flatnonzero(np.r_[True, owner[1:] != owner[:-1]])

    def search(self, queries: Sequence[str], depth: int) -> Hits:
        """Return the best documents of each query; one that holds none of its words is not found."""
        width = min(depth, len(self._first))
        places = np.full((len(queries), width), -1, dtype=np.int64)
        scores = np.full((len(queries), width), -np.inf, dtype=np.float32)
        for row, query in enumerate(queries):
            asked = [self._vocabulary[word] for word in self._tokens.of(query) if word in self._vocabulary]
            if asked:
                best = np.maximum.reduceat(self._index.get_scores_from_ids(asked), self._first)
                order = np.argsort(-best, kind="stable")[:width]
                found = order[best[order] > 0]
                places[row, : len(found)], scores[row, : len(found)] = found, best[found]
        return Hits(places, scores)


def stemmed(params: Bm25Params, language: str) -> str | None:
    """Return the language by whose rules words are stemmed, or None where they are not.

    Raises:
        UserError: stemming is asked for and there is no stemmer for the language.
    """
    known = _SNOWBALL.get(language, language)
    there = len(known) == len("it") and _has_stemmer(known)  # Snowball also knows names: porter, dutch_porter ...
    if params.stem is True and not there:
        raise UserError(
            f"evaluate.bm25.stem: there is no stemmer for the language {language!r}: set it to auto, which stems "
            "where it can"
        )
    return known if params.stem and there else None


def _has_stemmer(language: str) -> bool:
    try:
        Stemmer.Stemmer(language)
    except KeyError:
        return False
    return True


class _Tokens:
    def __init__(self, language: str | None) -> None:
        self.stemmer = Stemmer.Stemmer(language) if language else None

    def of(self, text: str) -> list[str]:
        found = words(text)
        return list(self.stemmer.stemWords(found)) if self.stemmer else found
