"""One reader a file format: what a text, Markdown, HTML or PDF file says, and which formats there are."""

import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from pypdf import PdfReader
from pypdf.errors import DependencyError, PyPdfError

from nestling.cli import say
from nestling.corpus.encodings import SINGLE_BYTE, decoded

# what pypdf and the decoders below it raise on damaged files, seen in the wild; none of it says more than "damaged"
_PDF_ERRORS = (
    PyPdfError,
    DependencyError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)


class Content(NamedTuple):
    """What a file says; an empty title means that it has none."""

    title: str
    text: str


class UnreadableError(Exception):
    """A file is damaged; the message says how."""


def kind_of(name: str) -> str:
    """Return the format by the name's ending (txt, md, html, pdf, jsonl, csv, parquet), or an empty text."""
    lower = name.lower()
    ending = "jsonl" if lower.endswith(".jsonl.gz") else Path(lower).suffix.removeprefix(".")
    ending = {"htm": "html", "tsv": "csv"}.get(ending, ending)
    return ending if ending in (*FILE_FORMATS, *ROW_FORMATS) else ""


def read_text(path: Path) -> Content:
    """Read plain text.

    Raises:
        UnicodeDecodeError: it is not UTF-8, nor in another encoding that can be told.
    """
    text, encoding = decoded(path.read_bytes())
    if encoding in SINGLE_BYTE:
        say(f"note: {path} is read as {encoding}")
    return Content("", text)


def read_markdown(path: Path) -> Content:
    """Read Markdown as it is written, save that a first line `# title` becomes the title."""
    text = read_text(path).text
    first, _, rest = text.lstrip().partition("\n")
    return Content(first[2:].strip(), rest) if first.startswith("# ") else Content("", text)


def read_html(path: Path) -> Content:
    """Read the main text of a page, without menus and footers, in the encoding that the page declares or shows.

    Raises:
        UnreadableError: it is no HTML.
    """
    import trafilatura  # here, for it is slow to import and only sets with web pages need it

    tree = trafilatura.load_html(path.read_bytes())
    if tree is None:
        raise UnreadableError("no HTML")
    page = trafilatura.bare_extraction(tree, with_metadata=True)
    if page is None:
        return Content("", "")
    title, text = (getattr(page, "title", None) or "").strip(), getattr(page, "text", None) or ""
    first, _, rest = text.partition("\n")
    return Content(title, rest if title and first.strip() == title else text)


def read_pdf(path: Path) -> Content:
    """Read the text layer of a PDF, page after page; a scan has none.

    Raises:
        UnreadableError: it is damaged or encrypted.
    """
    try:
        with PdfReader(path) as reader:
            title = reader.metadata.title if reader.metadata else None
            text = "\n".join(page.extract_text() for page in reader.pages)
    except _PDF_ERRORS as error:
        raise UnreadableError(f"{type(error).__name__}: {error}") from None
    return Content(title.strip() if isinstance(title, str) else "", text)


FILE_FORMATS: dict[str, Callable[[Path], Content]] = {
    "txt": read_text,
    "md": read_markdown,
    "html": read_html,
    "pdf": read_pdf,
}
ROW_FORMATS = ("jsonl", "csv", "parquet")
