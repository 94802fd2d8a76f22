"""BM25 (bm25s, Lucene's formula): the lexical search that an encoder has to beat."""

import logging
from collections.abc import Sequence

import bm25s
import numpy as np
import Stemmer
from pydantic import Field

from nestling.corpus.cleaning import words
from nestling.errors import UserError
from nestling.params import Strict

logging.getLogger("bm25s").setLevel(logging.WARNING)  # it turns its own debugging on when imported


class Bm25Params(Strict):
    """The usual two numbers, and whether words are stemmed (Snowball), which needs a stemmer for the language."""

    k1: float = Field(gt=0)
    b: float = Field(ge=0, le=1)
    stem: bool


def rank(
    queries: Sequence[str], passages: Sequence[str], owner: np.ndarray, depth: int, params: Bm25Params, language: str
) -> np.ndarray:
    """Return [queries, at most depth] the places of the best documents; a document scores as its best passage.

    Args:
        queries: their texts.
        passages: texts, those of one document side by side.
        owner: [passages] the place of each passage's document, ascending from 0 without gaps.
        depth: documents wanted.
        params: of the formula.
        language: ISO 639-1, for the stemmer.

    Raises:
        UserError: stemming is asked for and there is no stemmer for the language.
    """
    tokens = _Tokens(language if params.stem else None)
    index = bm25s.BM25(k1=params.k1, b=params.b)  # type: ignore[no-untyped-call]
    vocabulary: dict[str, int] = {}
    known = [[vocabulary.setdefault(word, len(vocabulary)) for word in tokens.of(text)] for text in passages]
    if vocabulary:
        index.index((known, vocabulary), show_progress=False)
    first = np.flatnonzero(np.r_[True, owner[1:] != owner[:-1]])
    found = np.empty((len(queries), min(depth, len(first))), dtype=np.int64)
    for row, query in enumerate(queries):
        asked = [vocabulary[word] for word in tokens.of(query) if word in vocabulary]
        scores = index.get_scores_from_ids(asked) if asked else np.zeros(len(passages), dtype=np.float32)
        found[row] = np.argsort(-np.maximum.reduceat(scores, first), kind="stable")[: found.shape[1]]
    return found


class _Tokens:
    def __init__(self, language: str | None) -> None:
        try:
            self.stemmer = Stemmer.Stemmer(language) if language else None
        except KeyError:
            raise UserError(
                f"evaluate.bm25.stem: there is no stemmer for the language {language!r}: set it to false"
            ) from None

    def of(self, text: str) -> list[str]:
        found = words(text)
        return list(self.stemmer.stemWords(found)) if self.stemmer else found
