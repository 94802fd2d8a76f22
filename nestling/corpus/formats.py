"""One reader a file format: what a text, page, PDF, office document or message says, and which formats there are."""

import re
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

from pypdf import PdfReader
from pypdf.errors import DependencyError, PyPdfError

from nestling.cli import say
from nestling.corpus.content import Content, parsing
from nestling.corpus.encodings import SINGLE_BYTE, decoded
from nestling.corpus.front_matter import split_front_matter
from nestling.corpus.mail import read_message
from nestling.corpus.office import read_docx, read_odt
from nestling.corpus.rtf import read_rtf
from nestling.corpus.values import is_blank
from nestling.corpus.web import read_html


def kind_of(name: str) -> str:
    """Return the format by the name's ending, one of FILE_FORMATS or ROW_FORMATS, or an empty text."""
    lower = name.lower()
    ending = "jsonl" if lower.endswith(".jsonl.gz") else Path(lower).suffix.removeprefix(".")
    ending = {"htm": "html", "markdown": "md", "tsv": "csv", "ods": "xlsx", "xls": "xlsx"}.get(ending, ending)
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
    """Read Markdown as it is written.

    Front matter gives title, language and licence. Without a title there, a first line `# title` becomes the title.

    Raises:
        UnicodeDecodeError: it is not UTF-8, nor in another encoding that can be told.
    """
    fields, text, fault = split_front_matter(_LINE_END.sub("\n", read_text(path).text))
    if fault:
        say(f"note: {path}: the front matter is broken, only its lines `name: value` count: {fault}")
    title, language, licence = (_first(fields, names) for names in _ABOUT)
    first, _, rest = text.lstrip().partition("\n")
    if first.startswith("# ") and title in ("", first[2:].strip()):
        title, text = first[2:].strip(), rest
    return Content(title, text, language, licence)


_LINE_END = re.compile(r"\r\n?")
_ABOUT = (("title",), ("language", "lang"), ("licence", "license"))


def _first(fields: dict[str, str], names: tuple[str, ...]) -> str:
    return next((fields[name] for name in names if fields.get(name)), "")


def read_pdf(path: Path) -> Content:
    """Read the text layer of a PDF, page after page; a scan has none, and no title that would be a text.

    Raises:
        UnreadableError: it is damaged or encrypted.
    """
    content = path.read_bytes()
    with parsing("PDF", PyPdfError, DependencyError), PdfReader(BytesIO(content)) as reader:
        title = reader.metadata.title if reader.metadata else None
        text = "\n".join(page.extract_text() for page in reader.pages)
    if is_blank(text):
        return Content("", "", missing="no text layer: recognise the text first")
    return Content(title.strip() if isinstance(title, str) else "", text)


FILE_FORMATS: dict[str, Callable[[Path], Content]] = {
    "txt": read_text,
    "md": read_markdown,
    "html": read_html,
    "pdf": read_pdf,
    "docx": read_docx,
    "odt": read_odt,
    "rtf": read_rtf,
    "eml": read_message,
}
ROW_FORMATS = ("jsonl", "csv", "parquet", "xlsx", "mbox")  # .ods and .xls are read as .xlsx
