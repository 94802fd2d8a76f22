"""Which words of a text are words of a query, inflected forms included: what a reader's eye looks for first."""

from collections.abc import Iterator
from functools import lru_cache

import Stemmer

from nestling.corpus.cleaning import folded_words, words
from nestling.queries.extractive import stop_words


class Marker:
    """Finds a query's content words in texts.

    Two words are one where their stems (Snowball) are, accents aside; in a language without a stemmer, where they are
    written alike. Function words (stopwords-iso) are no content; of a query of function words alone, nothing is found.

    Args:
        query: its words.
        language: ISO 639-1, of query and texts; "" where nobody knows.
    """

    def __init__(self, query: str, language: str) -> None:
        self._language, empty = language, _function_words(language)
        self._wanted = {_key(word, language) for word in words(query) if word not in empty}

    def parts(self, text: str) -> Iterator[tuple[str, bool]]:
        """Yield the text in pieces, which joined are the text, and whether each is a word of the query."""
        low, end, done = _lower(text), 0, 0
        for word in words(low):
            start = low.find(word, end)
            if start < 0:  # cut up in another way than it is written
                continue
            end = start + len(word)
            if _key(word, self._language) in self._wanted:
                yield text[done:start], False
                yield text[start:end], True
                done = end
        yield text[done:], False


@lru_cache(2**16)
def _key(word: str, language: str) -> str:
    """Return what a word has in common with its other forms."""
    stemmer = _stemmer(language)
    stem = stemmer.stemWord(word) if stemmer else word
    return "".join(folded_words(stem)) or stem


_function_words = lru_cache(stop_words)


@lru_cache
def _stemmer(language: str) -> Stemmer.Stemmer | None:
    try:
        return Stemmer.Stemmer(language)
    except KeyError:
        return None


def _lower(text: str) -> str:
    """Return the text in lower case, sign by sign, so that places stay what they are."""
    low = text.lower()
    return low if len(low) == len(text) else "".join(one if len(one.lower()) != 1 else one.lower() for one in text)
