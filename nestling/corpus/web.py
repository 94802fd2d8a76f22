"""The main text of a web page (trafilatura)."""

import re
from pathlib import Path

from lxml.etree import LxmlError

from nestling.corpus.content import Content, UnreadableError, parsing
from nestling.corpus.encodings import HEAD, decoded_as

_DECLARED = re.compile(
    rb"""<(?:meta|\?xml)\b[^>]*?(?:charset|encoding)\s*=\s*["']?\s*(?!utf-?16|utf-?32)([\w.:-]+)""", re.IGNORECASE
)  # a page in UTF-16 or UTF-32 could not be searched for it


def read_html(path: Path) -> Content:
    """Read the main text of a page, without menus and footers, in the encoding that the page declares or shows.

    Raises:
        UnreadableError: it is no HTML.
    """
    return html_content(path.read_bytes())


def html_content(page: bytes, declared: str = "") -> Content:
    """Return the main text of a page.

    Args:
        page: as it was sent.
        declared: the encoding that was named beside it; without one the page's own word counts.

    Raises:
        UnreadableError: it is no HTML.
    """
    import trafilatura  # here, for it is slow to import and only sets with web pages need it

    own = _DECLARED.search(page[:HEAD])
    try:
        readable: bytes | str = decoded_as(page, declared or (own[1].decode() if own else ""))
    except UnicodeDecodeError:
        readable = page  # in an encoding that trafilatura may know
    with parsing("HTML", LxmlError):
        tree = trafilatura.load_html(readable)
        if tree is None:
            raise UnreadableError("no HTML")
        found = trafilatura.bare_extraction(tree, with_metadata=True)
    if found is None:  # no text
        return Content((tree.findtext(".//title") or "").strip(), "")
    title, text = (getattr(found, "title", None) or "").strip(), getattr(found, "text", None) or ""
    first, _, rest = text.partition("\n")
    return Content(title, rest if title and first.strip() == title else text)
