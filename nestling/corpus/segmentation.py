"""Words of scripts that write no blanks between them: Chinese, Japanese, Thai, Lao, Khmer, Burmese.

ICU's word breaker knows them by dictionary, whatever the language of the text around them.
"""

import re
from collections.abc import Iterator

from icu4py.breakers import WordBreaker

_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\ua9e0-\ua9ff\uaa60-\uaa7f\uf900-\ufaff\U00020000-\U0003ffff]"
)
_CHUNK = re.compile(r"\S+")


def is_unspaced(text: str) -> bool:
    """Tell whether `text` holds a character of a script without blanks between words."""
    return _UNSPACED.search(text) is not None


def segments(run: str) -> list[str]:
    """Return the words of a run of letters; what is written with blanks is one word already."""
    return [str(part) for part in WordBreaker(run, "und")] if is_unspaced(run) else [run]


def word_spans(text: str) -> Iterator[tuple[int, int]]:
    """Yield where each word of `text` begins and ends (exclusive); punctuation belongs to the word before it."""
    for chunk in _CHUNK.finditer(text):
        if not is_unspaced(chunk[0]):
            yield chunk.span()
            continue
        start = end = chunk.start()
        begun = False
        for part in segments(chunk[0]):
            if begun and any(sign.isalnum() for sign in part):
                yield start, end
                start, begun = end, False
            end += len(part)
            begun = begun or any(sign.isalnum() for sign in part)
        yield start, end


def word_count(text: str) -> int:
    """Return the number of words of `text`, as `word_spans` cuts them."""
    return sum(1 for _ in word_spans(text)) if is_unspaced(text) else len(text.split())


def join_words(words: list[str]) -> str:
    """Join words to a text: a blank between two of them unless both are of a script that writes none."""
    joined = ""
    for word in words:
        close = joined and is_unspaced(joined[-1]) and is_unspaced(word[0])
        joined += word if close or not joined else f" {word}"
    return joined
