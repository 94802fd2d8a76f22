"""Cut a document into passages at sentence borders."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from sentencex import get_sentence_boundaries  # type: ignore[attr-defined]  # made in Rust, without types

from nestling.corpus.segmentation import word_count, word_spans

_PIECE = 12_000  # characters handed to the sentence splitter at once: its work grows with their square
_UNMARKED = re.compile("[\u0e00-\u0eff\u1780-\u17ff]")  # Thai, Lao and Khmer end sentences with a blank
_PHRASE = re.compile(r"\S+\s*")
_PHRASE_WORDS = 8  # at least so many words make a sentence there: blanks stand around numbers and names, too


@dataclass(frozen=True)
class Span:
    """Characters `start` to `end` (exclusive) of a document and the number of words between."""

    start: int
    end: int
    words: int


def cut(text: str, language: str, max_words: int, min_words: int) -> list[Span]:
    """Return passages of at most `max_words` words, even in size, that begin and end at sentence borders.

    A sentence longer than `max_words` is cut between words. A last passage shorter than `min_words` joins the one
    before it, which may then exceed `max_words`.
    """
    sentences = [part for span in _sentences(text, language) for part in _shorten(text, span, max_words)]
    total = sum(span.words for span in sentences)
    count = -(-total // max_words)
    aim = -(-total // count) if count else 0
    passages: list[Span] = []
    for span in sentences:
        last = passages[-1] if passages else None
        if last and (last.words + span.words <= aim or (last.words < aim and last.words + span.words <= max_words)):
            passages[-1] = Span(last.start, span.end, last.words + span.words)
        else:
            passages.append(span)
    if len(passages) > 1 and passages[-1].words < min_words:
        tail = passages.pop()
        passages[-1] = Span(passages[-1].start, tail.end, passages[-1].words + tail.words)
    return passages


def with_title(title: str, body: str) -> str:
    """Return what encoders and BM25 see of a passage: the title on a line of its own, then the body."""
    return f"{title}\n{body}" if title else body


def body_of(title: str, text: str) -> str:
    """Return a passage's text without the title that `with_title` put before it."""
    return text.removeprefix(f"{title}\n") if title else text


def sentences_of(text: str, language: str) -> list[str]:
    """Return the sentences of a passage."""
    return [text[span.start : span.end] for span in _sentences(text, language)]


def _sentences(text: str, language: str) -> Iterator[Span]:
    begin = 0
    while begin < len(text):
        end = _border(text, begin)
        found = [
            (begin + part["start_index"], begin + part["end_index"])
            for part in get_sentence_boundaries(language, text[begin:end])
        ]
        if end < len(text) and found and found[-1][0] > begin:
            end, _ = found.pop()  # the last sentence may go on behind the border: it is read again
        for first, last in found:
            body = text[first:last].strip()
            if body:
                start = text.index(body, first)
                yield from _phrases(text, Span(start, start + len(body), word_count(body)))
        begin = end


def _phrases(text: str, span: Span) -> Iterator[Span]:
    """Yield the parts between blanks of a sentence in a script that marks no end of a sentence; others as they are."""
    if span.words <= _PHRASE_WORDS or not _UNMARKED.search(text, span.start, span.end):
        yield span
        return
    start, end, count = span.start, span.start, 0
    for phrase in _PHRASE.finditer(text, span.start, span.end):
        if count >= _PHRASE_WORDS:
            yield Span(start, end, count)
            start, count = phrase.start(), 0
        count += word_count(phrase[0])
        end = phrase.start() + len(phrase[0].rstrip())
    yield Span(start, end, count)


def _border(text: str, begin: int) -> int:
    """Return where the piece that begins at `begin` ends: with the text, at a blank, or amid a huge word."""
    limit = begin + _PIECE
    if limit >= len(text):
        return len(text)
    blank = max(text.rfind(" ", begin + 1, limit), text.rfind("\n", begin + 1, limit))
    return blank if blank > 0 else limit


def _shorten(text: str, span: Span, max_words: int) -> list[Span]:
    if span.words <= max_words:
        return [span]
    spans = [(span.start + first, span.start + last) for first, last in word_spans(text[span.start : span.end])]
    groups = [spans[first : first + max_words] for first in range(0, len(spans), max_words)]
    return [Span(group[0][0], group[-1][1], len(group)) for group in groups]
