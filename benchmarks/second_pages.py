"""A set in which it is known which documents answer a query although nobody labelled them.

Texts of one topic are taken two by two, as documents. Some texts are kept back, and their sentences fill second
pages, as long as a document: each repeats a run of sentences of some text in partly other words. A query, which
somebody wrote for one text, is answered by the document that holds the text, and by the second page if the sentence
that answers was repeated; a second page that repeats other sentences of that text is a near miss. The query names one
of its answers, drawn by lot, as a search log would. A few name a wrong document.

What is made, not found: which sentence answers is the one that shares most of the query's words, by rarity, and
queries for which no sentence leads clearly are left out, so that hard wordings are rarer than in life. "Other words"
are words of like frequency drawn from the corpus: they cost an encoder what a paraphrase in unknown words costs, and
a synonym that it knows would cost it less. A second page repeats sentences, so it lies nearer to the text's document
than one would that says the same on its own. A document that answers without having been made to counts as no answer.
"""

import json
import math
import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from nestling.corpus.cleaning import one_line, words
from nestling.corpus.passages import sentences_of


class Text(NamedTuple):
    """A text of a source, and the topic within which it is paired."""

    text_id: str
    topic: str
    text: str


class Asked(NamedTuple):
    """A query, and the one text that it was written for."""

    query: str
    text_id: str


@dataclass(frozen=True)
class Making:
    """How a set is made.

    Attributes:
        language: ISO 639-1.
        held_back: share of the texts that become filler; as many second pages are made.
        repeated: least and greatest share of a text's sentences that a second page repeats.
        reworded: mean share of the words that it changes; each page's own lies between 0 and twice that.
        clear: how far the answering sentence must lead the next, as a ratio.
        wrong: share of the queries that name a document which does not answer.
    """

    language: str
    held_back: float
    repeated: tuple[float, float]
    reworded: float
    clear: float
    wrong: float


@dataclass
class Made:
    """A set with its truth.

    Attributes:
        documents: text by document_id.
        named: document_id by query: what a log would say.
        answers: document_ids by query: what is true.
    """

    documents: dict[str, str] = field(default_factory=dict)
    named: dict[str, str] = field(default_factory=dict)
    answers: dict[str, set[str]] = field(default_factory=dict)


def read_sample(folder: Path) -> tuple[list[Text], list[Asked]]:
    """Return the texts of the sample, by theme, with its recorded and its gold queries."""
    files = sorted((folder / "documents").glob("*.jsonl"))
    texts = [Text(row["_id"], file.stem, row["text"]) for file in files for row in _rows(file)]
    asked = [Asked(one_line(row["text"]), row["document_id"]) for row in _rows(folder / "queries.jsonl")]
    return texts, asked + _judged(folder / "eval/gold/queries.jsonl", folder / "eval/gold/qrels/test.tsv")


def read_beir(folder: Path) -> tuple[list[Text], list[Asked]]:
    """Return the texts of a BEIR folder, by title, and its test queries that one text answers."""
    rows = _rows(folder / "corpus.jsonl")
    texts = [Text(row["_id"], row.get("title", ""), row["text"]) for row in rows]
    return texts, _judged(folder / "queries.jsonl", folder / "qrels/test.tsv")


def make(texts: Sequence[Text], asked: Sequence[Asked], making: Making, seed: int) -> Made:
    """Return a set made of the texts; the same seed makes the same."""
    chance = random.Random(seed)
    rarity = _rarity(texts)
    reworder = _Reworder(rarity, chance)
    by_topic = defaultdict(list)
    for text in texts:
        by_topic[text.topic].append(text)
    made, homes, repeats = Made(), dict[str, str](), defaultdict[str, list[tuple[str, range]]](list)
    for topic in sorted(by_topic):
        filler, rest = _dealt(by_topic[topic], making.held_back, chance)
        homes |= _pair(rest, made, chance)
        for text, (name, run) in _second_pages(filler, rest, making, reworder, len(made.documents)):
            made.documents[name] = run[1]
            repeats[text].append((name, run[0]))
    bodies = {text.text_id: text.text for text in texts}
    for query, text_id in asked:
        if text_id in homes:
            place = answering_sentence(query, sentences_of(bodies[text_id], making.language), rarity, making.clear)
            if place is not None:
                made.answers[query] = {homes[text_id], *(name for name, run in repeats[text_id] if place in run)}
    for query, right in made.answers.items():
        wrong = chance.random() < making.wrong
        made.named[query] = chance.choice(sorted(set(made.documents) - right if wrong else right))
    return made


