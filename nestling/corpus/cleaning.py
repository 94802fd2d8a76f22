"""Repair and normalise text without judging it: what comes out is still the owner's words."""

import re
import unicodedata

import ftfy

# explain=False spares the work of saying what it did
_REPAIR = ftfy.TextFixerConfig(explain=False, unescape_html="auto", normalization="NFC")
_CONTROLS = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f]")  # ftfy leaves those that no encoding ever used
_BLANKS = re.compile(r"[^\S\n]+")
_EMPTY_LINES = re.compile(r"\n\s*\n+")
_SIGNS = "".join(sign for sign in map(chr, range(0x300, 0x10000)) if unicodedata.category(sign).startswith("M"))
_WORD = re.compile(rf"\w[\w{_SIGNS}]*")  # \w alone takes no vowel sign, and would cut up Hindi, Tamil, vowelled Arabic
_MARKS = re.compile("[\u0300-\u036f]")


def clean(text: str) -> str:
    """Return `text` with broken encodings mended, control characters removed, NFC, and single blanks.

    Markup, path-like strings and endless words are left as they are: to nestling they are plain text.
    """
    mended = unicodedata.normalize("NFC", _CONTROLS.sub("", ftfy.fix_text(text, config=_REPAIR)))
    return _EMPTY_LINES.sub("\n\n", _BLANKS.sub(" ", mended)).strip()


def one_line(text: str) -> str:
    """Return `text` cleaned and on one line, as titles, queries and sentences are kept."""
    return " ".join(clean(text).split())


def words(text: str) -> list[str]:
    """Return the words of `text`, lower case, without punctuation."""
    return _WORD.findall(text.lower())


def folded_words(text: str) -> list[str]:
    """Return the words of `text`, lower case and without accents, as people type them into a search box."""
    return _WORD.findall(_MARKS.sub("", unicodedata.normalize("NFKD", text.lower())))
