"""Which encoding a text file is in: what its first bytes say, else UTF-8, else what its accented letters say."""

import codecs
import io
import re
from collections.abc import Iterator
from typing import BinaryIO

UTF_8 = "utf-8-sig"  # UTF-8, with its mark or without
HEAD = 4096  # bytes that tell a mark or UTF-16

_MARKS = {
    codecs.BOM_UTF8: UTF_8,
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16, whose mark it begins with
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
# of Windows, of a Mac and of DOS, as programs for tables save them in Western Europe. Told apart by `_fitting`: of
# samples of one, five and fifty sentences in it, pt, es, ca charset-normalizer 3.5.2, given the same three, knows
# 93, 92 and 100% of Windows-1252 and 24, 66 and 87% of Mac Roman; this rule 98, 100, 100 and 93, 98, 100%
SINGLE_BYTE = ("cp1252", "mac_roman", "cp850")

_SAMPLE = 200_000  # bytes of lines that are not UTF-8
_LONGEST = 16_000_000  # bytes that are taken for one line
_NULS = 0.3  # share of characters whose upper half is nothing: Latin letters in UTF-16 without a mark
_STRANGE = 0.2  # share of other characters than Western letters and signs
_LETTERS = frozenset("àáâãäçèéêëìíîïñòóôõöùúûüß")
_NORTHERN = frozenset("åæø")  # worth less than a sign: the byte of ¿ in one encoding is that of ø in another
_SIGNS = frozenset("“”‘’«»°€–—…ºª¿¡·£§©®™")


def encoding_of(stream: BinaryIO) -> str:
    """Return the codec to decode a file with; where none fits it is UTF-8, with lines that are broken.

    Args:
        stream: the file, which is read to its end.
    """
    head = stream.read(HEAD)
    if named := encoding_by_head(head):
        return named
    stream.seek(0)
    good, bad, sample = 0, 0, bytearray()
    for line in _lines(stream):
        if line.isascii():
            continue
        try:
            line.decode("utf-8")
            good += 1
        except UnicodeDecodeError:
            bad += 1
            sample += line[: _SAMPLE - len(sample)] + b"\n"
    return UTF_8 if good >= bad else _fitting(bytes(sample)) or UTF_8


def encoding_by_head(head: bytes) -> str | None:
    """Return the codec that a file's first bytes name: by a mark, or by the zeros of Latin letters in UTF-16."""
    marked = (name for mark, name in _MARKS.items() if head.startswith(mark))
    return next(marked, None) or _unmarked(head)


def _unmarked(head: bytes) -> str | None:
    half = len(head) // 2
    for name, first in (("utf-16-le", 1), ("utf-16-be", 0)):
        upper, lower = head[first : 2 * half : 2], head[1 - first : 2 * half : 2]
        if half > 1 and upper.count(0) > _NULS * half and lower.count(0) < upper.count(0) / 10:
            return name
    return None


def _lines(stream: BinaryIO) -> Iterator[bytes]:
    rest = b""
    while piece := stream.read(1 << 20):
        *lines, rest = re.split(rb"[\r\n]+", rest + piece)
        yield from lines
        if len(rest) > _LONGEST:
            yield rest
            rest = b""
    yield rest


def _fitting(content: bytes) -> str | None:
    """Return the encoding in which most that is not ASCII is a letter of a Western word or a usual sign."""
    best, found = 0.0, None
    for name in SINGLE_BYTE:
        try:
            text = content.decode(name)
        except UnicodeDecodeError:
            continue
        worths = [_worth(text[place - 1 : place], text[place : place + 2]) for place in _foreign(text)]
        if worths.count(-1.0) <= _STRANGE * len(worths) and sum(worths) > best:
            best, found = sum(worths), name
    return found


def _foreign(text: str) -> Iterator[int]:
    return (place for place, character in enumerate(text) if character > "\x7f")


def _worth(before: str, here: str) -> float:
    character, after = here[0], here[1:]
    if character in _SIGNS:  # a quote stands at the edge of a word, but for an apostrophe
        return -1.0 if before.isalpha() and after.isalpha() and character != "’" else 1.0
    # a run of letters that are not ASCII is another alphabet; a capital does not follow a small letter
    alone = not before.isalpha() and not after.isalpha()
    beside = (before.isascii() and before.isalpha()) or (after.isascii() and after.isalpha())
    known, cased = character.lower() in _LETTERS | _NORTHERN, character.islower() or not before.islower()
    if not (known and cased and (alone or beside)):
        return -1.0
    return 0.5 if character.lower() in _NORTHERN else 1.0


def decoded(content: bytes) -> tuple[str, str]:
    """Return the text of a whole file, and its encoding.

    Raises:
        UnicodeDecodeError: it is not UTF-8, nor in another encoding that can be told.
    """
    name = encoding_of(io.BytesIO(content))
    return content.decode(name), name


def decoded_as(content: bytes, declared: str) -> str:
    """Return a text in the encoding of its mark, else in the one that is declared, else in the one that it shows.

    Args:
        content: of the whole text.
        declared: a name of an encoding, right, wrong or unknown; may be empty.

    Raises:
        UnicodeDecodeError: it is in none of them.
    """
    try:
        return content.decode(encoding_by_head(content[:HEAD]) or declared or "ascii")
    except (LookupError, ValueError):
        return decoded(content)[0]
