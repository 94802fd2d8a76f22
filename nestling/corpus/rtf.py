"""Rich text (striprtf), of which notes are kept and deleted text is not."""

import codecs
import re
from pathlib import Path
from typing import NamedTuple

from nestling.corpus.content import Content, UnreadableError, parsing

# a control word with its number, a sign or byte that is escaped, a brace, or a run of text
_TOKEN = re.compile(
    r"\\(?P<word>[A-Za-z]{1,32})(?P<number>-?\d{1,10})? ?|\\'..|\\.|(?P<brace>[{}])|[^\\{}]+|\\", re.DOTALL
)
_CHARSETS = {"mac": "mac_roman", "pc": "cp437", "pca": "cp850"}
_APART = ("footnote", "shptxt")  # striprtf passes over notes and text boxes: they go to the end
_HIDDEN = ("header", "headerf", "headerl", "headerr", "footer", "footerf", "footerl", "footerr")


def read_rtf(path: Path) -> Content:
    """Read the text of a rich text file; notes and text boxes come at the end.

    Raises:
        UnreadableError: it is no rich text.
    """
    from striprtf.striprtf import rtf_to_text

    source = path.read_bytes().removeprefix(codecs.BOM_UTF8).decode("latin-1")  # RTF is ASCII; the rest is escaped
    if not source.lstrip().startswith("{\\rtf"):
        raise UnreadableError("no rich text: it does not begin with {\\rtf")
    with parsing("rich text"):
        prepared = _Prepared(source)
        return Content("", rtf_to_text(prepared.source, encoding=prepared.charset, errors="replace"))


class _Group(NamedTuple):
    where: str = "body"  # or notes, or hidden
    deleted: bool = False


class _Prepared:
    """Rich text as striprtf reads it well.

    Attributes:
        source: the text without what is deleted, its notes at the end, and control words whose number means nothing.
        charset: what bytes are in where neither a font nor a code page tells.
    """

    def __init__(self, source: str) -> None:
        self.charset = "cp1252"
        self._body: list[str] = []
        self._notes: list[str] = []
        self._outer: list[_Group] = []
        self._group = _Group()
        place = 0
        while token := _TOKEN.match(source, place):
            place = token.end()
            if token["word"] == "bin":
                place += int(token["number"] or 0)  # raw bytes, braces among them
            elif token["brace"]:
                self._brace(token["brace"])
            elif token["word"]:
                self._word(token[0], token["word"], token["number"] or "")
            else:
                self._put(token[0])
        self.source = "".join(self._body + self._notes)

    def _put(self, part: str) -> None:
        if not self._group.deleted:
            (self._notes if self._group.where == "notes" else self._body).append(part)

    def _brace(self, brace: str) -> None:
        if brace == "{":
            self._put(brace)
            self._outer.append(self._group)
            return
        if len(self._outer) == 1:  # the end of the document
            self._body += self._notes
            self._notes = []
        inner, self._group = self._group, self._outer.pop() if self._outer else _Group()
        if inner.where == "notes" != self._group.where:
            self._notes.append(brace)
        self._put(brace)

    def _word(self, whole: str, word: str, number: str) -> None:
        if word in ("deleted", "plain"):
            self._group = self._group._replace(deleted=word == "deleted" and number != "0")
        elif word in _HIDDEN:
            self._group = self._group._replace(where="hidden")
        elif word in _APART and self._group == _Group():
            self._group = _Group("notes")
            whole = "{\\par "
        elif word in _CHARSETS and len(self._outer) == 1:
            self.charset = _CHARSETS[word]
        self._put(whole if _means_something(word, number) else "{}")  # which parts the words around it


def _means_something(word: str, number: str) -> bool:
    """Tell whether striprtf can read a control word: not a bare uc, no number that no character or code page has."""
    if word == "u" and number:
        return -0x10000 <= int(number) <= 0x10FFFF
    if word == "ansicpg":
        return _is_codec(f"cp{number}")
    return word != "uc" or bool(number)


def _is_codec(name: str) -> bool:
    try:
        return bool(codecs.lookup(name))
    except LookupError:
        return False
