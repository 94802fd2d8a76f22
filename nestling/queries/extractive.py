"""Queries cut out of a passage with no model: keyword sets, cloze sentences, titles.

Words are those of nestling.corpus.cleaning, which cuts scripts without blanks by dictionary. A question asks about one
place of a passage, so every query is cut from one sentence; its words are drawn by rarity, as a person would choose
them; some are changed for another word of the corpus with the same beginning, as inflection would; and a few function
words are put before, which the encoder then learns to pass over. All draws of a passage depend on its id and the seed
alone.
"""

import math
import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import stopwordsiso
from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from nestling.corpus.cleaning import words
from nestling.corpus.ids import content_id
from nestling.corpus.passages import sentences_of
from nestling.corpus.segmentation import join_words
from nestling.params import Strict

_LONGEST_SENTENCE = 60  # words; a longer one is a list or a table, of which a part serves as well


class ExtractiveParams(Strict):
    """How many queries of each kind a passage gives, and what they look like."""

    keywords: NonNegativeInt  # queries a passage
    cloze: NonNegativeInt
    titles: NonNegativeInt
    min_words: PositiveInt  # content words of a keyword query
    max_words: PositiveInt
    inflect_share: float = Field(ge=0, le=1)  # words changed for one with the same beginning
    function_words: NonNegativeInt  # at most so many before a keyword query

    @model_validator(mode="after")
    def length_is_a_range(self) -> Self:
        """Refuse a longest query shorter than the shortest."""
        if self.min_words > self.max_words:
            raise ValueError(f"min_words is {self.min_words}, which is more than max_words, {self.max_words}")
        return self


@dataclass(frozen=True)
class Source:
    """A passage to cut queries from."""

    passage_id: str
    title: str
    body: str
    language: str


@dataclass(frozen=True)
class Cut:
    """A query, its kind and the passage that it was cut from."""

    text: str
    kind: str
    passage_id: str


def stop_words(language: str) -> frozenset[str]:
    """Return the language's function words (stopwords-iso); none for a language without a list."""
    return frozenset(stopwordsiso.stopwords(language)) if stopwordsiso.has_lang(language) else frozenset()


class Extractor:
    """Cuts queries, knowing how rare each word of the corpus is.

    Args:
        sources: all passages; rarity is counted over them.
        params: kinds and numbers.
        seed: of every draw.
    """

    def __init__(self, sources: Sequence[Source], params: ExtractiveParams, seed: int) -> None:
        self.sources, self.params, self.seed = sources, params, seed
        frequency = Counter(word for source in sources for word in set(words(f"{source.title} {source.body}")))
        total = len(sources)
        self.rarity = {word: math.log1p((total - n + 0.5) / (n + 0.5)) for word, n in frequency.items()}
        self.unseen = math.log1p((total + 0.5) / 0.5)  # a part of a word so long that it was cut
        self.families: dict[str, list[str]] = defaultdict(list)
        for word in sorted(frequency):
            self.families[_stem(word)].append(word)
        self.titles = Counter(source.title for source in sources)

    def cut(self) -> Iterator[Cut]:
        """Yield the queries of every passage, each text once a passage."""
        for source in self.sources:
            seen: set[str] = set()
            for query in self._of(source):
                if query.text not in seen:
                    seen.add(query.text)
                    yield query

    def _of(self, source: Source) -> Iterator[Cut]:
        draw = random.Random(content_id(str(self.seed), source.passage_id))
        stops = stop_words(source.language)
        sentences = [words(text)[:_LONGEST_SENTENCE] for text in sentences_of(source.body, source.language)]
        sentences = [sentence for sentence in sentences if len({*sentence} - stops) >= 2]
        if not sentences:
            return
        lengths = [len(sentence) for sentence in sentences]
        for _ in range(self.params.keywords):
            (sentence,) = draw.choices(sentences, lengths)
            yield Cut(" ".join(self._keywords(sentence, stops, draw)), "keywords", source.passage_id)
        for _ in range(self.params.cloze):
            (sentence,) = draw.choices(sentences, lengths)
            yield Cut(join_words(self._cloze(sentence, stops)), "cloze", source.passage_id)
        for number in range(self.params.titles if source.title else 0):
            yield Cut(self._title(source, number, sentences, stops, draw), "title", source.passage_id)

    def _keywords(self, sentence: list[str], stops: frozenset[str], draw: random.Random) -> list[str]:
        content = [word for word in dict.fromkeys(sentence) if word not in stops]
        size = draw.randint(self.params.min_words, self.params.max_words)
        # Efraimidis and Spirakis (2006): the largest u^(1/w) are a weighted sample without replacement
        keys = {word: draw.random() ** (1 / max(self._rarity(word), 1e-9) ** 0.5) for word in content}
        chosen = set(sorted(content, key=lambda word: -keys[word])[:size])
        asked = [self._inflected(word, draw) for word in content if word in chosen]
        present = sorted({word for word in sentence if word in stops})
        front = draw.sample(present, min(len(present), draw.randint(0, self.params.function_words)))
        return front + asked

    def _rarity(self, word: str) -> float:
        return self.rarity.get(word, self.unseen)

    def _inflected(self, word: str, draw: random.Random) -> str:
        family = [other for other in self.families[_stem(word)] if other != word and abs(len(other) - len(word)) <= 3]
        return draw.choice(family) if family and draw.random() < self.params.inflect_share else word

    def _cloze(self, sentence: list[str], stops: frozenset[str]) -> list[str]:
        rarest = max((word for word in sentence if word not in stops), key=lambda word: (self._rarity(word), word))
        return [word for word in sentence if word != rarest]

    def _title(
        self, source: Source, number: int, sentences: list[list[str]], stops: frozenset[str], draw: random.Random
    ) -> str:
        if number == 0 and self.titles[source.title] == 1:
            return source.title
        return " ".join([*words(source.title), *self._keywords(draw.choice(sentences), stops, draw)])


def _stem(word: str) -> str:
    return word[: max(5, len(word) - 3)] if len(word) > 5 else word