def answering_sentence(query: str, sentences: Sequence[str], rarity: Mapping[str, float], clear: float) -> int | None:
    """Return the place of the sentence that shares most of the query's words; None where none leads clearly."""
    asked = sorted(set(words(query)))
    shared = [sum(rarity.get(word, 0.0) for word in asked if word in words(one)) for one in sentences]
    first, second, *_ = *sorted(shared, reverse=True), 0.0, 0.0
    return shared.index(first) if first > clear * second else None


def _dealt(texts: Sequence[Text], share: float, chance: random.Random) -> tuple[list[Text], list[Text]]:
    """Return filler and an even number of others."""
    drawn = chance.sample(texts, len(texts))
    size = max(1, round(share * len(drawn)))
    size += (len(drawn) - size) % 2
    return drawn[:size], drawn[size:]


def _pair(texts: Sequence[Text], made: Made, chance: random.Random) -> dict[str, str]:
    homes = {}
    for one, other in zip(texts[::2], texts[1::2], strict=True):
        name = f"document-{len(made.documents):05d}"
        made.documents[name] = _joined(one.text, other.text, chance)
        homes |= {one.text_id: name, other.text_id: name}
    return homes


def _second_pages(
    filler: Sequence[Text], rest: Sequence[Text], making: Making, reworder: "_Reworder", first: int
) -> Iterator[tuple[str, tuple[str, tuple[range, str]]]]:
    """Yield text_id, and the name of its second page with the places of the sentences it repeats, and its text."""
    chance = reworder.chance
    sentences = [one for text in filler for one in sentences_of(text.text, making.language)]
    size = 2 * sum(len(text.text.split()) for text in [*filler, *rest]) / (len(filler) + len(rest))
    used = 0
    for number, text in enumerate(chance.sample(rest, min(len(filler), len(rest))), start=first):
        own = sentences_of(text.text, making.language)
        count = max(1, round(chance.uniform(*making.repeated) * len(own)))
        start = chance.randrange(len(own) - count + 1)
        run = range(start, start + count)
        page = reworder.reworded(" ".join(own[place] for place in run), chance.uniform(0, 2 * making.reworded))
        about: list[str] = []
        while len(f"{page} {' '.join(about)}".split()) < size:
            about.append(sentences[used % len(sentences)])
            used += 1
        yield text.text_id, (f"second-{number:05d}", (run, _joined(page, " ".join(about), chance)))


class _Reworder:
    """Puts words of like frequency in place of others, the same for the same within a text."""

    def __init__(self, rarity: Mapping[str, float], chance: random.Random) -> None:
        self.chance = chance
        self.band = {word: round(rare / math.log(2)) for word, rare in rarity.items()}
        self.words = defaultdict(list)
        for word, band in sorted(self.band.items()):
            self.words[band].append(word)

    def reworded(self, text: str, share: float) -> str:
        """Return the text with about this share of its different words changed."""
        change = {
            word: self.chance.choice(self.words[self.band[word]])
            for word in sorted(set(words(text)))
            if word in self.band and self.chance.random() < share
        }
        return re.sub(r"\w+", lambda found: change.get(found[0].lower(), found[0]), text)


def _joined(one: str, other: str, chance: random.Random) -> str:
    return " ".join([one, other] if chance.random() < 0.5 else [other, one])


def _rarity(texts: Sequence[Text]) -> dict[str, float]:
    holders = Counter(word for text in texts for word in set(words(text.text)))
    return {word: math.log(1 + len(texts) / count) for word, count in holders.items()}


def _judged(queries: Path, qrels: Path) -> list[Asked]:
    relevant = defaultdict(list)
    for line in qrels.read_text(encoding="utf-8").splitlines()[1:]:
        query_id, text_id, score = line.split("\t")
        if int(score) > 0:
            relevant[query_id].append(text_id)
    rows = ((one_line(row["text"]), relevant[row["_id"]]) for row in _rows(queries))
    return [Asked(text, found[0]) for text, found in rows if len(found) == 1]


def _rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
